/* profile.h - a profile's life. Internal to phone/; see profile.c and registration.c. */
#ifndef PARLEY_PHONE_PROFILE_H
#define PARLEY_PHONE_PROFILE_H

#include "phone/internal.h"

/* Open all profiles of the store. Blocking. */
NODISCARD enum rc profiles_load(struct phone *phone, struct err *err);
/* Read what the jobs count with and open the endpoint. Blocking. */
NODISCARD enum rc profile_open(struct profile *p, struct err *err);
/* The display name, sealed. */
NODISCARD enum rc profile_name_seal(struct profile *p, struct buf *out, struct err *err);
NODISCARD enum rc profile_name_open(const struct profile *p, struct bytes sealed, struct buf *out,
                                    struct err *err);
/* The relay does not know this registration any more. */
void profile_lost(struct profile *p);
/* Forget profiles that were begun and never registered. */
void profiles_drop_unfinished(struct phone *phone);

#endif
