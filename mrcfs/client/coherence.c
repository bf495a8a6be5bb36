/* SPDX-License-Identifier: GPL-2.0-or-later */
/* coherence.c: what the kernel may believe of names, attributes and pages, and what it is told
 * when that no longer holds.
 * Must not know: libfuse, how notices reach this side.
 * Threads: the loop's; the notifier's thread runs send_inval_*, which touch nothing but the
 * session's descriptor. */
#include "mrcfs/client/coherence.h"

#include "common/sys/clock.h"
#include "mrcfs/client/client.h"
#include "mrcfs/client/notify.h"
#include "mrcfs/client/opened.h"
#include "mrcfs/client/rawfuse.h"
#include "mrcfs/client/session.h"

#include <sys/stat.h>

enum {
    SMALL_FILE = 64 << 10, /* the server's bound for what comes along */
    FRESH_MS = 1000,       /* see repeat_notices */
};

void mfs_coherence_learn(struct mfs_session *s, struct mfs_known *n,
                         const struct mfs_known *parent, const struct mfs_attr *a)
{
    n->has_told = true;
    n->told_size = a->size;
    n->told_mtime_sec = a->mtime_sec;
    n->told_mtime_nsec = a->mtime_nsec;
    n->told_ctime_sec = a->ctime_sec;
    n->told_ctime_nsec = a->ctime_nsec;
    n->told_gid = a->gid;
    n->told_set_gid = (a->mode & S_ISGID) != 0;
    n->is_on_root_fs = a->flags & MFS_ATTR_ROOT_FS;
    n->can_move = n->can_move || a->flags & MFS_ATTR_MOVES; /* few answers say so */
    n->is_leasable =
        s->client->features & MFS_FEATURE_PRIVILEGED || a->uid == s->client->server_uid;
    n->is_small_file = S_ISREG(a->mode) && a->size && a->size <= SMALL_FILE;
    n->plain_until_ms =
        a->flags & MFS_ATTR_PLAIN && a->valid_ms ? clock_mono_ms() + a->valid_ms : 0;
    n->access_known = n->access_allowed = 0;
    if (!s->client->opts.is_single_user)
        return;
    bool is_own = a->uid == s->client->opts.own_uid;
    bool is_writable = a->flags & MFS_ATTR_WRITABLE;
    if (parent && parent->is_removable_from)
        n->is_in_ours = true;
    n->is_ours = is_own || is_writable || n->is_in_ours;
    n->is_removable_from =
        S_ISDIR(a->mode) && (is_own || (is_writable && !(a->mode & S_ISVTX)));
}

bool mfs_coherence_is_outdated(const struct mfs_known *n, const struct mfs_attr *a)
{
    return n->has_told &&
           (n->told_size != a->size || n->told_mtime_sec != a->mtime_sec ||
            n->told_mtime_nsec != a->mtime_nsec || n->told_ctime_sec != a->ctime_sec ||
            n->told_ctime_nsec != a->ctime_nsec);
}

void mfs_coherence_hear(struct mfs_session *s, struct mfs_known *n,
                        const struct mfs_known *parent, const struct mfs_attr *a)
{
    if (mfs_coherence_is_outdated(n, a))
        mfs_coherence_distrust(s, n->number);
    mfs_coherence_learn(s, n, parent, a);
}

void mfs_coherence_count_change(struct mfs_session *s, uint64_t node)
{
    struct mfs_known *n = mfs_known_find(&s->nodes, node);
    if (n)
        n->changes++;
}

/* The kernel answers at once: pages are left alone by this call. Under lease, who asks for
 * attributes each time finds out by itself, and must not be told: a notice that comes between
 * the kernel's question and the answer makes it drop the answer. */
void mfs_coherence_distrust(struct mfs_session *s, uint64_t node)
{
    struct mfs_known *n = mfs_known_find(&s->nodes, node);
    if (mfs_lease_is_on(s->client)) {
        if (!n || clock_mono_ms() >= n->kernel_until_ms)
            return;
        n->kernel_until_ms = 0;
    }
    int rc = mfs_raw_inval_node(s->fd, mfs_session_swap_root(s, node), -1, 0);
    (void)rc; /* ENOENT: the kernel doesn't know the node */
}

void mfs_coherence_uncovered(struct mfs_session *s, const struct mfs_known *n)
{
    if (n->opens && n->is_leasable && !n->is_held && !s->is_detached &&
        mfs_lease_is_on(s->client))
        mfs_coherence_distrust(s, n->number);
}

