/* operator.h - what the operator routes share: lists, ids of a body, the usual answers; and the
 * handlers that the table in routes_operator.c names. Internal to src/manager. */
#ifndef PARLEY_MANAGER_OPERATOR_H
#define PARLEY_MANAGER_OPERATOR_H

#include "manager/call.h"

/* A list being written: {"data":[ … ]}; also used to write one object. */
struct operator_list {
    struct json_writer jw;
};
void operator_list_begin(struct operator_list *list, struct call *call);
void operator_list_end(struct operator_list *list);
/* {"success":true} if rc is RC_OK; rc. */
enum rc operator_success(struct call *call, enum rc rc);
/* The id in a member of the body; 0 when it is absent and not required. */
NODISCARD enum rc operator_body_id(uint64_t *out, const struct call *call, const char *key,
                                   bool is_required, struct err *err);
/* Lists are of one business: ?business_id= must be there. */
NODISCARD enum rc operator_need_business(const struct call *call, struct err *err);
/* "created_at" and "is_revoked", which end every object. */
void operator_put_tail(struct json_writer *jw, int64_t created_s, int64_t revoked_s);

NODISCARD enum rc operator_business_create(struct call *call, struct work *w, struct err *err);
NODISCARD enum rc operator_business_list(struct call *call, struct work *w, struct err *err);
NODISCARD enum rc operator_business_show(struct call *call, struct work *w, struct err *err);
NODISCARD enum rc operator_business_remove(struct call *call, struct work *w, struct err *err);
NODISCARD enum rc operator_waba_create(struct call *call, struct work *w, struct err *err);
NODISCARD enum rc operator_waba_list(struct call *call, struct work *w, struct err *err);
NODISCARD enum rc operator_waba_show(struct call *call, struct work *w, struct err *err);
NODISCARD enum rc operator_waba_remove(struct call *call, struct work *w, struct err *err);
NODISCARD enum rc operator_number_create(struct call *call, struct work *w, struct err *err);
NODISCARD enum rc operator_number_list(struct call *call, struct work *w, struct err *err);
NODISCARD enum rc operator_number_show(struct call *call, struct work *w, struct err *err);
NODISCARD enum rc operator_number_remove(struct call *call, struct work *w, struct err *err);
NODISCARD enum rc operator_app_create(struct call *call, struct work *w, struct err *err);
NODISCARD enum rc operator_app_list(struct call *call, struct work *w, struct err *err);
NODISCARD enum rc operator_app_show(struct call *call, struct work *w, struct err *err);
NODISCARD enum rc operator_app_remove(struct call *call, struct work *w, struct err *err);
NODISCARD enum rc operator_token_create(struct call *call, struct work *w, struct err *err);
NODISCARD enum rc operator_token_list(struct call *call, struct work *w, struct err *err);
NODISCARD enum rc operator_token_show(struct call *call, struct work *w, struct err *err);
NODISCARD enum rc operator_token_remove(struct call *call, struct work *w, struct err *err);

#endif
