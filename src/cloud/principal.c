/* principal.c - see principal.h. */
#include "cloud/principal.h"

#include <stdlib.h>
#include <uthash.h>

#include "base/hex.h"
#include "base/json.h"
#include "base/object_id.h"
#include "crypto/prim.h"

struct entry {
    uint8_t hash[SHA256_SIZE]; /* of the token */
    struct principal principal;
    uint64_t *numbers;  /* owned: what principal.numbers looks at */
    int64_t checked_ms; /* monotonic */
    int64_t expires_s;  /* platform time; 0: never */
    UT_hash_handle hh;
};

struct principals {
    struct manager_link *manager;
    struct clock *clock;
    struct entry *entries;
    uint64_t drops; /* an answer that was under way while something was dropped is not kept */
};

struct check {
    struct principals *cache;
    uint64_t drops;
    uint8_t hash[SHA256_SIZE];
    bool is_cacheable;
    principal_fn *fn;
    void *ctx;
};

enum rc
principals_new(struct principals **out, struct manager_link *manager, struct clock *clock,
               struct err *err)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL)
        return err_set(err, RC_NOMEM, "principals", "cache");
    (*out)->manager = manager;
    (*out)->clock = clock;
    return RC_OK;
}

static void
entry_drop(struct principals *cache, struct entry *entry)
{
    HASH_DEL(cache->entries, entry);
    free(entry->numbers);
    free(entry);
}

void
principals_drop(struct principals *cache, const char *token_hash, uint64_t business_id)
{
    uint8_t hash[SHA256_SIZE];
    struct entry *entry, *next;

    cache->drops++;
    if (token_hash != NULL) {
        if (hex_read(hash, sizeof hash, bytes_of_str(token_hash), NULL) != RC_OK)
            return;
        HASH_FIND(hh, cache->entries, hash, sizeof hash, entry);
        if (entry != NULL)
            entry_drop(cache, entry);
        return;
    }
    HASH_ITER(hh, cache->entries, entry, next)
    if (business_id == 0 || entry->principal.business_id == business_id)
        entry_drop(cache, entry);
}

void
principals_free(struct principals **cache)
{
    if (*cache == NULL)
        return;
    principals_drop(*cache, NULL, 0);
    free(*cache);
    *cache = NULL;
}

bool
principal_has_number(const struct principal *p, uint64_t number_id)
{
    for (size_t i = 0; i < p->n_numbers; i++)
        if (p->numbers[i] == number_id)
            return true;
    return false;
}

/* ---- reading the manager's answer ---- */

static uint64_t
id_of(const json_t *object, const char *key)
{
    uint64_t id = 0;

    if (object_id_read(&id, bytes_of_str(json_str(object, key)), NULL) != RC_OK)
        return 0;
    return id;
}

static const struct scope_name {
    const char *name;
    enum principal_scope scope;
} scope_names[] = {
    {"whatsapp_business_messaging",  SCOPE_MESSAGING },
    {"whatsapp_business_management", SCOPE_MANAGEMENT},
    {"business_management",          SCOPE_BUSINESS  },
};

/* *numbers is what p->numbers looks at: the caller's to free. */
static void
principal_read(struct principal *p, uint64_t **numbers, const json_t *answer)
{
    const char *kind = json_str(answer, "kind");
    const json_t *rows = json_object_get(json_object_get(answer, "assets"), "numbers");
    json_t *item;
    size_t i;

    free(*numbers);
    *numbers = calloc(json_array_size(rows) + 1, sizeof **numbers);

    *p = (struct principal){.is_app = kind != NULL && strcmp(kind, "APP") == 0,
                            .token_id = id_of(answer, "token_id"),
                            .app_id = id_of(answer, "app_id"),
                            .business_id = id_of(answer, "business_id")};
    json_array_foreach(json_object_get(answer, "scopes"), i, item)
    {
        for (size_t k = 0; k < ARRAY_LEN(scope_names); k++)
            if (json_is_string(item) && strcmp(json_string_value(item), scope_names[k].name) == 0)
                p->scopes |= scope_names[k].scope;
    }
    p->numbers = *numbers;
    json_array_foreach(rows, i, item)
    {
        if (*numbers != NULL && p->n_numbers < PRINCIPAL_NUMBERS_MAX)
            (*numbers)[p->n_numbers++] = id_of(item, "id");
    }
}

