/* SPDX-License-Identifier: GPL-2.0-or-later */
/* journal.c: see journal.h.
 * Must not know: the wire.
 * A record is a struct and, of a node, its name; the file is this computer's own, so numbers are as it has them. */
#include "mrcfs/server/journal.h"

#include "common/sys/fd.h"
#include "common/sys/mem.h"
#include "mrcfs/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum kind { RANGE = 1, NODE, OPENED, CLOSED };

struct record {
    uint32_t len_bytes; /* with the name behind it */
    uint32_t kind;
    uint64_t id; /* of the node or open file; of RANGE how many servers there were with this one */
    union {
        struct {
            uint64_t parent;
            uint32_t export_number;
            uint32_t type;
            uint64_t dev, ino;
            int64_t btime_sec;
            uint32_t btime_nsec;
            uint32_t is_on_root_dev; /* its number may be another after a restart */
        } node;
        struct {
            uint64_t node;
            int32_t flags;
        } opened;
    };
};

/* ---- writing ---- */

static void put(struct mfs_journal *j, struct record *r, const char *name)
{
    uint8_t space[sizeof *r + MFS_NAME_MAX + 1];
    size_t name_bytes = name ? strlen(name) + 1 : 0;
    if (!j || j->fd < 0 || name_bytes > MFS_NAME_MAX + 1)
        return;
    r->len_bytes = (uint32_t)(sizeof *r + name_bytes);
    memcpy(space, r, sizeof *r);
    if (name)
        memcpy(space + sizeof *r, name, name_bytes);
    pthread_mutex_lock(&j->mu);
    /* Half a record is the end of the journal for whoever reads it, so it must be the last one. */
    if (j->bytes + sizeof space <= MFS_JOURNAL_MAX &&
        fd_write(j->fd, space, r->len_bytes) == (ssize_t)r->len_bytes)
        j->bytes += r->len_bytes;
    else
        j->bytes = MFS_JOURNAL_MAX;
    pthread_mutex_unlock(&j->mu);
}

static const struct mfs_node *root_of(const struct mfs_node *n)
{
    while (n && !n->is_root)
        n = n->parent;
    return n;
}

void mfs_journal_node(struct mfs_journal *j, struct mfs_node *n)
{
    const struct mfs_node *root = root_of(n);
    /* What is on another mount can't be told from what will be there after a restart; views depend on links. */
    if (!j || j->fd < 0 || !root || n->is_root || !n->name || n->view || n->identity.mount != root->identity.mount)
        return;
    struct record r = { .kind = NODE, .id = n->id };
    r.node.parent = n->parent->id;
    r.node.export_number = n->export_number;
    r.node.type = n->identity.type;
    r.node.dev = n->identity.dev;
    r.node.ino = n->identity.ino;
    r.node.btime_sec = n->identity.btime_sec;
    r.node.btime_nsec = n->identity.btime_nsec;
    r.node.is_on_root_dev = n->identity.dev == root->identity.dev;
    put(j, &r, n->name);
    n->is_noted = true;
}

void mfs_journal_open(struct mfs_journal *j, struct mfs_nodes *t, struct mfs_node *n, uint64_t fh, int flags)
{
    if (!j || j->fd < 0)
        return;
    struct record r = { .kind = OPENED, .id = fh };
    r.opened.node = n->id;
    r.opened.flags = flags & (O_ACCMODE | O_APPEND | O_SYNC | O_DSYNC | O_NOATIME);
    pthread_mutex_lock(&t->mu);
    if (!n->is_noted)
        mfs_journal_node(j, n);
    put(j, &r, NULL);
    pthread_mutex_unlock(&t->mu);
}

void mfs_journal_close(struct mfs_journal *j, uint64_t fh)
{
    struct record r = { .kind = CLOSED, .id = fh };
    put(j, &r, NULL);
}

/* ---- reading ---- */

struct reading {
    struct mfs_nodes *nodes;
    struct mfs_files *files;
    uint64_t servers;
};

/* The file that is read: as long as whole records go. */
static int each(const uint8_t *at, size_t len_bytes, size_t *whole, void (*fn)(struct reading *x, const struct record *r, const char *name),
                struct reading *x)
{
    struct record r;
    size_t done = 0;
    while (len_bytes - done >= sizeof r) {
        memcpy(&r, at + done, sizeof r);
        size_t name_bytes = r.len_bytes - sizeof r;
        if (r.len_bytes < sizeof r || r.len_bytes > len_bytes - done || name_bytes > MFS_NAME_MAX + 1 ||
            (name_bytes && at[done + r.len_bytes - 1]))
            break;
        fn(x, &r, name_bytes ? (const char *)at + done + sizeof r : NULL);
        done += r.len_bytes;
    }
    *whole = done;
    return 0;
}

static void count_servers(struct reading *x, const struct record *r, const char *name)
{
    (void)name;
    if (r->kind == RANGE && r->id > x->servers)
        x->servers = r->id;
}

