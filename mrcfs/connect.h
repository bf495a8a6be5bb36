/* SPDX-License-Identifier: GPL-2.0-or-later */
/* connect.h: from "[user@]host:[dir]" to two streams with a file server at their ends.
 * Must not know: FUSE, mounting. */
#ifndef MRCFS_CONNECT_H
#define MRCFS_CONNECT_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "mrcfs/source.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mfs_connect_opts {
    struct mfs_source source;
    const char *port;
    const char *config_file;
    const char *ssh_command;
    const char *const *ssh_options;
    size_t ssh_option_count;
    bool is_read_only;
    bool follows_links;
    uint32_t reconnect_s; /* how long a lost connection is made anew; 0: it is not */
    int verbosity;
};

struct mfs_connection {
    int meta_fd;
    int bulk_fd;
    pid_t pid; /* a child of ours that ends when the streams do, or 0 */
};

/* Host "local" is this computer: a server process is forked, no network is used. Returns 0, or
 * -errno with words. */
MUST int mfs_connect(const struct mfs_connect_opts *o, struct mfs_connection *out,
                     struct err *e);

#endif
