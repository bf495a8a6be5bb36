/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ahead.c: opening ahead: when the small files of a directory are read one after the other, the
 * next ones are opened before anybody asks.
 * Must not know: FUSE (an open that waits is answered through mfs_session_answer_open). */
#include "mrcfs/client/ahead.h"

#include "common/sys/clock.h"
#include "mrcfs/client/client.h"
#include "mrcfs/client/opened.h"
#include "mrcfs/client/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    AHEAD_KEPT_MS = 5000
}; /* how long one waits for being wanted; under lease, until others need its place */

static struct mfs_ahead_file *find(struct mfs_session *s, uint64_t node)
{
    for (size_t i = 0; node && i < MFS_AHEAD_MAX; i++)
        if (s->ahead.files[i].node == node)
            return &s->ahead.files[i];
    return NULL;
}

/* Nothing is opened ahead in its place any more. */
static void clear(struct mfs_session *s, struct mfs_ahead_file *a)
{
    s->ahead.bytes -= a->bytes;
    s->ahead.hints -= a->is_hint;
    *a = (struct mfs_ahead_file){ 0 };
}

/* Gives up an answered one that nobody wanted. */
static void drop(struct mfs_session *s, struct mfs_ahead_file *a)
{
    mfs_opened_release_unheard(s->client, a->rep.fh, false);
    free(a->head);
    clear(s, a);
}

/* A place for a file of so many bytes, or NULL. is_hint: half of all must do. */
static struct mfs_ahead_file *room(struct mfs_session *s, size_t bytes, bool is_hint)
{
    size_t bytes_max = is_hint ? MFS_AHEAD_BYTES_MAX / 2 : MFS_AHEAD_BYTES_MAX;
    bool is_leased = mfs_lease_is_on(s->client);
    size_t count = is_leased ? MFS_AHEAD_MAX : MFS_AHEAD_UNLEASED_MAX;
    for (;;) {
        bool is_full = is_hint && s->ahead.hints >= MFS_AHEAD_HINTS_MAX;
        struct mfs_ahead_file *oldest = NULL, *unused = NULL;
        for (size_t i = 0; i < count; i++) {
            struct mfs_ahead_file *a = &s->ahead.files[i];
            if (!a->node)
                unused = a;
            else if (a->is_answered &&
                     (!oldest || a->is_hint > oldest->is_hint ||
                      (a->is_hint == oldest->is_hint && a->asked_ms < oldest->asked_ms)))
                oldest = a;
        }
        if (unused && !is_full && (!is_leased || s->ahead.bytes + bytes <= bytes_max))
            return unused;
        bool may_go = oldest && (oldest->is_stale || (oldest->is_hint && !is_hint) ||
                                 clock_mono_ms() - oldest->asked_ms >= AHEAD_KEPT_MS);
        if (!may_go || (is_hint && !oldest->is_hint))
            return NULL;
        drop(s, oldest);
    }
}

static void answer_waiter(struct mfs_ahead_file *a, int rc)
{
    struct mfs_call *waiter = a->waiter;
    if (!waiter)
        return;
    a->waiter = NULL;
    mfs_client_waited(waiter->client, MFS_OP_open, a->depth);
    mfs_session_answer_open(waiter, rc, &a->rep);
    mfs_call_drop(waiter);
}

static int on_opened(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_ahead_file *a = call->file;
    if (rc == 0 &&
        (mfs_open_rep_get(body, &a->rep) < 0 || !a->rep.fh || !mfs_attr_is_valid(&a->rep.attr)))
        return -EPROTO;
    if (rc < 0 || a->waiter) {
        answer_waiter(a, rc);
        clear(call->session, a);
        return 0;
    }
    a->is_clean = mfs_lease_is_clean(call);
    a->is_answered = true;
    if (a->rep.head.len && (a->head = malloc(a->rep.head.len)))
        memcpy(a->head, a->rep.head.ptr, a->rep.head.len);
    a->rep.head = (struct bytes){ a->head, a->head ? a->rep.head.len : 0 };
    if (a->is_stale || call->session->is_detached)
        drop(call->session, a);
    return 0;
}

