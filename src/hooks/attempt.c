/* attempt.c - one call to a receiver: its address, its signature, and what its answer means.
 *
 * Every attempt sends the stored bytes and the stored event id (I21). Must never log a body, a
 * secret or a whole URL: receivers put tokens into queries. Source: docs/protocol/webhook.md,
 * "Requests". */
#include "hooks/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "crypto/prim.h"
#include "hooks/schedule.h"

#define ADDRESS_KEPT_MS 60000 /* monotonic: then the name is looked up and judged again */
#define ANSWER_MAX 65536u     /* bytes read of an answer; nobody needs them */
#define SECRET_SIZE 129u

struct attempt {
    struct hooks_pump *pump;
    struct hook_target *target;
    struct hook_item *item;
    struct buf body;
};

/* ---- judging ---- */

static void
park(struct hook_target *target, struct hook_item *item, const char *why)
{
    struct hooks_pump *pump = target->pump;

    pump->stats.parked++;
    log_event(pump->opt.log, LOG_WARN, "hooks.parked",
              LOG_HEX("event", bytes_of(item->event_id, 16)), LOG_STR("host", target->parts.host),
              LOG_UINT("tries", item->tries), LOG_STR("why", why));
    target_gave_up(target, item);
    outcome_add(pump, OUTCOME_PARK, item);
}

static void
failed(struct hook_target *target, struct hook_item *item, const char *why)
{
    struct hooks_pump *pump = target->pump;
    int64_t now_ms = pump_now(pump);

    pump->stats.failed_attempts++;
    item->tries++;
    log_event(pump->opt.log, LOG_DEBUG, "hooks.failed",
              LOG_HEX("event", bytes_of(item->event_id, 16)), LOG_STR("host", target->parts.host),
              LOG_UINT("tries", item->tries), LOG_STR("why", why));
    item->next_ms = now_ms + schedule_delay_ms(item->profile, item->tries, pump->opt.rng);
    if (item->next_ms > item->since_ms + schedule_window_ms(item->profile)) {
        park(target, item, why);
    } else {
        outcome_add(pump, OUTCOME_RETRY, item);
        target_retry(target, item);
    }
    target_failed(target);
}

static void
on_done(void *ctx, enum rc rc, int status, struct bytes body, const char *error_text)
{
    struct attempt *attempt = ctx;
    struct hook_target *target = attempt->target;
    struct hook_item *item = attempt->item;
    struct hooks_pump *pump = attempt->pump;
    /* an answer that is too long was an answer */
    bool is_taken = (rc == RC_OK || rc == RC_LIMIT) && schedule_is_taken(item->profile, status);
    char why[32];

    buf_wipe(&attempt->body);
    free(attempt);
    if (pump->is_closing)
        return; /* the index releases the item */
    if (is_taken) {
        pump->stats.delivered++;
        target_succeeded(target, item);
        outcome_add(pump, OUTCOME_TAKEN, item);
        return;
    }
    snprintf(why, sizeof(why), "status %d", status);
    failed(target, item, rc == RC_OK ? why : rc_name(rc));
}

/* ---- addresses ---- */

static struct address_rule
rule_of(const struct hooks_pump *pump)
{
    return (struct address_rule){.allow_private = pump->opt.allow_private_hosts};
}

static void
on_address(void *ctx, enum rc rc, const char *connect_to, const char *text)
{
    struct hook_target *target = ctx;
    struct hooks_pump *pump = target->pump;
    struct hook_item *item;

    target->is_resolving = false;
    pump->n_resolving--;
    if (pump->is_closing) {
        pump_unref(pump);
        return;
    }
    if (rc == RC_OK && strlen(connect_to) < sizeof(target->connect_to)) {
        strcpy(target->connect_to, connect_to);
        target->has_address = true;
        target->address_until_ms = clock_mono_ms(pump->opt.clock) + ADDRESS_KEPT_MS;
    } else if ((item = target_next(target, pump_now(pump))) != NULL) {
        failed(target, item, text);
    }
    target_line_up(target);
    pump_unref(pump);
}

/* False: not yet (the look-up brings the target back into line), or never (the event has failed).
 */
static bool
has_address(struct hook_target *target, int64_t now_ms)
{
    struct hooks_pump *pump = target->pump;
    struct address_rule rule = rule_of(pump);
    struct err err = {.text = "the URL is malformed"};
    struct hook_item *item;

    if (!target->is_url_ok || address_check_url(&target->parts, &rule, &err) != RC_OK) {
        if ((item = target_next(target, now_ms)) != NULL)
            failed(target, item, err.text);
        return false;
    }
    if (rule.allow_private ||
        (target->has_address && clock_mono_ms(pump->opt.clock) < target->address_until_ms))
        return true;
    target->is_resolving = true;
    pump->n_resolving++;
    pump->refs++;
    address_resolve(pump->opt.loop, &target->parts, &rule, on_address, target);
    return false;
}