/* On the notifier's thread. */
static void send_inval_node(const struct mfs_kernel_notice *n)
{
    struct mfs_session *s = n->target;
    int rc = mfs_raw_inval_node(s->fd, n->node, n->offset, n->length);
    (void)rc; /* ENOENT: the kernel doesn't know the node */
    if (n->serial)
        mfs_lease_answer(s->client, n->serial);
}

static void send_inval_entry(const struct mfs_kernel_notice *n)
{
    struct mfs_session *s = n->target;
    int rc = mfs_raw_expire_entry(s->fd, n->node, n->name);
    (void)rc; /* ENOENT: the kernel doesn't know the name */
}

/* A notice that overtakes, inside the kernel, the first answer about its node finds no inode
 * and is lost; then the inode comes into being with attributes that are old but promised. So
 * for a node that the kernel has just been told of, it is said again. */
static void repeat_notices(void *ctx)
{
    struct mfs_session *s = ctx;
    LIST_EACH(&s->again, it, nx)
    {
        struct mfs_known *n = LIST_ENTRY(it, struct mfs_known, again);
        struct mfs_kernel_notice notice = { .fn = send_inval_node,
                                            .target = s,
                                            .node = mfs_session_swap_root(s, n->number) };
        list_remove(it);
        mfs_notifier_add(s->client->notifier, &notice, (struct bytes){ NULL, 0 });
    }
}

void mfs_session_drop_cached(struct mfs_session *s, struct mfs_known *n, uint64_t serial)
{
    n->plain_until_ms = 0;
    n->has_stamp = false;
    mfs_ahead_changed(s, n->number);
    n->changes++;
    bool is_believed = clock_mono_ms() < n->kernel_until_ms;
    mfs_coherence_distrust(s, n->number);
    /* Pages of a file that nobody has open go with the next open (has_stamp). A notice from
     * another thread may come while the kernel asks for the attributes of what it has just
     * opened, and make it drop the answer. */
    if (!n->was_opened || !is_believed || (!n->opens && !n->own_pending)) {
        if (serial)
            mfs_lease_answer_here(s->client, serial);
        return;
    }
    struct mfs_kernel_notice notice = { .fn = send_inval_node,
                                        .target = s,
                                        .node = mfs_session_swap_root(s, n->number),
                                        .serial = serial };
    mfs_notifier_add(s->client->notifier, &notice, (struct bytes){ NULL, 0 });
}

void mfs_session_inval_node(struct mfs_session *s, const struct mfs_inval_node_notice *n)
{
    struct mfs_known *known = s->is_detached ? NULL : mfs_known_find(&s->nodes, n->node);
    if (!known)
        return;
    if (mfs_lease_is_on(s->client)) {
        known->names++; /* it stays while its names go */
        mfs_lease_drop(s, known);
        mfs_session_drop_cached(s, known, 0);
        known->names--;
        mfs_known_drop_unused(&s->nodes, known);
        return;
    }
    known->plain_until_ms = 0;
    known->has_stamp = false;
    mfs_ahead_changed(s, n->node);
    known->changes++;
    if (clock_mono_ms() - known->since_ms < FRESH_MS && !link_is_in(&known->again)) {
        if (list_is_empty(&s->again))
            loop_timer_set(s->client->loop, &s->again_timer, FRESH_MS, repeat_notices, s);
        list_push_back(&s->again, &known->again);
    }
    struct mfs_kernel_notice notice = { .fn = send_inval_node,
                                        .target = s,
                                        .node = mfs_session_swap_root(s, n->node),
                                        /* a negative offset leaves the pages alone */
                                        .offset = n->is_data ? (int64_t)n->offset : -1,
                                        .length = (int64_t)n->length };
    mfs_notifier_add(s->client->notifier, &notice, (struct bytes){ NULL, 0 });
}

void mfs_session_inval_entry(struct mfs_session *s, const struct mfs_inval_entry_notice *n)
{
    struct mfs_known *dir = s->is_detached ? NULL : mfs_known_find(&s->nodes, n->node);
    if (!dir)
        return;
    dir->others_ms = clock_mono_ms();
    if (mfs_lease_is_on(s->client)) { /* the kernel believes no name */
        const struct mfs_dentry *d = mfs_dentry_find(&s->names, dir, n->name);
        if (d && d->node)
            mfs_handle_drop(
                s, d->node); /* it may be removed: what is open for later keeps its space */
        dir->own_changes++;
        dir->changed_at = ++s->change_count;
        mfs_dentry_drop(&s->names, dir, n->name);
        return;
    }
    struct mfs_kernel_notice notice = { .fn = send_inval_entry,
                                        .target = s,
                                        .node = mfs_session_swap_root(s, n->node) };
    mfs_notifier_add(s->client->notifier, &notice, n->name);
}