/* depth: of the answer that it is asked because of, 0: none. */
static bool open_one(struct mfs_session *s, const struct mfs_known *n,
                     const struct mfs_caller *who, bool is_hint, uint64_t depth)
{
    size_t bytes = n->is_small_file ? n->told_size : 0; /* that come along */
    struct mfs_ahead_file *a = room(s, bytes, is_hint);
    struct mfs_call *call = a ? mfs_call_new(s->client, on_opened) : NULL;
    if (!call)
        return false;
    call->session = s;
    call->node = n->number;
    call->file = a;
    call->is_unwaited = true;
    mfs_lease_ask(call, n->number);
    *a = (struct mfs_ahead_file){ .node = n->number,
                                  .uid = who->uid,
                                  .is_hint = is_hint,
                                  .changes = n->changes,
                                  .own_changes = n->own_changes,
                                  .told_count = n->told_count,
                                  .bytes = bytes,
                                  .asked_ms = clock_mono_ms() };
    s->ahead.bytes += a->bytes;
    s->ahead.hints += is_hint;
    int rc = mfs_send_open(call, who,
                           &(struct mfs_open_req){ n->number, MFS_O_RDONLY | MFS_O_HEAD }, 0);
    if (rc >= 0 && call->depth <= depth)
        call->depth = depth + 1;
    a->depth = call->depth;
    if (rc < 0) {
        clear(s, a);
        mfs_call_drop(call);
    }
    return rc >= 0;
}

/* Is node among the next files after from? */
static bool follows(const struct mfs_session *s, uint64_t from, uint64_t node)
{
    enum { SKIPPED_MAX = 4 };
    const struct mfs_known *n = from ? mfs_known_find(&s->nodes, from) : NULL;
    for (int i = 0; n && i < SKIPPED_MAX; i++) {
        n = mfs_scan_next(s, n);
        if (n && n->number == node)
            return true;
    }
    return false;
}

/* Is n a small file that the kernel has no pages of? */
static bool is_worth(struct mfs_session *s, const struct mfs_known *n)
{
    return n && n->is_small_file && !n->own_pending && !n->behind &&
           ((!n->has_stamp && !n->reader) || mfs_ahead_is_lost(&s->ahead)) &&
           !find(s, n->number);
}

/* Opens those of count files after n that are worth it. */
static void open_next(struct mfs_session *s, const struct mfs_known *n, int count,
                      const struct mfs_caller *who)
{
    for (int i = 0; n && i < count; i++) {
        n = mfs_scan_next(s, n);
        if (is_worth(s, n) && !open_one(s, n, who, false, 0))
            return;
    }
}

/* Files of one small directory are opened in an order of their own: all of them may be wanted.
 * False: there is no room for all. */
static bool open_dir(struct mfs_session *s, const struct mfs_known *dir,
                     const struct mfs_caller *who)
{
    enum { DIR_FILES_MAX = 256 };
    int count = 0;
    LIST_EACH(&dir->dentries, it, nx)
    count += LIST_ENTRY(it, struct mfs_dentry, in_dir)->node != NULL;
    if (count > DIR_FILES_MAX)
        return false;
    LIST_EACH(&dir->dentries, at, after)
    {
        const struct mfs_known *n = LIST_ENTRY(at, struct mfs_dentry, in_dir)->node;
        if (is_worth(s, n) && !open_one(s, n, who, false, 0))
            return false;
    }
    return true;
}

static int compare(const struct mfs_dentry *a, const struct mfs_dentry *b)
{
    int rc = memcmp(a->name, b->name, a->len < b->len ? a->len : b->len);
    return rc ? rc : (a->len > b->len) - (a->len < b->len);
}

