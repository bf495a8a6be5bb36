/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nodes.c: the files that the client knows: numbers, descriptors, and finding them again.
 * Must not know: the wire, who asks, what may be seen.
 * Invariant: open_count is the number of nodes with fd >= 0 that are not roots, and those are
 * the members of lru; a node is freed when it has no lookup, pin, child or open file. */
#include "mrcfs/server/nodes.h"
#include "mrcfs/server/journal.h"
#include "mrcfs/server/watch.h"

#include "common/sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum { TRIM_BATCH = 32 };

int mfs_statx(int fd, const char *name, int flags, struct statx *stx)
{
    memset(stx, 0, sizeof *stx);
    int rc = statx(fd, name, flags | AT_NO_AUTOMOUNT,
                   STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID, stx);
    return rc < 0 ? -errno : 0;
}

void mfs_identity_of(const struct statx *stx, struct mfs_identity *id)
{
    *id = (struct mfs_identity){
        .dev = makedev(stx->stx_dev_major, stx->stx_dev_minor),
        .ino = stx->stx_ino,
        .mount = stx->stx_mask & STATX_MNT_ID ? stx->stx_mnt_id : 0,
        .btime_sec = stx->stx_mask & STATX_BTIME ? stx->stx_btime.tv_sec : 0,
        .btime_nsec = stx->stx_mask & STATX_BTIME ? stx->stx_btime.tv_nsec : 0,
        .type = stx->stx_mode & S_IFMT,
    };
}

static bool is_same_place(const struct mfs_identity *a, const struct mfs_identity *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->mount == b->mount;
}

static bool is_same_file(const struct mfs_identity *a, const struct mfs_identity *b)
{
    return is_same_place(a, b) && a->btime_sec == b->btime_sec &&
           a->btime_nsec == b->btime_nsec && a->type == b->type;
}

