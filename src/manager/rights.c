/* rights.c - permissions by name, and what a principal sees; see rights.h. */
#include "manager/rights.h"

static const struct permission_row {
    const char *name;
    enum permission bit;
} permissions[PERM_NAMES] = {
    {"whatsapp_business_management", PERM_MANAGEMENT},
    {"whatsapp_business_messaging",  PERM_MESSAGING },
    {"business_management",          PERM_BUSINESS  },
};

const char *
permission_name(unsigned i)
{
    return permissions[i].name;
}

enum permission
permission_at(unsigned i)
{
    return permissions[i].bit;
}

void
permission_put(struct json_writer *jw, uint32_t scopes)
{
    jw_array(jw);
    for (unsigned i = 0; i < PERM_NAMES; i++) {
        if (scopes & permissions[i].bit)
            jw_str(jw, permissions[i].name);
    }
    jw_array_end(jw);
}

uint32_t
permission_read(const char *name)
{
    for (unsigned i = 0; i < PERM_NAMES; i++) {
        if (strcmp(name, permissions[i].name) == 0)
            return permissions[i].bit;
    }
    return 0;
}

const char *
principal_kind_name(enum principal_kind kind)
{
    return kind == PRINCIPAL_APP ? "APP" : "SYSTEM_USER";
}

bool
rights_see_waba(const struct principal *p, uint64_t business, uint64_t waba)
{
    if (p->kind != PRINCIPAL_USER || p->business != business)
        return false;
    for (unsigned i = 0; i < p->n_wabas; i++) {
        if (p->wabas[i] == waba)
            return true;
    }
    return p->n_wabas == 0;
}

static enum rc
see_business(struct work *w, const struct principal *p, uint64_t id, struct err *err)
{
    struct business b;

    return p->business == id ? business_load(&b, w, id, LIVE_ONLY, err) : RC_NOTFOUND;
}

static enum rc
see_waba(struct work *w, const struct principal *p, uint64_t id, struct err *err)
{
    struct waba waba;
    enum rc rc = waba_load(&waba, w, id, LIVE_ONLY, err);

    return rc == RC_OK && !rights_see_waba(p, waba.business, id) ? RC_NOTFOUND : rc;
}

static enum rc
see_number(struct work *w, const struct principal *p, uint64_t id, struct err *err)
{
    struct number n;
    enum rc rc = number_load(&n, w, id, LIVE_ONLY, err);

    return rc == RC_OK && !rights_see_waba(p, n.business, n.waba) ? RC_NOTFOUND : rc;
}

static enum rc
see_app(struct work *w, const struct principal *p, uint64_t id, struct err *err)
{
    uint64_t business;

    /* the principal's own app was loaded with it and is live */
    return p->app == id ? home_find(&business, w, id, err) : RC_NOTFOUND;
}

static const struct see_row {
    enum object_kind kind;
    enum rc (*see)(struct work *w, const struct principal *p, uint64_t id, struct err *err);
} sees[] = {
    {OBJECT_BUSINESS, see_business},
    {OBJECT_WABA,     see_waba    },
    {OBJECT_NUMBER,   see_number  },
    {OBJECT_APP,      see_app     },
};

enum rc
rights_see(struct work *w, const struct principal *p, uint64_t id, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(sees); i++) {
        if (sees[i].kind != object_id_kind(id))
            continue;
        enum rc rc = sees[i].see(w, p, id, err);

        if (rc != RC_NOTFOUND)
            return rc; /* seen, or the store failed */
        break;
    }
    return err_set(err, RC_NOTFOUND, "rights", "no such object, or not visible");
}
