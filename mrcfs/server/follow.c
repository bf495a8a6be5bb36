/* SPDX-License-Identifier: GPL-2.0-or-later */
/* follow.c: shows a symbolic link as what it leads to in its export.
 * Must not know: the wire's coding, threads.
 * The way to the target is walked from the export's root, one name at a time and as the caller,
 * with every link in it expanded here: so that it can't lead out, and that hidden names are
 * hidden on it. What is found gets its node where it really lies; a directory in a view of its
 * own (nodes.h). */
#include "mrcfs/server/server.h"

#include "common/sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { WALK_DEPTH_MAX = 128, WALK_LINKS_MAX = 40 };

struct step {
    struct mfs_node *dir; /* pinned; NULL: no directory, which only the last can be */
    char name[MFS_NAME_MAX + 1];
};

struct walk {
    struct mfs_call *o;
    unsigned export_number;
    struct step steps[WALK_DEPTH_MAX]; /* [0] is the root */
    unsigned depth;
    unsigned links;
    char rest[2 * PATH_MAX]; /* names still to be walked */
};

static void pop(struct walk *w)
{
    mfs_node_unpin(&w->o->srv->nodes, w->steps[--w->depth].dir);
}

static void walk_free(struct walk *w)
{
    while (w && w->depth)
        pop(w);
    free(w);
}

static struct step *top(struct walk *w)
{
    return &w->steps[w->depth - 1];
}

/* Takes the next name off the rest. Returns its length, 0 at the end, -ENAMETOOLONG. */
static int next_name(struct walk *w, char name[MFS_NAME_MAX + 1])
{
    const char *at = w->rest + strspn(w->rest, "/");
    size_t len = strcspn(at, "/");
    if (len > MFS_NAME_MAX)
        return -ENAMETOOLONG;
    memcpy(name, at, len);
    name[len] = 0;
    memmove(w->rest, at + len, strlen(at + len) + 1);
    return (int)len;
}

/* text, a path of this computer, as one beneath the directory base; NULL: it isn't. */
static const char *beneath(const char *text, const char *base)
{
    size_t len = strcmp(base, "/") ? strlen(base) : 0;
    return !strncmp(text, base, len) && (!text[len] || text[len] == '/') ? text + len : NULL;
}

/* The path of a descriptor. Returns 0 or -errno. */
static int path_of(const struct mfs_server *srv, int fd, char path[PATH_MAX])
{
    ssize_t len = readlinkat(srv->proc_fd, mfs_fd_name(fd).text, path, PATH_MAX);
    if (len < 0 || len >= PATH_MAX)
        return len < 0 ? -errno : -ENAMETOOLONG;
    path[len] = 0;
    return path[0] == '/' ? 0 : -ENOENT;
}

/* Puts the target of a link in front of the rest; an absolute one begins anew at the root. */
static int expand(struct walk *w, int link_fd)
{
    char target[PATH_MAX], root[PATH_MAX], all[sizeof w->rest];
    ssize_t len = readlinkat(link_fd, "", target, sizeof target);
    if (len < 0 || len >= PATH_MAX)
        return len < 0 ? -errno : -ENAMETOOLONG;
    target[len] = 0;
    if (++w->links > WALK_LINKS_MAX)
        return -ELOOP;
    const char *way = target;
    if (target[0] == '/') {
        const struct mfs_served *x = &w->o->srv->exports[w->export_number];
        int rc = path_of(w->o->srv, w->steps[0].dir->fd, root);
        way = rc == 0 ? beneath(target, root) : NULL;
        if (!way)
            way = beneath(target, x->path);
        if (!way)
            return -EXDEV;
        while (w->depth > 1)
            pop(w);
    }
    int n = snprintf(all, sizeof all, "%s/%s", way, w->rest);
    if (n < 0 || (size_t)n >= sizeof all)
        return -ENAMETOOLONG;
    memcpy(w->rest, all, (size_t)n + 1);
    return 0;
}

/* One more name below the top. */
static int descend(struct walk *w, const char *name)
{
    struct mfs_call *o = w->o;
    struct mfs_node *dir = top(w)->dir;
    struct statx stx;
    if (!dir)
        return -ENOTDIR;
    if (mfs_op_is_hidden(o, dir, name))
        return -ENOENT;
    AUTO_FD fd = mfs_open_beneath(dir->fd, name);
    int rc = fd < 0 ? fd : mfs_statx(fd, "", AT_EMPTY_PATH, &stx);
    if (rc < 0)
        return rc;
    if (S_ISLNK(stx.stx_mode))
        return expand(w, fd);
    if (w->depth == WALK_DEPTH_MAX)
        return -ENAMETOOLONG;
    struct step *s = &w->steps[w->depth];
    *s = (struct step){ .dir = NULL };
    snprintf(s->name, sizeof s->name, "%s", name);
    if (S_ISDIR(stx.stx_mode)) {
        struct mfs_entry e;
        struct mfs_place at = { .parent = dir,
                                .name = s->name,
                                .export_number = w->export_number,
                                .how = MFS_FOUND_LISTED };
        rc = mfs_op_enter(o, &at, &fd, &stx, &e);
        if (rc < 0)
            return rc;
        rc = mfs_node_pin(&o->srv->nodes, e.node, &s->dir);
        mfs_node_forget(&o->srv->nodes, e.node, 1); /* the pin keeps it */
        if (rc < 0)
            return rc;
    }
    w->depth++;
    return 0;
}

