/* graph_waba.c - the WABA and business nodes, and their lists of numbers and WABAs. */
#include "manager/graph.h"

#include <stdlib.h>

struct waba_view {
    const struct waba *waba;
    const struct business *business;
};

static void
put_name(struct json_writer *jw, const char *name, const void *object)
{
    jw_kv_str(jw, name, ((const struct waba_view *)object)->waba->name);
}

static void
put_namespace(struct json_writer *jw, const char *name, const void *object)
{
    jw_kv_str(jw, name, ((const struct waba_view *)object)->waba->namespace);
}

static void
put_timezone(struct json_writer *jw, const char *name, const void *object)
{
    jw_kv_str(jw, name, "0"); /* unknown time zone in the platform's numbering: UTC */
}

static void
put_review(struct json_writer *jw, const char *name, const void *object)
{
    jw_kv_str(jw, name, "APPROVED"); /* the operator made it: nobody else reviews */
}

static void
put_status(struct json_writer *jw, const char *name, const void *object)
{
    jw_kv_str(jw, name, "ACTIVE");
}

static void
put_ownership(struct json_writer *jw, const char *name, const void *object)
{
    jw_kv_str(jw, name, "SELF");
}

static void
put_created(struct json_writer *jw, const char *name, const void *object)
{
    jw_kv_int(jw, name, ((const struct waba_view *)object)->waba->created_s);
}

static void
put_owner(struct json_writer *jw, const char *name, const void *object)
{
    const struct business *b = ((const struct waba_view *)object)->business;

    jw_key(jw, name);
    jw_object(jw);
    jw_kv_str(jw, "name", b->name);
    jw_kv_u64_str(jw, "id", b->id);
    jw_object_end(jw);
}

static void
put_insights(struct json_writer *jw, const char *name, const void *object)
{
    jw_kv_bool(jw, name, false);
}

static const struct graph_field waba_fields[] = {
    {"name",                                      true,  put_name     },
    {"timezone_id",                               true,  put_timezone },
    {"message_template_namespace",                true,  put_namespace},
    {"account_review_status",                     false, put_review   },
    {"analytics",                                 false, NULL         },
    {"auth_international_rate_eligibility",       false, NULL         },
    {"business_verification_status",              false, NULL         },
    {"conversation_analytics",                    false, NULL         },
    {"country",                                   false, NULL         },
    {"creation_time",                             false, put_created  },
    {"currency",                                  false, NULL         },
    {"health_status",                             false, NULL         },
    {"is_enabled_for_insights",                   false, put_insights },
    {"linked_commerce_account",                   false, NULL         },
    {"marketing_messages_lite_api_status",        false, NULL         },
    {"marketing_messages_onboarding_status",      false, NULL         },
    {"on_behalf_of_business_info",                false, NULL         },
    {"owner_business",                            false, put_owner    },
    {"owner_business_info",                       false, put_owner    },
    {"ownership_type",                            false, put_ownership},
    {"phone_numbers",                             false, NULL         }, /* put by graph_waba_get */
    {"pricing_analytics",                         false, NULL         },
    {"primary_business_location",                 false, NULL         },
    {"primary_funding_id",                        false, NULL         },
    {"purchase_order_number",                     false, NULL         },
    {"status",                                    false, put_status   },
    {"template_analytics",                        false, NULL         },
    {"whatsapp_business_manager_messaging_limit", false, NULL         },
};

/* ---- numbers of a WABA ---- */

struct number_row {
    uint64_t id;
    int64_t onboarded_s, created_s;
};

struct number_list {
    struct number_row row[NUMBERS_PER_BUSINESS_MAX];
    uint64_t ids[NUMBERS_PER_BUSINESS_MAX];
    unsigned n;
    uint64_t waba, last;
    unsigned seen; /* rows of the page read, of other WABAs too */
};

static enum rc
collect(void *ctx, const struct number *n, struct err *err)
{
    struct number_list *list = ctx;

    list->last = n->id;
    list->seen++;
    if (n->waba == list->waba && n->revoked_s == 0 && list->n < NUMBERS_PER_BUSINESS_MAX)
        list->row[list->n++] = (struct number_row){n->id, n->onboarded_s, n->created_s};
    return RC_OK;
}

