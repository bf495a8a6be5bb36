/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mountopts.h: what mrcfs takes after -o: its own names, sshfs's, mount(8)'s and ssh's.
 * Must not know: how to mount or connect. */
#ifndef MRCFS_MOUNTOPTS_H
#define MRCFS_MOUNTOPTS_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "mrcfs/mrcfs.h"

#include <stdbool.h>
#include <stddef.h>

enum { MFS_SSH_OPTIONS_MAX = 64 };

struct mfs_mount_opts {
    unsigned long flags; /* MS_*; nosuid and nodev unless told otherwise */
    const char *port;
    const char *ssh_command;
    const char *fsname;
    const char *uidfile;
    const char *gidfile;
    enum mfs_idmap_kind idmap;
    enum mfs_compress compress;
    bool has_no_cache;
    bool is_nomap_ignore;
    long long uid; /* -1: as the server has it */
    long long gid;
    long long umask;
    bool allow_other;
    bool allow_root;
    bool is_strict;
    bool is_loose;
    bool follows_links;
    bool default_permissions;
    bool is_debug;
    const char *ssh_options[MFS_SSH_OPTIONS_MAX]; /* Name=value */
    size_t ssh_option_count;
    const char *reconnect; /* a time, "" the usual one; NULL: a lost connection ends the mount */
};

void mfs_mount_opts_init(struct mfs_mount_opts *o);
/* Takes a list with commas ("\," is a comma in a value). text is cut up and kept. Returns 0, or
 * -EINVAL with words. */
MUST int mfs_mount_opts_parse(struct mfs_mount_opts *o, char *text, struct err *e);

#endif