int mfs_open_beneath(int dir_fd, const char *name)
{
    struct open_how how = {
        .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    long fd = syscall(SYS_openat2, dir_fd, name, &how, sizeof how);
    /* Without openat2 (Linux before 5.6) the same: callers pass one name that is neither "."
     * nor "..", and a link in the last place is not followed. */
    if (fd < 0 && errno == ENOSYS)
        fd = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : (int)fd;
}

/* Since Linux 6.13 a change after a look at the times gets others, however soon it comes. */
static bool has_fine_times(void)
{
    struct utsname u;
    int major = 0, minor = 0;
    return uname(&u) == 0 && sscanf(u.release, "%d.%d", &major, &minor) == 2 &&
           (major > 6 || (major == 6 && minor >= 13));
}

void mfs_nodes_init(struct mfs_nodes *t, size_t open_max)
{
    *t = (struct mfs_nodes){ .open_max = open_max,
                             .proc_fd = -1,
                             .has_fine_times = has_fine_times() };
    pthread_mutex_init(&t->mu, NULL);
    list_init(&t->lru);
}

static struct mfs_node *node_of_id(const struct mfs_link *l)
{
    return CONTAINER_OF(l, struct mfs_node, by_id);
}

static struct mfs_node *node_of_file(const struct mfs_link *l)
{
    return CONTAINER_OF(l, struct mfs_node, by_file);
}

static void node_free(struct mfs_node *n)
{
    fd_close(&n->fd);
    mfs_watch_expect_none(n);
    free(n->name);
    free(n);
}

void mfs_nodes_fini(struct mfs_nodes *t)
{
    struct mfs_link *l;
    while ((l = mfs_table_any(&t->by_id))) {
        mfs_table_remove(&t->by_id, l);
        node_free(node_of_id(l));
    }
    mfs_table_fini(&t->by_id);
    mfs_table_fini(&t->by_file);
    pthread_mutex_destroy(&t->mu);
}

static uint64_t file_key(const struct mfs_identity *id, unsigned export_number, uint64_t view)
{
    return id->ino ^ id->dev << 40 ^ (uint64_t)export_number << 56 ^ view;
}

/* The view that a file found in the directory dir (or NULL) belongs to. */
static uint64_t view_in(const struct mfs_identity *what, const struct mfs_node *dir)
{
    return what->type == S_IFDIR && dir ? dir->view : 0;
}

static struct mfs_node *find(const struct mfs_nodes *t, uint64_t id)
{
    struct mfs_link *l = mfs_table_find(&t->by_id, id);
    return l ? node_of_id(l) : NULL;
}

static struct mfs_node *find_file(const struct mfs_nodes *t, const struct mfs_identity *id,
                                  unsigned export_number, uint64_t view)
{
    struct mfs_link *l = mfs_table_find(&t->by_file, file_key(id, export_number, view));
    for (; l; l = mfs_table_next(l)) {
        struct mfs_node *n = node_of_file(l);
        if (n->export_number == export_number && n->view == view &&
            is_same_place(&n->identity, id))
            return n;
    }
    return NULL;
}

static void unlink_file(struct mfs_nodes *t, struct mfs_node *n)
{
    if (!n->is_stale)
        mfs_table_remove(&t->by_file, &n->by_file);
    n->is_stale = true;
}

/* Frees n if nothing needs it, then its parent likewise. mu held. */
static void drop_unneeded(struct mfs_nodes *t, struct mfs_node *n)
{
    while (n && !n->is_root && !n->nlookup && !n->pins && !n->children &&
           list_is_empty(&n->holders)) {
        struct mfs_node *parent = n->parent;
        mfs_table_remove(&t->by_id, &n->by_id);
        unlink_file(t, n);
        if (n->fd >= 0) {
            list_remove(&n->lru);
            t->open_count--;
        }
        if (t->watches)
            mfs_unwatch(t->watches, n);
        node_free(n);
        if (parent)
            parent->children--;
        n = parent;
    }
}

/* Gives n (without a descriptor) fd. mu held. */
static void set_fd(struct mfs_nodes *t, struct mfs_node *n, int *fd)
{
    n->fd = take_fd(fd);
    list_push_front(&t->lru, &n->lru);
    t->open_count++;
}

static void touch(struct mfs_nodes *t, struct mfs_node *n)
{
    if (link_is_in(&n->lru)) {
        list_remove(&n->lru);
        list_push_front(&t->lru, &n->lru);
    }
}

int mfs_nodes_add_root(struct mfs_nodes *t, int *fd, unsigned export_number)
{
    struct statx stx;
    int rc = mfs_statx(*fd, "", AT_EMPTY_PATH, &stx);
    if (rc < 0)
        return rc;
    struct mfs_node *n = calloc(1, sizeof *n);
    if (!n)
        return -ENOMEM;
    n->id = ++t->last_id;
    n->fd = take_fd(fd);
    n->export_number = export_number;
    list_init(&n->holders);
    n->is_root = true;
    mfs_identity_of(&stx, &n->identity);
    rc = mfs_table_add(&t->by_id, &n->by_id, n->id);
    if (rc < 0) {
        node_free(n);
        return rc;
    }
    rc = mfs_table_add(&t->by_file, &n->by_file, file_key(&n->identity, export_number, 0));
    n->is_stale = rc < 0;
    return 0;
}

/* Opens name in the pinned directory parent and checks that n's file is still there. */
static int open_again(const struct mfs_node *parent, const char *name,
                      const struct mfs_identity *wanted)
{
    AUTO_FD fd = mfs_open_beneath(parent->fd, name);
    if (fd < 0)
        return fd == -ENOENT || fd == -ENOTDIR ? -ESTALE : fd;
    struct statx stx;
    int rc = mfs_statx(fd, "", AT_EMPTY_PATH, &stx);
    if (rc < 0)
        return rc;
    struct mfs_identity is;
    mfs_identity_of(&stx, &is);
    return is_same_file(&is, wanted) ? take_fd(&fd) : -ESTALE;
}

/* A descriptor from an open file of n. mu held: the file can't be closed meanwhile, and this
 * waits for nothing. */
static int open_by_holder(struct mfs_nodes *t, struct mfs_node *n)
{
    struct mfs_holder *h = LIST_ENTRY(n->holders.next, struct mfs_holder, link);
    char name[16];
    snprintf(name, sizeof name, "%d", h->fd);
    AUTO_FD fd = openat(t->proc_fd, name, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    set_fd(t, n, &fd);
    return 0;
}

/* One step towards n's descriptor: opens the topmost of its ancestors (or itself) that has
 * none. mu held; let go meanwhile. n is pinned. */
static int open_one(struct mfs_nodes *t, struct mfs_node *n)
{
    struct mfs_node *c = n;
    while (list_is_empty(&c->holders) && c->parent && c->parent->fd < 0)
        c = c->parent;
    if (!list_is_empty(&c->holders))
        return open_by_holder(t, c);
    struct mfs_node *parent = c->parent;
    if (!parent)
        return -ESTALE;
    char *name = strdup(c->name);
    if (!name)
        return -ENOMEM;
    struct mfs_identity wanted = c->identity;
    parent->pins++;
    c->pins++;
    pthread_mutex_unlock(&t->mu);
    AUTO_FD fd = open_again(parent, name, &wanted);
    free(name);
    int rc = fd < 0 ? fd : 0;
    pthread_mutex_lock(&t->mu);
    if (rc == 0 && c->fd < 0)
        set_fd(t, c, &fd);
    else if (rc < 0 && c->fd >= 0)
        rc = 0;
    c->pins--;
    parent->pins--; /* n is pinned and keeps both */
    if (rc == 0)
        touch(t, parent);
    return rc;
}

/* A descriptor may be closed if its node can be found again. mu held; let go meanwhile. */
static void try_close(struct mfs_nodes *t, struct mfs_node *n)
{
    struct mfs_node *parent = n->parent;
    bool is_there = !list_is_empty(&n->holders);
    if (!is_there && parent && parent->fd >= 0 && !n->is_stale) {
        char *name = strdup(n->name);
        struct mfs_identity wanted = n->identity, is;
        parent->pins++;
        n->pins++;
        pthread_mutex_unlock(&t->mu);
        struct statx stx;
        if (name && mfs_statx(parent->fd, name, AT_SYMLINK_NOFOLLOW, &stx) == 0) {
            mfs_identity_of(&stx, &is);
            is_there = is_same_file(&is, &wanted);
        }
        free(name);
        pthread_mutex_lock(&t->mu);
        parent->pins--;
        n->pins--;
    }
    if (is_there && !n->pins && n->fd >= 0) {
        list_remove(&n->lru);
        t->open_count--;
        fd_close(&n->fd);
    } else {
        touch(t, n);
    }
    drop_unneeded(t, n);
}

/* Closes descriptors used least lately. mu held; let go meanwhile. */
static void trim(struct mfs_nodes *t)
{
    for (int i = 0; i < TRIM_BATCH && t->open_count > t->open_max; i++) {
        struct mfs_node *n = LIST_ENTRY(t->lru.prev, struct mfs_node, lru);
        if (n->pins)
            touch(t, n);
        else
            try_close(t, n);
    }
}

/* The node of a file that nobody has open and that has no name any more. mu held. */
static bool is_let_go(const struct mfs_node *n)
{
    struct statx stx;
    return n->identity.type == S_IFREG && !n->pins && list_is_empty(&n->holders) &&
           mfs_statx(n->fd, "", AT_EMPTY_PATH, &stx) == 0 && stx.stx_nlink == 0;
}

void mfs_nodes_let_go(struct mfs_nodes *t)
{
    pthread_mutex_lock(&t->mu);
    LIST_EACH(&t->lru, it, nx)
    {
        struct mfs_node *n = LIST_ENTRY(it, struct mfs_node, lru);
        if (!is_let_go(n))
            continue;
        list_remove(&n->lru);
        t->open_count--;
        fd_close(&n->fd);
    }
    pthread_mutex_unlock(&t->mu);
}

/* mu held. */
static int pin(struct mfs_nodes *t, struct mfs_node *n)
{
    int rc = 0;
    n->pins++;
    while (rc == 0 && n->fd < 0)
        rc = open_one(t, n);
    if (rc == 0) {
        touch(t, n);
        trim(t);
    } else {
        n->pins--;
        drop_unneeded(t, n);
    }
    return rc;
}

int mfs_node_pin(struct mfs_nodes *t, uint64_t id, struct mfs_node **out)
{
    pthread_mutex_lock(&t->mu);
    struct mfs_node *n = find(t, id);
    int rc = n ? pin(t, n) : -ESTALE;
    pthread_mutex_unlock(&t->mu);
    if (rc == 0)
        *out = n;
    return rc;
}

struct mfs_node *mfs_node_secure(struct mfs_nodes *t, const struct mfs_identity *what,
                                 const struct mfs_node *dir)
{
    pthread_mutex_lock(&t->mu);
    struct mfs_node *n = find_file(t, what, dir->export_number, view_in(what, dir));
    if (n && pin(t, n) < 0)
        n = NULL;
    pthread_mutex_unlock(&t->mu);
    return n;
}

bool mfs_node_is_within(struct mfs_nodes *t, const struct mfs_node *n,
                        const struct mfs_identity *what)
{
    enum { STEPS_MAX = 8192 }; /* more than names fit a path */
    bool is = false;
    pthread_mutex_lock(&t->mu);
    for (int i = 0; n && !is; i++) {
        is = is_same_place(&n->identity, what) || i == STEPS_MAX;
        n = n->via ? find(t, n->via) : n->parent;
    }
    pthread_mutex_unlock(&t->mu);
    return is;
}

void mfs_node_hold(struct mfs_nodes *t, struct mfs_node *n, struct mfs_holder *h)
{
    pthread_mutex_lock(&t->mu);
    h->node = n;
    list_push_back(&n->holders, &h->link);
    pthread_mutex_unlock(&t->mu);
}

void mfs_node_unhold(struct mfs_nodes *t, struct mfs_holder *h)
{
    if (!h->node)
        return;
    pthread_mutex_lock(&t->mu);
    struct mfs_node *n = h->node;
    /* An unnamed file has nothing else to be found by: its descriptor stays. */
    if (n->fd < 0 && h->link.next == h->link.prev && n->nlookup)
        (void)open_by_holder(t, n);
    list_remove(&h->link);
    h->node = NULL;
    drop_unneeded(t, n);
    pthread_mutex_unlock(&t->mu);
}

void mfs_node_unpin(struct mfs_nodes *t, struct mfs_node *n)
{
    if (!n)
        return;
    pthread_mutex_lock(&t->mu);
    n->pins--;
    drop_unneeded(t, n);
    pthread_mutex_unlock(&t->mu);
}

/* n is now at another place. mu held. */
static void set_place(struct mfs_nodes *t, struct mfs_node *n, const struct mfs_place *at)
{
    if (!at->parent || n->is_root || at->parent == n)
        return;
    const struct mfs_node *was = n->parent;
    if (n->parent != at->parent) {
        struct mfs_node *old = n->parent;
        /* A directory can't lie in itself; names that raced might say so. */
        for (struct mfs_node *up = at->parent; up; up = up->parent)
            if (up == n)
                return;
        at->parent->children++;
        n->parent = at->parent;
        if (old) {
            old->children--;
            drop_unneeded(t, old);
        }
    }
    bool is_moved = n->parent != was;
    if (!n->name || strcmp(n->name, at->name)) {
        char *name = strdup(at->name);
        if (name) {
            free(n->name);
            n->name = name;
        }
        is_moved = true;
    }
    if (is_moved && n->is_noted)
        mfs_journal_node(t->journal, n);
}

static int add_new(struct mfs_nodes *t, const struct mfs_place *at,
                   const struct mfs_identity *identity, uint64_t view, struct mfs_node **out)
{
    if (t->by_id.count >= MFS_NODES_MAX)
        return -ENFILE;
    struct mfs_node *n = calloc(1, sizeof *n);
    if (!n)
        return -ENOMEM;
    n->fd = -1;
    list_init(&n->holders);
    n->id = at->wanted ? at->wanted : ++t->last_id;
    n->export_number = at->export_number;
    n->identity = *identity;
    n->view = view;
    n->via = at->view && at->view == view ? at->via : 0;
    if (at->name && !(n->name = strdup(at->name))) {
        free(n);
        return -ENOMEM;
    }
    int rc = mfs_table_add(&t->by_id, &n->by_id, n->id);
    if (rc == 0) {
        rc = mfs_table_add(&t->by_file, &n->by_file,
                           file_key(identity, at->export_number, view));
        if (rc < 0)
            mfs_table_remove(&t->by_id, &n->by_id);
    }
    if (rc < 0) {
        node_free(n);
        return rc;
    }
    if (at->parent) {
        n->parent = at->parent;
        n->parent->children++;
    }
    if (identity->type == S_IFDIR)
        mfs_journal_node(t->journal, n);
    *out = n;
    return 0;
}

void mfs_nodes_restore(struct mfs_nodes *t, uint64_t id, uint64_t parent, unsigned export_number, const char *name,
                       const struct mfs_identity *what, bool is_on_root_dev)
{
    enum { KEPT = 1 << 30 }; /* lookups: how many it was is not known, so it stays */
    struct mfs_identity identity = *what;
    struct mfs_node *n = find(t, id), *above = find(t, parent), *root = above;
    while (root && !root->is_root)
        root = root->parent;
    if (!id || !root || root->export_number != export_number || (n && n->is_root))
        return;
    identity.mount = root->identity.mount;
    if (is_on_root_dev)
        identity.dev = root->identity.dev;
    struct mfs_place at = { .parent = above, .name = name, .export_number = export_number, .wanted = id };
    if (n && is_same_file(&n->identity, &identity)) {
        set_place(t, n, &at);
        return;
    }
    struct mfs_node *other = find_file(t, &identity, export_number, 0);
    if (other && !other->is_root)
        unlink_file(t, other); /* the same file by a later number: the earlier one is found by its name as well */
    if (n || (other && other->is_root) || add_new(t, &at, &identity, 0, &n) < 0)
        return;
    n->nlookup = KEPT;
    n->is_noted = true;
}

int mfs_node_enter(struct mfs_nodes *t, const struct mfs_place *at, int *fd,
                   const struct statx *stx, uint64_t *id)
{
    struct mfs_identity identity;
    int rc = 0;
    mfs_identity_of(stx, &identity);
    pthread_mutex_lock(&t->mu);
    uint64_t view = view_in(&identity, at->parent);
    if (at->view && identity.type == S_IFDIR)
        view = at->view;
    struct mfs_node *n = find_file(t, &identity, at->export_number, view);
    bool is_other = n && (at->wanted || (n->fd < 0 && !is_same_file(&n->identity, &identity)));
    if (is_other) {
        unlink_file(t, n); /* the inode number was used again */
        n = NULL;
    }
    if (n)
        set_place(t, n, at);
    else if (at->wanted && find(t, at->wanted))
        rc = -EINVAL;
    else
        rc = add_new(t, at, &identity, view, &n);
    if (rc == 0) {
        n->nlookup++;
        if (*fd >= 0 && n->fd < 0)
            set_fd(t, n, fd);
        else
            touch(t, n);
        *id = n->id;
        n->pins++;
        trim(t);
        n->pins--;
    }
    pthread_mutex_unlock(&t->mu);
    fd_close(fd);
    return rc;
}

void mfs_node_forget(struct mfs_nodes *t, uint64_t id, uint64_t nlookup)
{
    pthread_mutex_lock(&t->mu);
    struct mfs_node *n = find(t, id);
    if (n && !n->is_root) {
        n->nlookup -= nlookup < n->nlookup ? nlookup : n->nlookup;
        drop_unneeded(t, n);
    }
    pthread_mutex_unlock(&t->mu);
}

uint64_t mfs_node_known(struct mfs_nodes *t, const struct mfs_identity *what,
                        const struct mfs_node *dir, const char *name, bool *is_as_told)
{
    pthread_mutex_lock(&t->mu);
    struct mfs_node *n = find_file(t, what, dir->export_number, view_in(what, dir));
    uint64_t id = n ? n->id : 0;
    *is_as_told = n && n->parent == dir && n->name && !strcmp(n->name, name);
    pthread_mutex_unlock(&t->mu);
    return id;
}

static bool is_watched(const struct mfs_node *n)
{
    return __atomic_load_n(&n->watch_state, __ATOMIC_ACQUIRE) == MFS_WATCH_STANDS;
}

bool mfs_node_may_promise(struct mfs_nodes *t, struct mfs_node *n, uint32_t *events)
{
    if (n->identity.type == S_IFDIR) {
        *events = __atomic_load_n(&n->events, __ATOMIC_SEQ_CST);
        return is_watched(n);
    }
    pthread_mutex_lock(&t->mu);
    struct mfs_node *parent = n->parent;
    struct statx stx;
    struct mfs_identity now;
    bool may = parent && parent->fd >= 0 && n->name && is_watched(parent);
    if (may) {
        *events = __atomic_load_n(&parent->events, __ATOMIC_SEQ_CST);
        may = mfs_statx(parent->fd, n->name, AT_SYMLINK_NOFOLLOW, &stx) == 0 &&
              stx.stx_nlink == 1;
    }
    if (may) {
        mfs_identity_of(&stx, &now);
        may = is_same_place(&now, &n->identity);
    }
    pthread_mutex_unlock(&t->mu);
    return may;
}

bool mfs_node_promise(struct mfs_nodes *t, uint64_t id, const struct mfs_node *watched,
                      uint32_t events)
{
    pthread_mutex_lock(&t->mu);
    struct mfs_node *n = find(t, id);
    if (n && !watched)
        watched = n->identity.type == S_IFDIR ? n : n->parent;
    bool is_given = n && watched;
    /* First given, then looked whether something came: what comes later finds it given and is
     * told. */
    if (is_given) {
        __atomic_store_n(&n->is_promised, true, __ATOMIC_SEQ_CST);
        is_given = __atomic_load_n(&watched->events, __ATOMIC_SEQ_CST) == events;
    }
    pthread_mutex_unlock(&t->mu);
    return is_given;
}

bool mfs_node_is_promised(struct mfs_nodes *t, uint64_t id)
{
    pthread_mutex_lock(&t->mu);
    struct mfs_node *n = find(t, id);
    bool is = n && __atomic_load_n(&n->is_promised, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&t->mu);
    return is;
}

bool mfs_node_events_are(struct mfs_nodes *t, uint64_t id, uint32_t events)
{
    pthread_mutex_lock(&t->mu);
    struct mfs_node *n = find(t, id);
    bool are = n && __atomic_load_n(&n->events, __ATOMIC_SEQ_CST) == events;
    pthread_mutex_unlock(&t->mu);
    return are;
}

/* ---- the client's own changes ---- */

static struct mfs_left left_of(const struct statx *stx)
{
    return (struct mfs_left){ true,
                              stx->stx_mode,
                              stx->stx_nlink,
                              stx->stx_uid,
                              stx->stx_gid,
                              stx->stx_size,
                              stx->stx_mtime.tv_sec,
                              stx->stx_ctime.tv_sec,
                              stx->stx_mtime.tv_nsec,
                              stx->stx_ctime.tv_nsec };
}

static bool is_left_so(const struct mfs_left *a, const struct mfs_left *b)
{
    return a->is_known && b->is_known && a->mode == b->mode && a->nlink == b->nlink &&
           a->uid == b->uid && a->gid == b->gid && a->size == b->size &&
           a->mtime_sec == b->mtime_sec && a->mtime_nsec == b->mtime_nsec &&
           a->ctime_sec == b->ctime_sec && a->ctime_nsec == b->ctime_nsec;
}

/* Events of changes that are older have been read. */
static bool is_long_ago(const struct mfs_left *a)
{
    enum { EVENT_LAG_S = 2 };
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return a->mtime_sec < now.tv_sec - EVENT_LAG_S && a->ctime_sec < now.tv_sec - EVENT_LAG_S;
}

bool mfs_node_change_begin(struct mfs_nodes *t, struct mfs_node *n, int fd)
{
    struct statx stx;
    struct mfs_left now = { 0 };
    if (mfs_statx(fd, "", AT_EMPTY_PATH, &stx) == 0)
        now = left_of(&stx);
    pthread_mutex_lock(&t->mu);
    bool is_old = now.is_known && is_long_ago(&now);
    /* Another change that is on the way makes its own difference. */
    bool is_ours = n->changing || is_left_so(&n->left, &now) || is_old;
    if (n->identity.type == S_IFDIR && !n->changing) {
        /* Each change of its names is an event that says so; this is about the rest. */
        is_ours = !n->left.is_known || (n->left.mode == now.mode && n->left.uid == now.uid &&
                                        n->left.gid == now.gid);
        n->is_left_doubtful = !n->left.is_known && !is_old;
    }
    n->changing++;
    pthread_mutex_unlock(&t->mu);
    return !is_ours;
}

void mfs_node_change_end(struct mfs_nodes *t, struct mfs_node *n, int fd)
{
    struct statx stx;
    int rc = mfs_statx(fd, "", AT_EMPTY_PATH, &stx);
    pthread_mutex_lock(&t->mu);
    n->changing--;
    n->left = rc == 0 && !n->is_left_doubtful ? left_of(&stx) : (struct mfs_left){ 0 };
    n->is_left_doubtful = n->is_left_doubtful && n->changing;
    pthread_mutex_unlock(&t->mu);
}

void mfs_node_made(struct mfs_nodes *t, uint64_t id, const struct statx *stx)
{
    pthread_mutex_lock(&t->mu);
    struct mfs_node *n = find(t, id);
    if (n)
        n->left = left_of(stx);
    pthread_mutex_unlock(&t->mu);
}

bool mfs_node_is_as_left(struct mfs_nodes *t, uint64_t id, const struct statx *stx)
{
    struct mfs_left now = left_of(stx);
    struct statx again;
    pthread_mutex_lock(&t->mu);
    struct mfs_node *n = find(t, id);
    /* Changes of ours may have come since it was looked at; while this is held none begins. */
    if (n && !n->changing && !is_left_so(&n->left, &now) &&
        mfs_statx(n->fd, "", AT_EMPTY_PATH, &again) == 0)
        now = left_of(&again);
    bool is_so = n && (n->changing || (is_left_so(&n->left, &now) &&
                                       (t->has_fine_times || is_long_ago(&now))));
    pthread_mutex_unlock(&t->mu);
    return is_so;
}

bool mfs_node_take_promise(struct mfs_nodes *t, uint64_t id)
{
    pthread_mutex_lock(&t->mu);
    struct mfs_node *n = find(t, id);
    bool was = n && __atomic_exchange_n(&n->is_promised, false, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&t->mu);
    return was;
}

void mfs_node_moved(struct mfs_nodes *t, const struct mfs_identity *what,
                    const struct mfs_place *to)
{
    pthread_mutex_lock(&t->mu);
    struct mfs_node *n = find_file(t, what, to->export_number, view_in(what, to->parent));
    if (n)
        set_place(t, n, to);
    pthread_mutex_unlock(&t->mu);
}

int mfs_node_path(struct mfs_nodes *t, const struct mfs_node *n, const char *root_path,
                  char *path, size_t size_bytes)
{
    /* Written from the end, then moved to the front. */
    size_t at = size_bytes, root_len = strcmp(root_path, "/") ? strlen(root_path) : 0;
    int rc = 0;
    if (!at)
        return -ENAMETOOLONG;
    path[--at] = 0;
    pthread_mutex_lock(&t->mu);
    for (; rc == 0 && n && !n->is_root && n->name; n = n->parent) {
        size_t len = strlen(n->name);
        if (len + 1 + root_len >= at) {
            rc = -ENAMETOOLONG;
            break;
        }
        at -= len;
        memcpy(path + at, n->name, len);
        path[--at] = '/';
    }
    pthread_mutex_unlock(&t->mu);
    if (rc == 0 && root_len > at)
        rc = -ENAMETOOLONG;
    if (rc < 0)
        return rc;
    if (!path[at] && !root_len && at > 0)
        path[--at] = '/';
    memmove(path + root_len, path + at, size_bytes - at);
    memcpy(path, root_path, root_len);
    return 0;
}