/* Latest registered first, then by age and id: the order that lists have without `sort`. */
static int
by_onboarded(const void *a, const void *b)
{
    const struct number_row *x = a, *y = b;

    if (x->onboarded_s != y->onboarded_s)
        return x->onboarded_s > y->onboarded_s ? -1 : 1;
    if (x->created_s != y->created_s)
        return x->created_s < y->created_s ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

static enum rc
list_numbers(struct number_list *list, struct graph_call *call, const struct waba *waba,
             struct err *err)
{
    enum rc rc;

    memset(list, 0, sizeof(*list));
    list->waba = waba->id;
    do {
        list->seen = 0;
        rc = number_each(call->w, waba->business, list->last, collect, list, err);
    } while (rc == RC_OK && list->seen == LIST_MAX);
    qsort(list->row, list->n, sizeof(list->row[0]), by_onboarded);
    for (unsigned i = 0; i < list->n; i++)
        list->ids[i] = list->row[i].id;
    return rc;
}

/* {"data":[…],"paging":…}; nothing is written when *refused. */
static enum rc
put_numbers(struct json_writer *jw, bool *refused, struct graph_call *call, const struct waba *waba,
            const char *fields, struct err *err)
{
    struct graph_selection selection;
    struct number_list *list = NULL;
    struct graph_number look;
    struct business business;
    struct graph_page page;
    struct number n;
    char bad[64];
    enum rc rc = RC_OK;

    *refused = true;
    if (!graph_select(&selection, bad, graph_number_fields, graph_number_fields_n, fields))
        return graph_refuse(call, GRAPH_NO_FIELD,
                            "Tried accessing nonexisting field (%s) on node type "
                            "(WhatsAppBusinessPhoneNumber)",
                            bad);
    if ((list = malloc(sizeof(*list))) == NULL)
        return err_set(err, RC_NOMEM, "graph.numbers", "no memory");
    if ((rc = list_numbers(list, call, waba, err)) != RC_OK ||
        (rc = business_load(&business, call->w, waba->business, LIVE_ONLY, err)) != RC_OK ||
        !graph_page_open(&page, call, list->ids, list->n))
        goto out;
    *refused = false;
    jw_object(jw);
    jw_key(jw, "data");
    jw_array(jw);
    for (unsigned i = page.from; i < page.to; i++) {
        if ((rc = number_load(&n, call->w, list->ids[i], LIVE_ONLY, err)) != RC_OK ||
            (rc = graph_number_look(&look, call, &n, &business, err)) != RC_OK)
            goto out;
        graph_put_fields(jw, &selection, n.id, &look);
    }
    jw_array_end(jw);
    graph_page_put(jw, &page, call);
    jw_object_end(jw);
out:
    free(list);
    return rc;
}

enum rc
graph_waba_numbers(struct graph_call *call, struct err *err)
{
    struct json_writer jw;
    struct waba waba;
    bool refused;
    enum rc rc;

    if ((rc = waba_load(&waba, call->w, call->node, LIVE_ONLY, err)) != RC_OK)
        return rc;
    jw_init(&jw, call->body);
    return put_numbers(&jw, &refused, call, &waba, graph_param(call, "fields"), err);
}

enum rc
graph_waba_get(struct graph_call *call, struct err *err)
{
    struct graph_selection selection;
    struct waba_view view;
    struct business business;
    struct json_writer jw;
    struct waba waba;
    char bad[64];
    enum rc rc;

    if (!graph_select(&selection, bad, waba_fields, ARRAY_LEN(waba_fields),
                      graph_param(call, "fields")))
        return graph_refuse(call, GRAPH_NO_FIELD,
                            "Tried accessing nonexisting field (%s) on node type "
                            "(WhatsAppBusinessAccount)",
                            bad);
    if ((rc = waba_load(&waba, call->w, call->node, LIVE_ONLY, err)) != RC_OK ||
        (rc = business_load(&business, call->w, waba.business, LIVE_ONLY, err)) != RC_OK)
        return rc;
    view.waba = &waba;
    view.business = &business;
    jw_init(&jw, call->body);
    jw_object(&jw);
    for (unsigned i = 0; i < selection.n; i++) {
        const struct graph_field *field = selection.field[i];

        if (field->write != NULL) {
            field->write(&jw, field->name, &view);
        } else if (strcmp(field->name, "phone_numbers") == 0) {
            char inner[512] = "";
            bool refused;

            if (selection.inner[i].len < sizeof(inner) && selection.inner[i].len > 0)
                memcpy(inner, selection.inner[i].ptr, selection.inner[i].len);
            jw_key(&jw, field->name);
            rc = put_numbers(&jw, &refused, call, &waba, inner, err);
            if (rc != RC_OK || refused)
                return rc; /* a refusal has replaced the body */
        }
    }
    jw_kv_u64_str(&jw, "id", waba.id);
    jw_object_end(&jw);
    return RC_OK;
}

/* ---- business ---- */

static void
put_business_name(struct json_writer *jw, const char *name, const void *object)
{
    jw_kv_str(jw, name, ((const struct business *)object)->name);
}

static void
put_business_created(struct json_writer *jw, const char *name, const void *object)
{
    jw_kv_int(jw, name, ((const struct business *)object)->created_s);
}

static const struct graph_field business_fields[] = {
    {"name",                                      true,  put_business_name   },
    {"created_time",                              false, put_business_created},
    {"link",                                      false, NULL                },
    {"primary_page",                              false, NULL                },
    {"timezone_id",                               false, NULL                },
    {"verification_status",                       false, NULL                },
    {"whatsapp_business_manager_messaging_limit", false, NULL                },
};

enum rc
graph_business_get(struct graph_call *call, struct err *err)
{
    struct graph_selection selection;
    struct business business;
    struct json_writer jw;
    char bad[64];
    enum rc rc;

    if (!graph_select(&selection, bad, business_fields, ARRAY_LEN(business_fields),
                      graph_param(call, "fields")))
        return graph_refuse(call, GRAPH_NO_FIELD,
                            "Tried accessing nonexisting field (%s) on node type (Business)", bad);
    if ((rc = business_load(&business, call->w, call->node, LIVE_ONLY, err)) != RC_OK)
        return rc;
    jw_init(&jw, call->body);
    graph_put_fields(&jw, &selection, business.id, &business);
    return RC_OK;
}

struct waba_list {
    const struct principal *p;
    uint64_t ids[WABAS_PER_BUSINESS_MAX];
    unsigned n;
    uint64_t last;
    unsigned seen; /* rows of the page read, revoked ones too */
};

static enum rc
collect_waba(void *ctx, const struct waba *waba, struct err *err)
{
    struct waba_list *list = ctx;

    list->last = waba->id;
    list->seen++;
    if (waba->revoked_s == 0 && rights_see_waba(list->p, waba->business, waba->id) &&
        list->n < WABAS_PER_BUSINESS_MAX)
        list->ids[list->n++] = waba->id;
    return RC_OK;
}

enum rc
graph_business_wabas(struct graph_call *call, struct err *err)
{
    struct waba_list list = {.p = call->p};
    struct graph_selection selection;
    struct waba_view view;
    struct business business;
    struct graph_page page;
    struct json_writer jw;
    struct waba waba;
    char bad[64];
    enum rc rc;

    if (!graph_select(&selection, bad, waba_fields, ARRAY_LEN(waba_fields),
                      graph_param(call, "fields")))
        return graph_refuse(call, GRAPH_NO_FIELD,
                            "Tried accessing nonexisting field (%s) on node type "
                            "(WhatsAppBusinessAccount)",
                            bad);
    rc = business_load(&business, call->w, call->node, LIVE_ONLY, err);
    do {
        list.seen = 0;
        if (rc == RC_OK)
            rc = waba_each(call->w, call->node, list.last, collect_waba, &list, err);
    } while (rc == RC_OK && list.seen == LIST_MAX);
    if (rc != RC_OK)
        return rc;
    if (!graph_page_open(&page, call, list.ids, list.n))
        return RC_OK;
    view.business = &business;
    view.waba = &waba;
    jw_init(&jw, call->body);
    jw_object(&jw);
    jw_key(&jw, "data");
    jw_array(&jw);
    for (unsigned i = page.from; i < page.to; i++) {
        if ((rc = waba_load(&waba, call->w, list.ids[i], LIVE_ONLY, err)) != RC_OK)
            return rc;
        graph_put_fields(&jw, &selection, waba.id, &view);
    }
    jw_array_end(&jw);
    graph_page_put(&jw, &page, call);
    jw_object_end(&jw);
    return RC_OK;
}