static struct entry *
entry_put(struct principals *cache, const struct check *check, const json_t *answer)
{
    struct entry *entry;

    HASH_FIND(hh, cache->entries, check->hash, sizeof check->hash, entry);
    if (entry == NULL) {
        if (HASH_COUNT(cache->entries) >= PRINCIPALS_MAX)
            entry_drop(cache, cache->entries); /* the oldest: uthash keeps insertion order */
        if ((entry = calloc(1, sizeof *entry)) == NULL)
            return NULL;
        memcpy(entry->hash, check->hash, sizeof entry->hash);
        HASH_ADD(hh, cache->entries, hash, sizeof entry->hash, entry);
    }
    principal_read(&entry->principal, &entry->numbers, answer);
    entry->checked_ms = clock_mono_ms(cache->clock);
    entry->expires_s = json_int(answer, "expires_at", 0);
    return entry;
}

static void
on_checked(void *ctx, enum rc rc, int status, const json_t *body)
{
    struct check *check = ctx;
    struct principals *cache = check->cache;
    struct principal once;
    uint64_t *numbers = NULL;

    if (rc != RC_OK || status >= 500 || body == NULL) {
        check->fn(check->ctx, NULL, 503, NULL);
    } else if (status != 200) {
        check->fn(check->ctx, NULL, status, json_object_get(body, "error"));
    } else if (check->is_cacheable && check->drops == cache->drops) {
        struct entry *entry = entry_put(cache, check, body);

        check->fn(check->ctx, entry == NULL ? NULL : &entry->principal, 503, NULL);
    } else {
        principal_read(&once, &numbers, body);
        check->fn(check->ctx, &once, 200, NULL);
        free(numbers);
    }
    free(check);
}

static bool
is_usable(const struct principals *cache, const struct entry *entry)
{
    int64_t age_ms = clock_mono_ms(cache->clock) - entry->checked_ms;

    if (entry->expires_s != 0 && clock_unix_ms(cache->clock) / 1000 >= entry->expires_s)
        return false;
    if (manager_link_is_up(cache->manager))
        return age_ms < PRINCIPAL_FRESH_MS;
    return manager_link_silent_ms(cache->manager) < PRINCIPAL_STALE_MS;
}

static void
ask(struct check *check, const char *token, const char *proof)
{
    struct json_writer w;
    struct buf body;

    buf_init(&body, 8192);
    jw_init(&w, &body);
    jw_object(&w);
    jw_kv_str(&w, "token", token);
    if (proof != NULL)
        jw_kv_str(&w, "appsecret_proof", proof);
    jw_object_end(&w);
    manager_link_post(check->cache->manager, "/internal/v1/tokens/check", buf_bytes(&body),
                      on_checked, check);
    buf_wipe(&body);
}

void
principals_check(struct principals *cache, const char *token, const char *proof, principal_fn *fn,
                 void *ctx)
{
    uint8_t hash[SHA256_SIZE];
    struct entry *entry;
    struct check *check;

    sha256(hash, bytes_of_str(token));
    HASH_FIND(hh, cache->entries, hash, sizeof hash, entry);
    if (entry != NULL && proof == NULL && is_usable(cache, entry)) {
        fn(ctx, &entry->principal, 200, NULL);
        return;
    }
    if ((check = calloc(1, sizeof *check)) == NULL) {
        fn(ctx, NULL, 503, NULL);
        return;
    }
    *check = (struct check){
        .cache = cache, .drops = cache->drops, .is_cacheable = proof == NULL, .fn = fn, .ctx = ctx};
    memcpy(check->hash, hash, sizeof hash);
    ask(check, token, proof);
}
