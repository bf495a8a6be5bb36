/* SPDX-License-Identifier: GPL-2.0-or-later */
/* firstlaunch.h: a launch profile for a command that has none yet: what it will certainly ask
 * for, as far as that can be told from here: the program, its interpreter and libraries, and
 * the files that its words name. Must not know: connections. Nothing here is an error of the
 * job: what can't be found out is left out. */
#ifndef MRC_FIRSTLAUNCH_H
#define MRC_FIRSTLAUNCH_H

#include "common/base/attr.h"
#include "mrc/options.h"
#include "mrc/trees.h"

#include <stddef.h>
#include <stdint.h>

enum {
    MRC_FIRST_LIBRARIES_MAX = 128,   /* of a program, with those that they need */
    MRC_FIRST_LOOKS_MAX = 1024,      /* files that are opened to find them */
    MRC_FIRST_WORDS_MAX = 64,        /* of the command that may name files */
    MRC_FIRST_CACHE_BYTES = 4 << 20, /* of /etc/ld.so.cache */
};

/* Into room, MFS_PROFILE_MAX bytes. search: the job's PATH, or NULL; library_path: its
 * LD_LIBRARY_PATH, or NULL. Returns the profile's length; 0: there is nothing to say. */
MUST size_t mrc_first_launch(const struct mrc_options *o, const struct mrc_trees *t,
                             const char *search, const char *library_path, uint8_t *room);

#endif
