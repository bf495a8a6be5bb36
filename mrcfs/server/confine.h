/* SPDX-License-Identifier: GPL-2.0-or-later */
/* confine.h: takes from this process what serving does not need.
 * Must not know: what is served beyond the directories.
 * Threads: applies to the calling thread and those it starts later: call it first. */
#ifndef MRCFS_SERVER_CONFINE_H
#define MRCFS_SERVER_CONFINE_H

#include "common/base/attr.h"
#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct mfs_confined_dir {
    int fd; /* O_PATH */
    bool is_read_only;
};

/* No new privileges; with Landlock (Linux 5.19 on: the first version that can rename between
 * directories) no file outside the directories can be opened, made or removed, no program run,
 * no device driven, and, as far as the kernel knows how, no TCP connection made and no signal
 * sent to others. Returns the Landlock version in force, 0 when there is none (note says why),
 * or -errno with words in note when something that should have worked did not. */
MUST int mfs_confine(const struct mfs_confined_dir *dirs, size_t count, struct err *note);

#endif
