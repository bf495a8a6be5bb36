/* SPDX-License-Identifier: GPL-2.0-or-later */
/* do_dir.c: reading directories.
 * Must not know: the wire's coding beyond entries, threads.
 * Cookies are the file system's own positions (d_off), so they mean the same to whoever opens
 * the directory. */
#include "mrcfs/server/server.h"

#include "common/sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int directory(struct mfs_call *o, uint64_t fh, struct mfs_file **f)
{
    int rc = mfs_op_file(o, fh, f);
    return rc == 0 && !(*f)->is_dir ? -ENOTDIR : rc;
}

/* Opens the directory that node number is. Returns the descriptor, or -errno. */
static int open_directory(struct mfs_call *o, uint64_t number, struct mfs_node **n)
{
    int rc = mfs_op_node(o, number, n);
    if (rc < 0)
        return rc;
    if ((*n)->identity.type != S_IFDIR)
        return -ENOTDIR;
    return mfs_open_real(o, *n, O_RDONLY | O_DIRECTORY);
}

int mfs_do_opendir(struct mfs_call *o, const struct mfs_opendir_req *q,
                   struct mfs_opendir_rep *p)
{
    struct mfs_node *n;
    AUTO_FD fd = open_directory(o, q->node, &n);
    if (fd < 0)
        return fd;
    return mfs_op_add_file(o, n, &fd, O_RDONLY, &p->fh);
}

int mfs_do_releasedir(struct mfs_call *o, const struct mfs_releasedir_req *q,
                      struct mfs_releasedir_rep *p UNUSED)
{
    struct mfs_file *f;
    int rc = directory(o, q->fh, &f);
    if (rc == 0)
        mfs_file_remove(&o->srv->files, f);
    return rc;
}

/* What linux/dirent.h does not give user space: the entries of getdents64. */
struct kernel_entry {
    uint64_t ino;
    int64_t next;
    uint16_t len;
    uint8_t type;
    char name[];
};

/* The next entry, or NULL at the end. dir_mu held. Returns 0 or -errno. */
static int next_entry(struct mfs_file *f, const struct kernel_entry **out)
{
    if (f->at == f->end) {
        if (!f->buffer && !(f->buffer = malloc(MFS_DIR_BUFFER)))
            return -ENOMEM;
        long n = syscall(SYS_getdents64, f->fd, f->buffer, MFS_DIR_BUFFER);
        f->at = f->end = 0;
        if (n < 0)
            return errno == ENOENT ? (*out = NULL, 0) : -errno; /* removed meanwhile: empty */
        f->end = (size_t)n;
    }
    *out = f->at < f->end ? (const void *)(f->buffer + f->at) : NULL;
    return 0;
}

static int seek_to(struct mfs_file *f, uint64_t cookie)
{
    /* From the start always means what is there now. */
    if (cookie == f->cookie && cookie)
        return 0;
    if (cookie > INT64_MAX)
        return -EINVAL;
    f->at = f->end = 0;
    if (lseek(f->fd, (off_t)cookie, SEEK_SET) < 0)
        return -errno;
    f->cookie = cookie;
    return 0;
}