static bool is_name(const char *name)
{
    return name && *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static void take_node(struct reading *x, const struct record *r, const char *name)
{
    if (r->kind != NODE || !is_name(name))
        return;
    struct mfs_identity id = { .dev = r->node.dev,
                               .ino = r->node.ino,
                               .btime_sec = r->node.btime_sec,
                               .btime_nsec = r->node.btime_nsec,
                               .type = r->node.type };
    mfs_nodes_restore(x->nodes, r->id, r->node.parent, r->node.export_number, name, &id, r->node.is_on_root_dev);
}

/* ---- open files ---- */

struct opened {
    uint64_t fh, node;
    int32_t flags;
    size_t order;
};

struct opened_list {
    struct reading reading; /* first */
    struct opened *list;
    size_t count, size;
};

static void take_opened(struct reading *x, const struct record *r, const char *name)
{
    struct opened_list *l = (struct opened_list *)x;
    (void)name;
    if (r->kind != OPENED && r->kind != CLOSED)
        return;
    if (l->count == l->size) {
        size_t size = l->size ? 2 * l->size : 1024;
        struct opened *more = realloc(l->list, size * sizeof *more);
        if (!more)
            return; /* it is stale then */
        l->list = more;
        l->size = size;
    }
    bool is_open = r->kind == OPENED;
    l->list[l->count] = (struct opened){ r->id, is_open ? r->opened.node : 0, is_open ? r->opened.flags : 0, l->count };
    l->count++;
}

static int by_fh(const void *a, const void *b)
{
    const struct opened *x = a, *y = b;
    if (x->fh != y->fh)
        return x->fh < y->fh ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

static void reopen(struct reading *x, const struct opened *o)
{
    struct mfs_node *n;
    char name[16];
    uint64_t fh;
    if (!o->node || mfs_node_pin(x->nodes, o->node, &n) < 0)
        return;
    bool is_dir = n->identity.type == S_IFDIR;
    snprintf(name, sizeof name, "%d", n->fd);
    int fd = is_dir || n->identity.type == S_IFREG
                 ? openat(x->nodes->proc_fd, name, o->flags | (is_dir ? O_DIRECTORY : 0) | O_CLOEXEC | O_NOCTTY)
                 : -1;
    if (fd >= 0) {
        struct mfs_file f = { .id = o->fh,
                              .fd = fd,
                              .export_number = n->export_number,
                              .dev = n->identity.dev,
                              .ino = n->identity.ino,
                              .is_dir = is_dir,
                              .is_writable = (o->flags & O_ACCMODE) != O_RDONLY };
        int rc = mfs_file_add(x->files, &f, n, &fh);
        (void)rc; /* it is stale then */
    }
    mfs_node_unpin(x->nodes, n);
}

static void reopen_all(struct opened_list *l)
{
    if (l->count)
        qsort(l->list, l->count, sizeof *l->list, by_fh);
    for (size_t i = 0; i < l->count; i++)
        if (i + 1 == l->count || l->list[i + 1].fh != l->list[i].fh)
            reopen(&l->reading, &l->list[i]);
}

/* ---- start ---- */

static int read_all(int fd, uint8_t **out, size_t *len_bytes)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_size > MFS_JOURNAL_MAX)
        return -EFBIG;
    *out = malloc((size_t)st.st_size + 1);
    if (!*out)
        return -ENOMEM;
    ssize_t n = pread(fd, *out, (size_t)st.st_size, 0);
    *len_bytes = n > 0 ? (size_t)n : 0;
    return n < 0 ? -errno : 0;
}

int mfs_journal_start(struct mfs_journal *j, int fd, struct mfs_nodes *nodes, struct mfs_files *files)
{
    AUTO_FREE uint8_t *all = NULL;
    size_t len = 0, whole = 0;
    struct opened_list l = { .reading = { .nodes = nodes, .files = files } };
    j->fd = -1;
    int rc = read_all(fd, &all, &len);
    if (rc < 0)
        return rc;
    rc = each(all, len, &whole, count_servers, &l.reading);
    if (rc < 0 || l.reading.servers >= MFS_JOURNAL_SERVERS_MAX)
        return -ENOSPC;
    struct record r = { .len_bytes = sizeof r, .kind = RANGE, .id = l.reading.servers + 1 };
    /* Before a number of the range is given it must be known for ever that it was. */
    if (ftruncate(fd, (off_t)whole) < 0 || lseek(fd, 0, SEEK_END) < 0)
        return -errno;
    rc = fd_write_full(fd, &r, sizeof r);
    if (rc == 0 && fdatasync(fd) < 0)
        rc = -errno;
    if (rc < 0)
        return rc;
    if (l.reading.servers) {
        rc = each(all, whole, &whole, take_node, &l.reading);
        rc = rc == 0 ? each(all, whole, &whole, take_opened, &l.reading) : rc;
        nodes->last_id = files->last_id = l.reading.servers << MFS_JOURNAL_RANGE_BITS;
        files->is_second = true;
        reopen_all(&l);
    }
    free(l.list);
    pthread_mutex_init(&j->mu, NULL);
    j->bytes = whole + sizeof r;
    j->fd = fd;
    return rc;
}
