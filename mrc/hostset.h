/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hostset.h: the names of several hosts from a short way of writing them.
 * Must not know: what a host is.
 * A list is separated by commas, blanks or newlines. A name may hold numbers in brackets,
 * "n[1-8,12]" or "n[01-16].site[1-2]": each gives a name, in order, and zeros in front of the
 * first number tell the width. Other brackets stay: they are of IPv6 addresses. From "#" to the
 * end of a line is comment. A name that was there already counts once. */
#ifndef MRC_HOSTSET_H
#define MRC_HOSTSET_H

#include "common/base/attr.h"
#include "common/base/err.h"

#include <stddef.h>

enum {
    MRC_HOSTS_MAX = 4096,
    MRC_HOSTS_FILE_MAX = 1 << 20, /* bytes */
    MRC_HOSTS_NAME_MAX = 512      /* bytes of a name with user and port, and a NUL */
};

/* Zeroed = empty. */
struct mrc_hostset {
    char **names;
    size_t count;
};

/* Adds the names of a text. Returns 0; -EINVAL for brackets that don't end and the like, -E2BIG
 * for more than MRC_HOSTS_MAX names or a longer one than MRC_HOSTS_NAME_MAX, -ENOMEM. */
MUST int mrc_hostset_add(struct mrc_hostset *h, const char *text, struct err *e);

/* Adds the names of a file; "-" is standard input. Returns as above, or -errno of the file. */
MUST int mrc_hostset_add_file(struct mrc_hostset *h, const char *path, struct err *e);

void mrc_hostset_fini(struct mrc_hostset *h);

#endif