static int walk(struct walk *w)
{
    char name[MFS_NAME_MAX + 1];
    int rc;
    while ((rc = next_name(w, name)) > 0) {
        if (!top(w)->dir)
            return -ENOTDIR;
        if (!strcmp(name, ".."))
            rc = w->depth > 1 ? (pop(w), 0) : -EXDEV;
        else
            rc = strcmp(name, ".") ? descend(w, name) : 0;
        if (rc < 0)
            return rc;
    }
    return rc;
}

/* From the root to the directory that holds the link: by where it is now. */
static int walk_to(struct walk *w, const struct mfs_node *dir)
{
    char root[PATH_MAX], path[PATH_MAX];
    int rc = path_of(w->o->srv, w->steps[0].dir->fd, root);
    if (rc == 0)
        rc = path_of(w->o->srv, dir->fd, path);
    if (rc < 0)
        return rc;
    const char *way = beneath(path, root);
    if (!way)
        return -EXDEV;
    snprintf(w->rest, sizeof w->rest, "%s", way);
    rc = walk(w);
    if (rc == 0 && (!top(w)->dir || top(w)->dir->identity.dev != dir->identity.dev ||
                    top(w)->dir->identity.ino != dir->identity.ino))
        rc = -ESTALE; /* it was moved meanwhile */
    return rc;
}

/* A number for the view that begins at this link: the same each time, and hardly another's. */
static uint64_t view_of(const struct mfs_node *dir, const char *name)
{
    uint64_t x = 14695981039346656037u ^ dir->id * UINT64_C(0x9E3779B97F4A7C15);
    for (; *name; name++)
        x = (x ^ (uint8_t)*name) * 1099511628211u;
    x = (x ^ x >> 32) * UINT64_C(0xD6E8FEB86659FD93);
    return (x ^ x >> 32) | 1;
}

/* The entry of what was reached, for the link at a place. */
static int enter_top(struct walk *w, const struct mfs_place *link, struct mfs_entry *e)
{
    struct mfs_call *o = w->o;
    if (w->depth < 2)
        return -ELOOP; /* the root: the link lies in it */
    const struct mfs_node *parent = w->steps[w->depth - 2].dir;
    AUTO_FD fd = mfs_open_beneath(parent->fd, top(w)->name);
    struct statx stx;
    int rc = fd < 0 ? fd : mfs_statx(fd, "", AT_EMPTY_PATH, &stx);
    if (rc < 0)
        return rc;
    struct mfs_identity what;
    mfs_identity_of(&stx, &what);
    bool is_loop =
        S_ISDIR(stx.stx_mode) && mfs_node_is_within(&o->srv->nodes, link->parent, &what);
    if (S_ISLNK(stx.stx_mode) || is_loop)
        return -ELOOP;
    struct mfs_place at = { .parent = w->steps[w->depth - 2].dir,
                            .name = top(w)->name,
                            .export_number = w->export_number,
                            .view = view_of(link->parent, link->name),
                            .via = link->parent->id };
    return mfs_op_enter(o, &at, &fd, &stx, e);
}

static int follow(struct mfs_call *o, const struct mfs_place *link, int link_fd,
                  struct mfs_entry *e)
{
    struct walk *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->o = o;
    w->export_number = link->export_number;
    int rc = mfs_node_pin(&o->srv->nodes, link->export_number + 1u, &w->steps[0].dir);
    w->depth = rc == 0;
    if (rc == 0)
        rc = walk_to(w, link->parent);
    if (rc == 0)
        rc = expand(w, link_fd);
    if (rc == 0)
        rc = walk(w);
    if (rc == 0)
        rc = enter_top(w, link, e);
    walk_free(w);
    return rc;
}

int mfs_enter_link(struct mfs_call *o, const struct mfs_place *at, int *link_fd,
                   struct mfs_entry *e)
{
    struct statx stx;
    struct mfs_place itself = *at;
    itself.is_watched = false;
    /* The link itself may be hidden by what it is. */
    int rc = mfs_statx(*link_fd, "", AT_EMPTY_PATH, &stx);
    if (rc == 0 &&
        mfs_hidden_has_file(&o->srv->hidden, makedev(stx.stx_dev_major, stx.stx_dev_minor),
                            stx.stx_ino))
        rc = -ENOENT;
    int followed = rc == 0 ? follow(o, at, *link_fd, e) : 0;
    if (followed < 0 && followed != -ERESTART)
        return mfs_op_enter(o, &itself, link_fd, &stx, e);
    rc = rc < 0 ? rc : followed;
    fd_close(link_fd);
    return rc;
}
