/* SPDX-License-Identifier: GPL-2.0-or-later */
/* shared.c: what the operations share: paths of nodes, entries for the kernel.
 * Must not know: how the directories were mounted. */
#include "mrc/agent/mergefuse/parts.h"

#include <stdlib.h>
#include <unistd.h>

struct mergefuse mergefuse_it = { .names = PTHREAD_RWLOCK_INITIALIZER,
                                  .table = PTHREAD_MUTEX_INITIALIZER };

void mergefuse_reply(fuse_req_t req, int rc)
{
    fuse_reply_err(req, rc < 0 ? -rc : 0);
}

/* The caller holds names. */
int mergefuse_path(fuse_ino_t ino, const char *name, char text[PATH_MAX])
{
    pthread_mutex_lock(&mergefuse_it.table);
    int rc = node_path(mergefuse_node(ino), name, text, PATH_MAX);
    pthread_mutex_unlock(&mergefuse_it.table);
    return rc;
}

/* Takes names for reading. */
int mergefuse_begin(fuse_ino_t ino, const char *name, char text[PATH_MAX])
{
    pthread_rwlock_rdlock(&mergefuse_it.names);
    return mergefuse_path(ino, name, text);
}

/* Takes names for writing. */
int mergefuse_begin_change(fuse_ino_t ino, const char *name, char text[PATH_MAX])
{
    pthread_rwlock_wrlock(&mergefuse_it.names);
    return mergefuse_path(ino, name, text);
}

void mergefuse_end(void)
{
    pthread_rwlock_unlock(&mergefuse_it.names);
}

/* Real root serves all users: what was made belongs to who made it. */
int mergefuse_give(fuse_req_t req, int rc, const char *path)
{
    const struct fuse_ctx *c = fuse_req_ctx(req);
    if (rc < 0 || geteuid() != 0 || (c->uid == 0 && c->gid == 0))
        return rc;
    int given = merge_chown(mergefuse_it.merge, path, c->uid, c->gid);
    return given == -EPERM || given == -EINVAL ? rc : given; /* only one identity exists */
}

int mergefuse_find_entry(fuse_ino_t parent, const char *name, const char *path,
                         struct fuse_entry_param *e)
{
    *e = (struct fuse_entry_param){ 0 };
    int side = merge_find(mergefuse_it.merge, path, &e->attr);
    if (side < 0)
        return side;
    pthread_mutex_lock(&mergefuse_it.table);
    e->ino = (fuse_ino_t)(uintptr_t)node_get(&mergefuse_it.nodes, mergefuse_node(parent), name);
    pthread_mutex_unlock(&mergefuse_it.table);
    return e->ino ? 0 : -ENOMEM;
}

void mergefuse_forget(fuse_ino_t ino, uint64_t count)
{
    pthread_mutex_lock(&mergefuse_it.table);
    if (ino != FUSE_ROOT_ID)
        node_forget(&mergefuse_it.nodes, mergefuse_node(ino), count);
    pthread_mutex_unlock(&mergefuse_it.table);
}
