/* SPDX-License-Identifier: GPL-2.0-or-later */
/* watch.c: inotify events into notices.
 * Must not know: operations, replies.
 * Events that the client itself caused look like others'. A name that still means what
 * the client was told last is not reported, so that creating files costs no second look at
 * them. With leases operations say which events of names they will cause, and files that are as the
 * client's own last change left them are not reported. All else is: it costs a question, never a wrong answer.
 * How a file was left is only told by its times: two changes in the same tick of a kernel before 6.13 look
 * like one. There nothing that happened just now counts as ours. */
#include "mrcfs/server/watch.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "mrcfs/mrcfs.h"
#include "mrcfs/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
    EVENT_BUFFER = 64 * 1024,
    SWEEPS = 3,
    SWEEP_MS = 1000,
    MARK_READS = 256, /* 16 MiB: more than the kernel's queue of 16384 events holds of usual names */
    NAMES = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO,
    CONTENTS = IN_MODIFY | IN_CLOSE_WRITE,
    EVENTS = NAMES | CONTENTS | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR,
};

struct watch {
    struct mfs_link by_wd;
    uint64_t node;
};

/* File systems all of whose changes pass through this kernel. */
static const long local_kinds[] = {
    EXT4_SUPER_MAGIC,     XFS_SUPER_MAGIC,           BTRFS_SUPER_MAGIC,
    TMPFS_MAGIC,          OVERLAYFS_SUPER_MAGIC,     F2FS_SUPER_MAGIC,
    0x2fc12fc1 /* ZFS */, 0xca451a4e /* bcachefs */, REISERFS_SUPER_MAGIC,
    0x3153464a /* JFS */,
};

bool mfs_is_local(int fd)
{
    struct statfs s;
    if (fstatfs(fd, &s) < 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(local_kinds); i++)
        if ((long)s.f_type == local_kinds[i])
            return true;
    return false;
}

static struct watch *watch_of(struct mfs_link *l)
{
    return CONTAINER_OF(l, struct watch, by_wd);
}

bool mfs_watch(struct mfs_watches *w, struct mfs_node *dir)
{
    int state = __atomic_load_n(&dir->watch_state, __ATOMIC_ACQUIRE);
    if (w->fd < 0 || __atomic_load_n(&w->is_broken, __ATOMIC_RELAXED))
        return false;
    if (state != MFS_WATCH_NONE)
        return state == MFS_WATCH_STANDS;
    /* A view is of a directory that may have any number of others. */
    if (dir->identity.type != S_IFDIR || dir->view)
        return false;
    pthread_mutex_lock(&w->mu);
    if (dir->watch_state == MFS_WATCH_NONE) {
        char name[16];
        snprintf(name, sizeof name, "%d", dir->fd);
        struct watch *new = calloc(1, sizeof *new);
        int wd = new &&mfs_is_local(dir->fd) ? inotify_add_watch(w->fd, name, EVENTS) : -1;
        if (wd >= 0) {
            new->node = dir->id;
            if (mfs_table_add(&w->by_wd, &new->by_wd, (uint64_t)wd) < 0)
                wd = -1;
        }
        if (wd < 0)
            free(new);
        dir->wd = wd;
        __atomic_store_n(&dir->watch_state, wd >= 0 ? MFS_WATCH_STANDS : MFS_WATCH_REFUSED,
                         __ATOMIC_RELEASE);
    }
    state = dir->watch_state;
    pthread_mutex_unlock(&w->mu);
    return state == MFS_WATCH_STANDS;
}

void mfs_unwatch(struct mfs_watches *w, struct mfs_node *dir)
{
    if (dir->watch_state != MFS_WATCH_STANDS)
        return;
    pthread_mutex_lock(&w->mu);
    struct mfs_link *l = mfs_table_find(&w->by_wd, (uint64_t)dir->wd);
    while (l && watch_of(l)->node != dir->id)
        l = mfs_table_next(l);
    if (l) {
        mfs_table_remove(&w->by_wd, l);
        free(watch_of(l));
    }
    /* Another export may know the same directory: one watch serves both. */
    if (!mfs_table_find(&w->by_wd, (uint64_t)dir->wd))
        inotify_rm_watch(w->fd, dir->wd);
    pthread_mutex_unlock(&w->mu);
}

/* ---- notices ---- */

