/* SPDX-License-Identifier: GPL-2.0-or-later */
/* source.h: what is mounted, as the user names it.
 * Must not know: how to connect to it. */
#ifndef MRCFS_SOURCE_H
#define MRCFS_SOURCE_H

#include "common/base/attr.h"
#include "common/base/err.h"

/* "[user@]host:[dir]"; in brackets the host may be an address with colons. Cut up in place. */
struct mfs_source {
    const char *user; /* NULL: from the configuration */
    const char *host;
    const char *dir; /* empty: the home directory there */
};
MUST int mfs_source_parse(char *text, struct mfs_source *out, struct err *e);

#endif
