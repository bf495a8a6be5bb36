/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hidden.c: what is hidden by its path, known by what it is.
 * Must not know: the wire, nodes in use. */
#include "mrcfs/server/hidden.h"

#include "common/sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct mfs_hidden_file look_at(const char *path, int flags)
{
    struct stat st;
    struct mfs_hidden_file f = { .fd = open(path, O_PATH | O_CLOEXEC | flags) };
    if (f.fd >= 0 && fstat(f.fd, &st) == 0) {
        f.dev = st.st_dev;
        f.ino = st.st_ino;
    } else {
        fd_close(&f.fd);
    }
    return f;
}

static bool is_it(const struct mfs_hidden_file *f, uint64_t dev, uint64_t ino)
{
    return f->fd >= 0 && f->dev == dev && f->ino == ino;
}

static int add(struct mfs_hidden *t, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir = strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (!dir)
        return -ENOMEM;
    t->list[t->count++] = (struct mfs_hidden_path){
        .name = slash + 1,
        .dir = look_at(dir, 0),
        .itself = look_at(path, O_NOFOLLOW),
        .behind = look_at(path, 0),
    };
    free(dir);
    return 0;
}

int mfs_hidden_init(struct mfs_hidden *t, const struct mfs_hide *h)
{
    *t = (struct mfs_hidden){ 0 };
    if (!h->hide_count)
        return 0;
    t->list = calloc(h->hide_count, sizeof *t->list);
    if (!t->list)
        return -ENOMEM;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < h->hide_count; i++)
        if (mfs_hide_is_whole(h, h->hide[i]))
            rc = add(t, h->hide[i]);
    return rc;
}

void mfs_hidden_fini(struct mfs_hidden *t)
{
    for (size_t i = 0; i < t->count; i++) {
        fd_close(&t->list[i].dir.fd);
        fd_close(&t->list[i].itself.fd);
        fd_close(&t->list[i].behind.fd);
    }
    free(t->list);
    *t = (struct mfs_hidden){ 0 };
}

bool mfs_hidden_has_name(const struct mfs_hidden *t, const struct mfs_identity *dir,
                         const char *name)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct mfs_hidden_path *p = &t->list[i];
        if (is_it(&p->dir, dir->dev, dir->ino) && !strcmp(p->name, name))
            return true;
    }
    return false;
}

bool mfs_hidden_is_in(const struct mfs_hidden *t, const struct mfs_identity *dir)
{
    for (size_t i = 0; i < t->count; i++)
        if (is_it(&t->list[i].dir, dir->dev, dir->ino))
            return true;
    return false;
}

bool mfs_hidden_has_file(const struct mfs_hidden *t, uint64_t dev, uint64_t ino)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct mfs_hidden_path *p = &t->list[i];
        if (is_it(&p->itself, dev, ino) || is_it(&p->behind, dev, ino))
            return true;
    }
    return false;
}