static void send(struct mfs_watches *w, uint16_t kind, const struct mfs_inval_node_notice *n,
                 const struct mfs_inval_entry_notice *e)
{
    struct mfs_out *m = mfs_out_new(64 + MFS_NAME_MAX);
    if (!m)
        return;
    struct wr wr = wr_of(m->memory, m->len);
    mfs_message_begin(&wr, &(struct mfs_head){ .kind = MFS_NOTIFY, .notice = kind });
    if (n)
        mfs_inval_node_notice_put(&wr, n);
    else
        mfs_inval_entry_notice_put(&wr, e);
    mfs_message_end(&wr, 0);
    m->len = wr_len(&wr);
    m->at = m->memory;
    mfs_stream_send(w->out, m);
}

static void lock_order(struct mfs_watches *w)
{
    if (w->order)
        pthread_mutex_lock(w->order);
}

static void unlock_order(struct mfs_watches *w)
{
    if (w->order)
        pthread_mutex_unlock(w->order);
}

/* Only who was promised something need be told, and once. */
static void tell_node(struct mfs_watches *w, uint64_t node, bool has_new_contents)
{
    lock_order(w);
    bool was_promised = mfs_node_take_promise(w->nodes, node);
    unlock_order(w);
    if (!was_promised)
        return;
    send(w, MFS_NOTICE_inval_node,
         &(struct mfs_inval_node_notice){ node, has_new_contents, 0, 0 }, NULL);
}

static uint32_t hash_of(const char *name)
{
    uint32_t x = 2166136261u;
    for (; *name; name++)
        x = (x ^ (uint8_t)*name) * 16777619u;
    return x;
}

/* The event thread's own: was the name reported, and no name of the directory promised since?
 */
static bool was_told(struct mfs_node *dir, const char *name)
{
    uint32_t promised = __atomic_load_n(&dir->names_promised, __ATOMIC_SEQ_CST);
    uint32_t hash = hash_of(name);
    if (!promised)
        return true; /* nothing was ever promised */
    if (dir->told_at != promised) {
        dir->told_at = promised;
        dir->told_count = 0;
    }
    for (uint32_t i = 0; i < dir->told_count && i < MFS_TOLD_MAX; i++)
        if (dir->told[i] == hash)
            return true;
    dir->told[dir->told_count++ % MFS_TOLD_MAX] = hash;
    return false;
}

void mfs_watch_tell(struct mfs_watches *w, uint64_t node)
{
    if (w->has_thread)
        tell_node(w, node, true);
}

/* ---- what the client itself causes ---- */

struct mfs_expected {
    struct mfs_expected *next;
    uint32_t hash;
    uint32_t mask;
    uint64_t since_ms;
};

/* One that never came (nothing changed after all) must not hide another one for long. */
enum { EXPECTED_MS = 5000 };

void mfs_watch_expect(struct mfs_watches *w, struct mfs_node *dir, const char *name,
                      uint32_t mask)
{
    if (!w->knows_own || dir->watch_state != MFS_WATCH_STANDS)
        return;
    struct mfs_expected *x = malloc(sizeof *x);
    if (!x)
        return; /* then it is told */
    *x = (struct mfs_expected){ NULL, hash_of(name), mask, clock_mono_ms() };
    pthread_mutex_lock(&w->mu);
    if (dir->expected_count < MFS_EXPECTED_MAX) {
        dir->expected_count++;
        x->next = dir->expected;
        dir->expected = x;
        x = NULL;
    }
    pthread_mutex_unlock(&w->mu);
    free(x);
}

static bool take_expected(struct mfs_watches *w, struct mfs_node *dir, const char *name,
                          uint32_t mask)
{
    uint32_t hash = hash_of(name);
    uint64_t now = clock_mono_ms();
    bool is_found = false;
    pthread_mutex_lock(&w->mu);
    for (struct mfs_expected **at = &dir->expected; *at;) {
        struct mfs_expected *x = *at;
        bool is_it = !is_found && x->hash == hash && x->mask & mask;
        if (is_it || now - x->since_ms > EXPECTED_MS) {
            is_found = is_found || is_it;
            *at = x->next;
            dir->expected_count--;
            free(x);
        } else {
            at = &x->next;
        }
    }
    pthread_mutex_unlock(&w->mu);
    return is_found;
}

void mfs_watch_expect_none(struct mfs_node *dir)
{
    while (dir->expected) {
        struct mfs_expected *x = dir->expected;
        dir->expected = x->next;
        free(x);
    }
}

static void tell_entry(struct mfs_watches *w, struct mfs_node *dir, const char *name)
{
    if (!was_told(dir, name))
        send(w, MFS_NOTICE_inval_entry, NULL,
             &(struct mfs_inval_entry_notice){ dir->id, bytes_of(name) });
}

