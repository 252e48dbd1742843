/* http.c - the names of methods and statuses, as tables. Source: RFC 9110. */
#include "http/http.h"

#include "base/attr.h"

static const char *const method_names[HTTP_METHODS] = {
    [HTTP_GET] = "GET",         [HTTP_POST] = "POST",     [HTTP_PUT] = "PUT",
    [HTTP_PATCH] = "PATCH",     [HTTP_DELETE] = "DELETE", [HTTP_HEAD] = "HEAD",
    [HTTP_OPTIONS] = "OPTIONS", [HTTP_OTHER] = "OTHER",
};

static const struct status_row {
    int status;
    const char *text;
} status_rows[] = {
    {200, "OK"                     },
    {201, "Created"                },
    {202, "Accepted"               },
    {204, "No Content"             },
    {206, "Partial Content"        },
    {301, "Moved Permanently"      },
    {302, "Found"                  },
    {303, "See Other"              },
    {304, "Not Modified"           },
    {307, "Temporary Redirect"     },
    {308, "Permanent Redirect"     },
    {400, "Bad Request"            },
    {401, "Unauthorized"           },
    {403, "Forbidden"              },
    {404, "Not Found"              },
    {405, "Method Not Allowed"     },
    {408, "Request Timeout"        },
    {409, "Conflict"               },
    {410, "Gone"                   },
    {412, "Precondition Failed"    },
    {413, "Content Too Large"      },
    {415, "Unsupported Media Type" },
    {416, "Range Not Satisfiable"  },
    {422, "Unprocessable Content"  },
    {429, "Too Many Requests"      },
    {431, "Header Fields Too Large"},
    {500, "Internal Server Error"  },
    {501, "Not Implemented"        },
    {502, "Bad Gateway"            },
    {503, "Service Unavailable"    },
    {504, "Gateway Timeout"        },
    {507, "Insufficient Storage"   },
};

const char *
http_method_name(enum http_method method)
{
    return method_names[method];
}

enum http_method
http_method_read(const char *name)
{
    for (unsigned i = 0; i < HTTP_OTHER; i++)
        if (strcmp(name, method_names[i]) == 0)
            return (enum http_method)i;
    return HTTP_OTHER;
}

const char *
http_status_text(int status)
{
    for (size_t i = 0; i < ARRAY_LEN(status_rows); i++)
        if (status_rows[i].status == status)
            return status_rows[i].text;
    return "Unknown";
}
