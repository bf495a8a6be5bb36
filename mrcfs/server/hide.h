/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hide.h: which names the client must not see.
 * Must not know: files; paths are text here.
 * Source: mrcfs/mrcfs.h, struct mfs_serve_opts. */
#ifndef MRCFS_SERVER_HIDE_H
#define MRCFS_SERVER_HIDE_H

#include "common/base/attr.h"
#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* Patterns are borrowed as long as this lives. */
struct mfs_hide {
    const char *const *hide;
    size_t hide_count;
    const char *const *show;
    size_t show_count;
    bool has_paths; /* some pattern is an absolute path, so that directories' paths matter */
};

/* Returns 0; -EINVAL with words for a pattern that is neither an absolute clean path (no "//",
 * "." or "..", no slash at the end) nor a name without slashes; -E2BIG for too many. */
MUST int mfs_hide_init(struct mfs_hide *h, const char *const *hide, size_t hide_count,
                       const char *const *show, size_t show_count, struct err *e);

/* Is name in the directory dir (absolute path; only read if has_paths) hidden? */
bool mfs_hide_is_hidden(const struct mfs_hide *h, const char *dir, const char *name);
/* Does something hidden by its path lie beneath dir/name? Moving that directory would uncover
 * it. */
bool mfs_hide_is_above(const struct mfs_hide *h, const char *dir, const char *name);

/* Could a name in the directory dir (absolute path) or beneath it be hidden? */
bool mfs_hide_may_be_in(const struct mfs_hide *h, const char *dir);

/* Is this pattern an absolute path of which nothing is shown? */
bool mfs_hide_is_whole(const struct mfs_hide *h, const char *pattern);

#endif
