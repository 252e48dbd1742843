/* data_dir.c - see data_dir.h. */
#include "cmd/data_dir.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum rc
data_dir_resolve(char *out, size_t out_size, const char *given, struct err *err)
{
    const char *env = getenv("PARLEY_DATA_DIR"), *home = getenv("HOME"),
               *xdg = getenv("XDG_DATA_HOME");
    int n;

    if (given != NULL && given[0] != '\0')
        n = snprintf(out, out_size, "%s", given);
    else if (env != NULL && env[0] != '\0')
        n = snprintf(out, out_size, "%s", env);
    else if (geteuid() == 0)
        n = snprintf(out, out_size, "/var/lib/parley");
    else if (xdg != NULL && xdg[0] == '/')
        n = snprintf(out, out_size, "%s/parley", xdg);
    else
        n = snprintf(out, out_size, "%s/.local/share/parley", home != NULL ? home : "/tmp");
    if (n < 0 || (size_t)n >= out_size)
        return err_set(err, RC_INVAL, "data_dir", "the path of the data folder is too long");
    return RC_OK;
}
