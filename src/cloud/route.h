/* route.h - one row of the Graph table. Internal to cloud/. */
#ifndef PARLEY_CLOUD_ROUTE_H
#define PARLEY_CLOUD_ROUTE_H

#include "base/object_id.h"
#include "cloud/call.h"

#define SCOPE_EITHER (SCOPE_MESSAGING | SCOPE_MANAGEMENT)
#define SCOPE_MANAGER 0u /* the manager decides */

struct route {
    enum http_method method;
    enum object_kind kind; /* of the first path segment */
    const char *edge;
    uint32_t scope; /* any of these, for a number the token may act on */
    void (*handle)(struct call *call);
};

#endif
