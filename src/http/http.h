/* http.h - what server and client share: methods, headers, names of statuses. */
#ifndef PARLEY_HTTP_HTTP_H
#define PARLEY_HTTP_HTTP_H

#include "base/bytes.h"

enum http_method { HTTP_GET, HTTP_POST, HTTP_PUT, HTTP_DELETE, HTTP_HEAD, HTTP_OPTIONS, HTTP_OTHER };

struct http_header {
    const char *name;
    const char *value;
};

const char *http_method_name(enum http_method method);
const char *http_status_text(int status);

#endif