/* ---- the request ---- */

static void
put_hex(char *out, const char *prefix, struct bytes in)
{
    static const char digits[] = "0123456789abcdef";

    out = stpcpy(out, prefix);
    for (size_t i = 0; i < in.len; i++) {
        *out++ = digits[in.ptr[i] >> 4];
        *out++ = digits[in.ptr[i] & 15];
    }
    *out = '\0';
}

struct signatures {
    char sha1[5 + 40 + 1], sha256[7 + 64 + 1];
};

static void
sign(struct signatures *out, const char *secret, struct bytes body)
{
    uint8_t sha1[20], sha256[SHA256_SIZE];

    hmac_sha1(sha1, bytes_of_str(secret), body);
    hmac_sha256(sha256, bytes_of_str(secret), body);
    put_hex(out->sha1, "sha1=", bytes_of(sha1, sizeof(sha1)));
    put_hex(out->sha256, "sha256=", bytes_of(sha256, sizeof(sha256)));
}

static enum rc
call(struct attempt *attempt, const struct signatures *signatures, struct err *err)
{
    struct hooks_pump *pump = attempt->pump;
    struct hook_target *target = attempt->target;
    char event_id[33];
    const struct http_header headers[] = {
        {"Content-Type",        "application/json"  },
        {"User-Agent",          "facebookexternalua"},
        {"X-Parley-Event-Id",   event_id            },
        {"X-Hub-Signature",     signatures->sha1    },
        {"X-Hub-Signature-256", signatures->sha256  },
    };
    const struct http_call_opt opt = {.method = HTTP_POST,
                                      .url = target->url,
                                      .headers = headers,
                                      .n_headers = attempt->item->app == 0 ? 3 : 5,
                                      .body = buf_bytes(&attempt->body),
                                      .body_is_kept = true,
                                      .connect_to =
                                          pump->opt.allow_private_hosts ? NULL : target->connect_to,
                                      .connect_timeout_ms = pump->opt.connect_timeout_ms,
                                      .total_timeout_ms = pump->opt.total_timeout_ms,
                                      .response_max = ANSWER_MAX,
                                      .on_done = on_done,
                                      .ctx = attempt};

    put_hex(event_id, "", bytes_of(attempt->item->event_id, 16));
    return http_client_call(NULL, pump->client, &opt, err);
}

/* Signatures for the event; false: its app has no secret that we know. */
static bool
sign_for(const struct attempt *attempt, struct signatures *out)
{
    struct hooks_pump *pump = attempt->pump;
    char secret[SECRET_SIZE] = "";
    bool is_known;

    *out = (struct signatures){0};
    if (attempt->item->app == 0)
        return true;
    is_known = pump->opt.secret_of(pump->opt.ctx, attempt->item->app, secret);
    if (is_known)
        sign(out, secret, buf_bytes(&attempt->body));
    bytes_wipe(secret, sizeof(secret));
    return is_known;
}

static void
drop_unreadable(struct hook_target *target, struct hook_item *item)
{
    struct hooks_pump *pump = target->pump;

    log_event(pump->opt.log, LOG_WARN, "hooks.unreadable",
              LOG_HEX("event", bytes_of(item->event_id, 16)));
    target_gave_up(target, item);
    outcome_add(pump, OUTCOME_DROP, item);
}

/* The attempt ends here if nothing could be sent. */
static void
start(struct attempt *attempt)
{
    struct hook_target *target = attempt->target;
    struct hook_item *item = attempt->item;
    struct signatures signatures;
    struct err err;
    enum rc rc = hook_item_open(item, attempt->pump->opt.ring, &attempt->body, &err);

    if (rc == RC_NOTFOUND || rc == RC_AUTH || rc == RC_MALFORMED)
        drop_unreadable(target, item);
    else if (rc != RC_OK)
        failed(target, item, rc_name(rc));
    else if (!sign_for(attempt, &signatures))
        park(target, item, "the app has no secret");
    else if ((rc = call(attempt, &signatures, &err)) == RC_OK)
        return;
    else
        failed(target, item, rc_name(rc));
    buf_wipe(&attempt->body);
    free(attempt);
}

void
attempt_send(struct hook_target *target, int64_t now_ms)
{
    struct attempt *attempt;

    if (!has_address(target, now_ms))
        return;
    if ((attempt = calloc(1, sizeof(*attempt))) == NULL) {
        pump_due_at(target->pump, now_ms + 1000); /* another time */
        return;
    }
    attempt->item = target_next(target, now_ms);
    attempt->pump = target->pump;
    attempt->target = target;
    buf_init(&attempt->body, HOOKS_BODY_MAX);
    start(attempt);
}