/* The directory beside d whose name comes next, or NULL. */
static const struct mfs_dentry *beside(const struct mfs_known *in, const struct mfs_dentry *d)
{
    const struct mfs_dentry *next = NULL;
    LIST_EACH(&in->dentries, it, nx)
    {
        const struct mfs_dentry *x = LIST_ENTRY(it, struct mfs_dentry, in_dir);
        if (x->node && S_ISDIR(x->node->attr.mode) && compare(x, d) > 0 &&
            (!next || compare(x, next) < 0))
            next = x;
    }
    return next;
}

/* All files of dir may be wanted; when directories beside it were gone through before, then
 * those of the ones whose names come next too (who sorts names visits them so). */
static void open_dirs(struct mfs_session *s, const struct mfs_known *dir,
                      const struct mfs_caller *who)
{
    enum { DIRS_AHEAD_MAX = 16 };
    const struct mfs_known *in = dir->parent ? mfs_known_find(&s->nodes, dir->parent) : NULL;
    const struct mfs_dentry *d = NULL;
    if (!open_dir(s, dir, who) || !in || !s->ahead.dirs)
        return;
    LIST_EACH(&in->dentries, it, nx)
    if (LIST_ENTRY(it, struct mfs_dentry, in_dir)->node == dir)
        d = LIST_ENTRY(it, struct mfs_dentry, in_dir);
    for (unsigned i = 0; d && i < s->ahead.dirs && i < DIRS_AHEAD_MAX; i++)
        if ((d = beside(in, d)) && !open_dir(s, d->node, who))
            return;
}

/* n is opened, in an order that is not that of the lists. */
static void look_at_dirs(struct mfs_session *s, const struct mfs_known *n,
                         const struct mfs_known *last, const struct mfs_caller *who)
{
    enum { IN_DIR_MIN = 3, TURNS = 16, DIRS_MAX = 64 };
    struct mfs_ahead *o = &s->ahead;
    const struct mfs_known *dir = n->parent ? mfs_known_find(&s->nodes, n->parent) : NULL;
    const struct mfs_known *before =
        last && last->parent ? mfs_known_find(&s->nodes, last->parent) : NULL;
    bool is_same = dir && dir == before, was_whole = o->in_dir >= IN_DIR_MIN;
    bool is_next = dir && before && !is_same && was_whole && dir->parent == before->parent;
    if (is_next)
        o->dirs = o->dirs ? o->dirs * 2 : 1;
    else if (!is_same)
        o->dirs = 0;
    o->dirs = o->dirs > DIRS_MAX ? DIRS_MAX : o->dirs;
    o->in_dir = is_next ? IN_DIR_MIN : is_same ? o->in_dir + (n != last) : 0;
    /* All of it is looked at once in a while: most is under way already. */
    if (dir && (o->in_dir == IN_DIR_MIN || (o->in_dir > IN_DIR_MIN && o->in_dir % TURNS == 0)))
        open_dirs(s, dir, who);
}

/* Counts how many files were opened in the order of the lists, up to node. last: the one opened
 * before it. */
static void count_run(struct mfs_session *s, const struct mfs_known *n, uint64_t node)
{
    enum { RUN_MAX = 4 };
    struct mfs_ahead *o = &s->ahead;
    /* Likewise the first file of a directory that was visited after others. */
    bool is_next = follows(s, o->last_opened, node) ||
                   (mfs_lease_is_on(s->client) && n && n->parent == s->scan.current &&
                    follows(s, s->scan.current, node));
    o->run = is_next ? o->run + (o->run < RUN_MAX) : 0;
    o->last_opened = node;
}

void mfs_ahead_look(struct mfs_session *s, uint64_t node, const struct mfs_caller *who)
{
    struct mfs_ahead *o = &s->ahead;
    bool is_leased = mfs_lease_is_on(s->client);
    const struct mfs_known *n = mfs_known_find(&s->nodes, node);
    const struct mfs_known *last =
        o->last_opened ? mfs_known_find(&s->nodes, o->last_opened) : NULL;
    count_run(s, n, node);
    if (n && o->run)
        open_next(s, n, is_leased ? 4 << 2 * o->run : 3 << o->run, who);
    else if (n && is_leased)
        look_at_dirs(s, n, last, who);
    o->lost -= o->lost > 0;
}

