/* SPDX-License-Identifier: GPL-2.0-or-later */
/* names.c: the kernel's requests about names: looking them up, making, renaming and removing
 * them. Must not know: how the directories were mounted. */
#include "mrc/agent/mergefuse/parts.h"

#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>

/* Answers with what path, name in parent, is now; gives names back. */
static void reply_entry(fuse_req_t req, int rc, fuse_ino_t parent, const char *name,
                        const char *path)
{
    struct fuse_entry_param e;
    if (rc >= 0)
        rc = mergefuse_find_entry(parent, name, path, &e);
    mergefuse_end();
    if (rc < 0)
        mergefuse_reply(req, rc);
    else if (fuse_reply_entry(req, &e) < 0)
        mergefuse_forget(e.ino, 1);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    char path[PATH_MAX];
    reply_entry(req, mergefuse_begin(parent, name, path), parent, name, path);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
    mergefuse_forget(ino, count);
    fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *list)
{
    for (size_t i = 0; i < count; i++)
        mergefuse_forget(list[i].ino, list[i].nlookup);
    fuse_reply_none(req);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                     dev_t device)
{
    char path[PATH_MAX];
    int rc = mergefuse_begin(parent, name, path);
    if (rc == 0)
        rc = mergefuse_give(req, merge_mknod(mergefuse_it.merge, path, mode, device), path);
    reply_entry(req, rc, parent, name, path);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    char path[PATH_MAX];
    int rc = mergefuse_begin(parent, name, path);
    if (rc == 0)
        rc = mergefuse_give(req, merge_mkdir(mergefuse_it.merge, path, mode), path);
    reply_entry(req, rc, parent, name, path);
}

static void op_symlink(fuse_req_t req, const char *to, fuse_ino_t parent, const char *name)
{
    char path[PATH_MAX];
    int rc = mergefuse_begin(parent, name, path);
    if (rc == 0)
        rc = mergefuse_give(req, merge_symlink(mergefuse_it.merge, to, path), path);
    reply_entry(req, rc, parent, name, path);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
    char from[PATH_MAX], path[PATH_MAX];
    int rc = mergefuse_begin(parent, name, path);
    if (rc == 0)
        rc = mergefuse_path(ino, NULL, from);
    if (rc == 0)
        rc = merge_link(mergefuse_it.merge, from, path);
    reply_entry(req, rc, parent, name, path);
}

static void remove_name(fuse_req_t req, fuse_ino_t parent, const char *name,
                        int (*fn)(struct merge *, const char *))
{
    char path[PATH_MAX];
    int rc = mergefuse_begin_change(parent, name, path);
    if (rc == 0)
        rc = fn(mergefuse_it.merge, path);
    if (rc == 0) {
        pthread_mutex_lock(&mergefuse_it.table);
        nodes_remove(&mergefuse_it.nodes, mergefuse_node(parent), name);
        pthread_mutex_unlock(&mergefuse_it.table);
    }
    mergefuse_end();
    mergefuse_reply(req, rc);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    remove_name(req, parent, name, merge_unlink);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    remove_name(req, parent, name, merge_rmdir);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to,
                      const char *to_name, unsigned flags)
{
    char from_path[PATH_MAX], to_path[PATH_MAX];
    int rc = mergefuse_begin_change(parent, name, from_path);
    if (rc == 0)
        rc = mergefuse_path(to, to_name, to_path);
    if (rc == 0)
        rc = merge_rename(mergefuse_it.merge, from_path, to_path, flags);
    if (rc == 0) {
        pthread_mutex_lock(&mergefuse_it.table);
        rc = nodes_rename(&mergefuse_it.nodes, mergefuse_node(parent), name, mergefuse_node(to),
                          to_name, flags & RENAME_EXCHANGE);
        pthread_mutex_unlock(&mergefuse_it.table);
    }
    mergefuse_end();
    mergefuse_reply(req, rc);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
    char path[PATH_MAX], to[PATH_MAX];
    int rc = mergefuse_begin(ino, NULL, path);
    if (rc == 0)
        rc = merge_readlink(mergefuse_it.merge, path, to, sizeof to - 1);
    mergefuse_end();
    if (rc < 0) {
        mergefuse_reply(req, rc);
        return;
    }
    to[rc] = 0;
    fuse_reply_readlink(req, to);
}

void mergefuse_names(struct fuse_lowlevel_ops *ops)
{
    ops->lookup = op_lookup;
    ops->forget = op_forget;
    ops->forget_multi = op_forget_multi;
    ops->readlink = op_readlink;
    ops->mknod = op_mknod;
    ops->mkdir = op_mkdir;
    ops->unlink = op_unlink;
    ops->rmdir = op_rmdir;
    ops->symlink = op_symlink;
    ops->rename = op_rename;
    ops->link = op_link;
}
