/* data_dir.h - which data folder a command speaks of, and its platform's settings. Internal to
 * cmd/. */
#ifndef PARLEY_CMD_DATA_DIR_H
#define PARLEY_CMD_DATA_DIR_H

#include <stddef.h>

#include "base/err.h"

/* given, else $PARLEY_DATA_DIR, else /var/lib/parley as root, else ~/.local/share/parley. */
NODISCARD enum rc data_dir_resolve(char *out, size_t out_size, const char *given, struct err *err);

#endif
