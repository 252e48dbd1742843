/* provision.h - everything that a business needs to begin, in one transaction.
 *
 * Business, WABA, number, app subscribed to the WABA, system user, token. Idempotent by name and
 * number. Thread rule: on a store thread. Source: docs/protocol/internal.md, section 3.5. */
#ifndef PARLEY_MANAGER_PROVISION_H
#define PARLEY_MANAGER_PROVISION_H

#include "manager/call.h"

NODISCARD enum rc provision_handle(struct call *call, struct work *w, struct err *err);

#endif