/* Somebody else's event of a name: the name and the listing are not what they were. */
static void tell_names(struct mfs_watches *w, struct mfs_node *dir, const char *name,
                       bool is_known)
{
    if (!is_known)
        tell_entry(w, dir, name);
    tell_node(w, dir->id, true); /* its listing and its times */
}

void mfs_watch_withdraw(struct mfs_watches *w, struct mfs_node *dir, const char *name,
                        uint32_t mask)
{
    if (!w->knows_own || dir->watch_state != MFS_WATCH_STANDS ||
        take_expected(w, dir, name, mask))
        return;
    /* Somebody else's was taken for it. */
    lock_order(w);
    __atomic_fetch_add(&dir->events, 1, __ATOMIC_SEQ_CST);
    unlock_order(w);
    tell_names(w, dir, name, false);
}

/* What name in the directory is now: the number of its node, 0 if the client doesn't know it.
 */
static uint64_t known_at(struct mfs_watches *w, struct mfs_node *dir, const char *name,
                         bool *is_as_told, struct statx *stx)
{
    struct mfs_identity what;
    *is_as_told = false;
    if (mfs_statx(dir->fd, name, AT_SYMLINK_NOFOLLOW, stx) < 0)
        return 0;
    mfs_identity_of(stx, &what);
    return mfs_node_known(w->nodes, &what, dir, name, is_as_told);
}

static void take_name_event(struct mfs_watches *w, struct mfs_node *dir, uint32_t mask,
                            const char *name)
{
    bool is_as_told;
    struct statx stx;
    uint64_t node = known_at(w, dir, name, &is_as_told, &stx);
    if (mask & (IN_DELETE | IN_MOVED_TO) && !w->sweeps)
        w->sweep_ms = clock_mono_ms() + SWEEP_MS;
    if (mask & (IN_DELETE | IN_MOVED_TO)) /* perhaps over another one */
        w->sweeps = SWEEPS;
    if (mask & NAMES)
        tell_names(w, dir, name, node && is_as_told);
    if (node && w->knows_own && mfs_node_is_as_left(w->nodes, node, &stx))
        return;
    bool is_linked = mask & IN_CREATE && stx.stx_nlink > 1; /* it had a name before */
    if (node && (is_linked || mask & (CONTENTS | IN_ATTRIB | IN_MOVED_TO)))
        tell_node(w, node, (mask & CONTENTS) != 0);
}

static void take_dir_event(struct mfs_watches *w, struct mfs_node *dir,
                           const struct inotify_event *ev)
{
    struct statx stx;
    bool is_name = ev->len && ev->mask & NAMES;
    if (w->knows_own && is_name && take_expected(w, dir, ev->name, ev->mask & NAMES))
        return;
    if (is_name || !w->knows_own) {
        lock_order(w);
        __atomic_fetch_add(&dir->events, 1, __ATOMIC_SEQ_CST);
        unlock_order(w);
    }
    if (ev->len)
        take_name_event(w, dir, ev->mask, ev->name);
    else if (!w->knows_own || mfs_statx(dir->fd, "", AT_EMPTY_PATH, &stx) < 0 ||
             !mfs_node_is_as_left(w->nodes, dir->id, &stx))
        tell_node(w, dir->id, false);
}

static void take_event(struct mfs_watches *w, const struct inotify_event *ev)
{
    uint64_t ids[MFS_EXPORTS_MAX];
    size_t count = 0;
    pthread_mutex_lock(&w->mu);
    for (struct mfs_link *l = mfs_table_find(&w->by_wd, (uint64_t)ev->wd);
         l && count < ARRAY_LEN(ids); l = mfs_table_next(l))
        ids[count++] = watch_of(l)->node;
    pthread_mutex_unlock(&w->mu);
    for (size_t i = 0; i < count; i++) {
        struct mfs_node *dir;
        if (mfs_node_pin(w->nodes, ids[i], &dir) < 0) {
            tell_node(w, ids[i],
                      true); /* it can't be found any more: the next question will say so */
            continue;
        }
        take_dir_event(w, dir, ev);
        mfs_node_unpin(w->nodes, dir);
    }
}

