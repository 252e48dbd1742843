/* http.h - what server and client share: methods, headers, names of statuses. */
#ifndef PARLEY_HTTP_HTTP_H
#define PARLEY_HTTP_HTTP_H

#include "base/bytes.h"

enum http_method {
    HTTP_GET,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_HEAD,
    HTTP_OPTIONS,
    HTTP_OTHER,
    HTTP_METHODS
};

struct http_header {
    const char *name;
    const char *value;
};

/* Static strings. HTTP_OTHER is "OTHER"; a status without a name is "Unknown". */
const char *http_method_name(enum http_method method);
const char *http_status_text(int status);
/* Methods are case-sensitive (RFC 9110, 9.1); what is not in the list is HTTP_OTHER. */
enum http_method http_method_read(const char *name);

#endif