static bool is_dots(const char *name)
{
    return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

/* The node and attributes of an entry; without them when it is gone or can't be had. No
 * descriptor is kept: most listed files are never opened. */
static void add_attr(struct mfs_call *o, const struct mfs_place *at, struct mfs_dirent *d,
                     struct mfs_identity *what)
{
    struct statx stx;
    int no_fd = -1;
    if (mfs_statx(at->parent->fd, at->name, AT_SYMLINK_NOFOLLOW, &stx) < 0)
        return;
    mfs_identity_of(&stx, what);
    if (S_ISLNK(stx.stx_mode) && o->srv->follows_links) {
        AUTO_FD fd = mfs_open_beneath(at->parent->fd, at->name);
        d->has_entry = fd >= 0 && mfs_enter_link(o, at, &fd, &d->entry) == 0;
        if (d->has_entry) {
            d->type = (uint8_t)IFTODT(d->entry.attr.mode);
            d->ino = d->entry.attr.ino;
        }
    } else {
        d->has_entry = mfs_op_enter(o, at, &no_fd, &stx, &d->entry) == 0;
    }
}

/* The tokens of what was just read, all at once. */
static void fetch(struct mfs_call *o, const struct mfs_file *f)
{
    enum { BATCH = 512 };
    uint64_t inos[BATCH];
    size_t count = 0;
    for (size_t at = 0; at < f->end;) {
        const struct kernel_entry *k = (const void *)(f->buffer + at);
        if (!is_dots(k->name))
            inos[count++] = k->ino;
        at += k->len;
        if (count == BATCH || at >= f->end) {
            mfs_fetch_entries(o, f->holder.node, inos, count);
            count = 0;
        }
    }
}

/* Fills w with entries. Returns 0 with *is_eof, -EINVAL when not even one fits, -errno. */
static int fill(struct mfs_call *o, struct mfs_file *f, const struct mfs_readdir_req *q,
                bool is_watched, struct wr *w, uint8_t *is_eof)
{
    const struct kernel_entry *k = NULL;
    uint32_t events = __atomic_load_n(&f->holder.node->events, __ATOMIC_SEQ_CST);
    size_t size = (size_t)(w->end - w->start);
    int rc = seek_to(f, q->cookie);
    while (rc == 0 && (rc = next_entry(f, &k)) == 0) {
        if (!k) {
            *is_eof = 1;
            return 0;
        }
        bool is_followed = k->type == DT_LNK && o->srv->follows_links;
        if (q->is_plus && f->at == 0)
            fetch(o, f);
        struct mfs_dirent d = { .next_cookie = (uint64_t)k->next,
                                .name = bytes_of(k->name),
                                .type = is_followed ? DT_UNKNOWN : k->type,
                                .ino = mfs_ino_of(o->srv, f->export_number, f->dev, k->ino) };
        bool is_shown =
            is_dots(k->name) || !(mfs_hidden_has_file(&o->srv->hidden, f->dev, k->ino) ||
                                  mfs_op_is_hidden(o, f->holder.node, k->name));
        if (is_shown) {
            size_t needed = MFS_DIRENT_BYTES + d.name.len + (q->is_plus ? MFS_ENTRY_BYTES : 0);
            if (needed > size - wr_len(w))
                return wr_len(w) ? 0 : -EINVAL;
            struct mfs_place at = { .parent = f->holder.node,
                                    .name = k->name,
                                    .export_number = f->export_number,
                                    .is_watched = is_watched,
                                    .events = events,
                                    .how = MFS_FOUND_LISTED };
            struct mfs_lease_key key = { f->dev, k->ino };
            uint64_t epoch = q->is_plus ? mfs_leases_epoch(o->srv, &key) : 0;
            struct mfs_identity what = { 0 };
            if (q->is_plus && !is_dots(k->name))
                add_attr(o, &at, &d, &what);
            mfs_dirent_put(w, &d);
            if (d.has_entry)
                mfs_grant_listed(o, &at, &what, epoch, &d.entry, wr_len(w));
        }
        f->at += k->len;
        f->cookie = (uint64_t)k->next;
    }
    return wr_len(w) ? 0 : rc;
}

int mfs_do_readdir(struct mfs_call *o, const struct mfs_readdir_req *q,
                   struct mfs_readdir_rep *p)
{
    struct mfs_file *f;
    struct mfs_node *n;
    uint8_t *at;
    size_t size = q->size < MFS_DATA_MAX ? q->size : MFS_DATA_MAX;
    int rc = directory(o, q->fh, &f);
    if (rc < 0 || (rc = mfs_op_node(o, f->holder.node->id, &n)) < 0 ||
        (rc = mfs_need_node(o, n, MFS_LEASE_SHARED)) < 0 || (rc = mfs_op_payload(o, size, &at)) < 0)
        return rc;
    struct wr w = wr_of(at, size);
    bool is_watched = q->is_plus && mfs_watch(&o->srv->watches, n);
    pthread_mutex_lock(&f->dir_mu);
    rc = fill(o, f, q, is_watched, &w, &p->is_eof);
    pthread_mutex_unlock(&f->dir_mu);
    p->entries = (struct bytes){ NULL, (uint32_t)wr_len(&w) };
    o->out->len = wr_len(&w);
    return rc;
}

int mfs_do_list(struct mfs_call *o, const struct mfs_list_req *q, struct mfs_list_rep *p)
{
    struct mfs_node *n;
    uint8_t *at;
    size_t size = q->size < MFS_DATA_MAX ? q->size : MFS_DATA_MAX;
    AUTO_FD fd = open_directory(o, q->node, &n);
    if (fd < 0)
        return fd;
    int rc = mfs_need_node(o, n, MFS_LEASE_SHARED);
    if (rc < 0 || (rc = mfs_op_payload(o, size, &at)) < 0)
        return rc;
    struct mfs_file f = { .fd = fd,
                          .export_number = n->export_number,
                          .holder = { .node = n },
                          .dev = n->identity.dev,
                          .ino = n->identity.ino,
                          .is_dir = true };
    struct wr w = wr_of(at, size);
    struct mfs_readdir_req from_start = { .size = (uint32_t)size, .is_plus = 1 };
    rc = fill(o, &f, &from_start, mfs_watch(&o->srv->watches, n), &w, &p->is_eof);
    free(f.buffer);
    p->entries = (struct bytes){ NULL, (uint32_t)wr_len(&w) };
    o->out->len = wr_len(&w);
    return rc == -EINVAL ? 0 : rc; /* not even one fits: none, then */
}