/* Reads events once. False when there are none. */
static bool take_events(struct mfs_watches *w)
{
    static _Alignas(struct inotify_event) char buffer[EVENT_BUFFER];
    ssize_t n = w->fd < 0 ? 0 : fd_read(w->fd, buffer, sizeof buffer);
    for (ssize_t at = 0; at < n;) {
        const struct inotify_event *ev = (const void *)(buffer + at);
        if (ev->mask & IN_Q_OVERFLOW)
            __atomic_store_n(&w->is_broken, true,
                             __ATOMIC_RELAXED); /* what was promised ends by time */
        else
            take_event(w, ev);
        at += (ssize_t)(sizeof *ev + ev->len);
    }
    return n > 0;
}

/* The kernel has queued the events of a change when the change returns: those of all changes
 * before the mark was written can be read now. At most MARK_READS buffers of them: others may
 * change files as fast as we read. */
static void take_mark(struct mfs_watches *w, struct pollfd *mark_poll)
{
    uint64_t mark;
    if (fd_read_full(w->mark_fd, &mark, sizeof mark) != sizeof mark) {
        mark_poll->fd = -1; /* there will be no more */
        return;
    }
    for (int i = 0; i < MARK_READS && take_events(w); i++)
        continue;
    struct mfs_out *m = mfs_out_new(MFS_HEAD_BYTES + 16);
    if (!m)
        return; /* who waits for it has a bound */
    struct wr wr = wr_of(m->memory, m->len);
    mfs_message_begin(&wr, &(struct mfs_head){ .kind = MFS_NOTIFY, .notice = MFS_NOTICE_mark });
    mfs_mark_notice_put(&wr, &(struct mfs_mark_notice){ mark });
    mfs_message_end(&wr, 0);
    m->len = wr_len(&wr);
    m->at = m->memory;
    mfs_stream_send(w->out, m);
}

/* A client that remembers a file for long must not keep its space when it is removed. The client closes what
 * it has open for later only when it has heard, so that one look is not enough. */
static int sweep(struct mfs_watches *w)
{
    uint64_t now_ms = clock_mono_ms();
    if (w->sweeps && now_ms >= w->sweep_ms) {
        mfs_nodes_let_go(w->nodes);
        w->sweeps--;
        w->sweep_ms = now_ms + SWEEP_MS;
    }
    if (!w->sweeps)
        return -1;
    return w->sweep_ms > now_ms ? (int)(w->sweep_ms - now_ms) : 0;
}

static void *run(void *arg)
{
    struct mfs_watches *w = arg;
    struct pollfd pf[3] = { { .fd = w->fd, .events = POLLIN },
                            { .fd = w->stop, .events = POLLIN },
                            { .fd = w->mark_fd, .events = POLLIN } };
    while (poll(pf, 3, sweep(w)) >= 0 || errno == EINTR) {
        if (pf[1].revents)
            break;
        take_events(w);
        if (pf[2].revents)
            take_mark(w, &pf[2]);
    }
    return NULL;
}

int mfs_watches_start(struct mfs_watches *w, bool is_wanted, struct mfs_nodes *nodes,
                      struct mfs_stream *out, pthread_mutex_t *order, int mark_fd)
{
    *w = (struct mfs_watches){ .fd = is_wanted ? inotify_init1(IN_CLOEXEC | IN_NONBLOCK) : -1,
                               .mark_fd = mark_fd,
                               .nodes = nodes,
                               .out = out,
                               .order = order };
    w->stop = eventfd(0, EFD_CLOEXEC);
    pthread_mutex_init(&w->mu, NULL);
    int rc = w->stop < 0 ? -errno : 0;
    bool wants_thread = w->fd >= 0 || mark_fd >= 0;
    if (rc == 0 && wants_thread)
        rc = -pthread_create(&w->thread, NULL, run, w);
    w->has_thread = rc == 0 && wants_thread;
    if (!w->has_thread)
        fd_close(&w->fd);
    nodes->watches = w->fd >= 0 ? w : NULL;
    return rc;
}

void mfs_watches_stop(struct mfs_watches *w)
{
    if (w->has_thread) {
        uint64_t one = 1;
        ssize_t n = write(w->stop, &one, sizeof one);
        (void)n; /* an empty eventfd takes 1 */
        pthread_join(w->thread, NULL);
        w->has_thread = false;
        w->nodes->watches = NULL;
        struct mfs_link *l;
        while ((l = mfs_table_any(&w->by_wd))) {
            mfs_table_remove(&w->by_wd, l);
            free(watch_of(l));
        }
        mfs_table_fini(&w->by_wd);
        pthread_mutex_destroy(&w->mu);
    }
    fd_close(&w->fd);
    fd_close(&w->stop);
}
