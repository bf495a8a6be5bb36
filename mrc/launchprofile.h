/* SPDX-License-Identifier: GPL-2.0-or-later */
/* launchprofile.h: where launch profiles are kept on the head (docs/profiles.md), one file per command.
 * Must not know: what a profile says. Nothing here is an error of the job: without a profile it only waits more. */
#ifndef MRC_LAUNCHPROFILE_H
#define MRC_LAUNCHPROFILE_H

#include "common/base/wire.h"
#include "mrc/options.h"
#include "mrc/trees.h"

#include <stdint.h>

enum {
    MRC_PROFILES_MAX = 256,          /* files; then the oldest go */
    MRC_PROFILE_NAME_BYTES = 64 + 1, /* a hash in hex */
};

struct mrc_profile {
    bool is_on; /* what the job asks for is to be kept */
    /* The file of this very command, and that of its program in this directory. */
    char names[2][MRC_PROFILE_NAME_BYTES];
    struct bytes given; /* what such a command asked for last time, may be empty */
    uint8_t *room;
};

void mrc_profile_load(struct mrc_profile *p, const struct mrc_options *o,
                      const struct mrc_trees *t);
/* The job has ended and asked for this, as the target says. */
void mrc_profile_save(const struct mrc_profile *p, struct bytes used);
void mrc_profile_fini(struct mrc_profile *p);

#endif