void mfs_ahead_known(struct mfs_session *s, uint64_t node, const struct mfs_caller *who)
{
    if (mfs_ahead_is_lost(&s->ahead)) {
        mfs_ahead_look(s, node, who);
        return;
    }
    count_run(s, mfs_known_find(&s->nodes, node), node);
    s->ahead.lost -= s->ahead.lost > 0;
}

void mfs_ahead_missed(struct mfs_session *s)
{
    unsigned lost = s->ahead.lost + 2;
    s->ahead.lost = lost < MFS_AHEAD_LOST_MAX ? lost : MFS_AHEAD_LOST_MAX;
}

bool mfs_ahead_want(struct mfs_session *s, uint64_t node, const struct mfs_caller *who,
                    uint64_t depth)
{
    const struct mfs_known *n = mfs_known_find(&s->nodes, node);
    if (!n || !mfs_lease_is_on(s->client) || !S_ISREG(n->attr.mode) || n->has_stamp ||
        n->own_pending || n->behind || n->reader || find(s, node))
        return true;
    return open_one(s, n, who, true, depth);
}

/* May an open of it by who be answered by a? */
static bool is_for(const struct mfs_session *s, const struct mfs_ahead_file *a,
                   const struct mfs_caller *who)
{
    bool is_leased = mfs_lease_is_on(s->client);
    if (a->uid != who->uid || a->is_stale || a->waiter ||
        (!is_leased && clock_mono_ms() - a->asked_ms > AHEAD_KEPT_MS))
        return false;
    const struct mfs_known *n = mfs_known_find(&s->nodes, a->node);
    if (!n || n->changes != a->changes)
        return false;
    return !is_leased ||
           !(n->own_pending || n->own_changes != a->own_changes ||
             n->told_count != a->told_count || !mfs_lease_is_alive(s->client) ||
             (a->is_answered &&
              (!a->is_clean || !a->rep.attr.valid_ms))); /* it may be older than this open */
}

bool mfs_ahead_has(struct mfs_session *s, uint64_t node, const struct mfs_caller *who)
{
    const struct mfs_ahead_file *a = find(s, node);
    return a && is_for(s, a, who);
}

bool mfs_ahead_take(struct mfs_session *s, struct mfs_call *call, const struct mfs_caller *who)
{
    struct mfs_ahead_file *a = find(s, call->node);
    if (!a || !is_for(s, a, who))
        return false;
    a->waiter = call;
    s->client->stats.cache_hits++;
    if (a->is_answered) {
        uint8_t *head = a->head;
        answer_waiter(a, 0);
        free(head);
        clear(s, a);
    }
    return true;
}

void mfs_ahead_leave(struct mfs_call *call)
{
    struct mfs_ahead_file *a = find(call->session, call->node);
    if (a && a->waiter == call)
        a->waiter = NULL;
}

void mfs_ahead_changed(struct mfs_session *s, uint64_t node)
{
    mfs_session_drop_read(s, node);
    struct mfs_ahead_file *a = find(s, node);
    if (a && a->is_answered)
        drop(s, a);
    else if (a)
        a->is_stale = true;
}

void mfs_ahead_drop_all(struct mfs_session *s)
{
    for (size_t i = 0; i < MFS_AHEAD_MAX; i++)
        if (s->ahead.files[i].node && s->ahead.files[i].is_answered)
            drop(s, &s->ahead.files[i]);
}

void mfs_ahead_fini(struct mfs_ahead *a)
{
    for (size_t i = 0; i < MFS_AHEAD_MAX; i++)
        free(a->files[i].head);
}
