/* SPDX-License-Identifier: GPL-2.0-or-later */
/* scan.c: whole lists of directories under lease: asked for by one request, and, when
 * directories are visited one after the other, before anybody asks for them. Must not know:
 * FUSE (calls that wait are resumed through their own function). */
#include "mrcfs/client/scan.h"

#include "common/sys/clock.h"
#include "mrcfs/client/client.h"
#include "mrcfs/client/coherence.h"
#include "mrcfs/client/names.h"
#include "mrcfs/client/session.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    STEPS_AHEAD_MAX = 1024, /* directories looked at for that */
    UP_MAX = 64,            /* directories up the tree, in search of what follows */
    FAILED_KEPT_MS =
        10000,      /* how long a list that could not be believed is not asked for ahead */
    SPOILT_MAX = 3, /* lists in turn during which something changed, before that is taken for
                       what they are like */
    TYPICAL_BYTES = 8 << 10, /* of a list, until some have come */
    LOST_MIN = 16,
    LOST_PART =
        4, /* attributes of a list that are not believed any more: it is had once more */
    NAME_BYTES = 128, /* of each name in it, about */
    NAMES_PART = 4,   /* of the names that may be known are ahead of a visit */
};

/* A list under way. */
struct mfs_flight {
    struct link link;
    uint64_t node;
    struct link waiters;    /* calls that are not sent */
    struct mfs_call *first; /* of these, the one that it was made for, or NULL */
    uint32_t size;
    size_t expected; /* bytes, counted against MFS_LISTS_BYTES_MAX; 0: not asked for ahead */
};

static struct link *flights(struct mfs_session *s)
{
    if (!s->scan.flights.next) {
        list_init(&s->scan.flights);
        s->scan.typical = TYPICAL_BYTES;
    }
    return &s->scan.flights;
}

static struct mfs_flight *find(struct mfs_session *s, uint64_t node)
{
    LIST_EACH(flights(s), it, nx)
    {
        struct mfs_flight *f = LIST_ENTRY(it, struct mfs_flight, link);
        if (f->node == node)
            return f;
    }
    return NULL;
}

/* ---- learning ---- */

void mfs_scan_note_order(struct mfs_session *s, struct mfs_order *order, uint64_t dir,
                         struct mfs_known *n, bool is_dir)
{
    struct mfs_known *in = mfs_known_find(&s->nodes, dir);
    struct mfs_known *before = order->last ? mfs_known_find(&s->nodes, order->last) : NULL;
    n->parent = dir;
    n->next_listed = 0;
    if (before)
        before->next_listed = n->number;
    else if (in && !order->last)
        in->first_listed = n->number;
    order->last = n->number;
    if (!is_dir)
        return;
    before = order->last_dir ? mfs_known_find(&s->nodes, order->last_dir) : NULL;
    n->next_dir = 0;
    n->prev_dir = order->last_dir;
    if (before)
        before->next_dir = n->number;
    else if (in && !order->last_dir)
        in->first_dir = n->number;
    order->last_dir = n->number;
}

static bool is_dots(struct bytes name)
{
    return name.ptr[0] == '.' && (name.len == 1 || (name.len == 2 && name.ptr[1] == '.'));
}

int mfs_scan_learn(struct mfs_call *call, struct bytes list, struct mfs_order *order,
                   struct wr *out, bool *is_whole)
{
    struct mfs_session *s = call->session;
    struct rd r = rd_of(list.ptr, list.len);
    bool is_clean = mfs_lease_is_clean(call);
    struct mfs_known *dir = mfs_known_find(&s->nodes, call->node);
    if (dir && !order->last)
        dir->first_listed = dir->first_dir = 0;
    *is_whole = is_clean;
    while (rd_left(&r)) {
        struct mfs_dirent d;
        if (mfs_dirent_get(&r, &d) < 0 || !mfs_name_is_valid(d.name) ||
            (d.has_entry && (!d.entry.node || !mfs_attr_is_valid(&d.entry.attr))))
            return -EPROTO;
        struct mfs_known *n = d.has_entry ? mfs_known_enter(&s->nodes, d.entry.node) : NULL;
        if (n && is_clean && d.entry.valid_ms) {
            if (!d.entry.attr.valid_ms || n->own_pending || n->changed_at > call->asked_at)
                d.entry.attr.valid_ms = 0; /* the name is right, they may not be */
            else
                mfs_coherence_hear(s, n, mfs_known_find(&s->nodes, call->node), &d.entry.attr);
            mfs_lease_learn_name(call, d.name, &d.entry);
            mfs_scan_note_order(s, order, call->node, n, S_ISDIR(d.entry.attr.mode));
        } else if (!is_dots(d.name)) {
            *is_whole = false;
        }
        if (d.has_entry && !n)
            mfs_client_forget(s->client, d.entry.node, 1);
        mfs_known_drop_unused(&s->nodes, n);
        d.has_entry = false;
        order->names++;
        mfs_dirent_put(out, &d);
    }
    return 0;
}

/* ---- flights ---- */

static bool has_room(const struct mfs_scan *c)
{
    return c->count < MFS_LISTS_MAX && c->bytes + c->typical <= MFS_LISTS_BYTES_MAX;
}

static void pump(struct mfs_session *s, uint64_t depth);

/* Removes a flight, and resumes who waited for it. */
static void land(struct mfs_session *s, struct mfs_flight *f, struct mfs_landing *how,
                 uint64_t depth)
{
    struct mfs_landing of_others = { .rc = how->rc };
    list_remove(&f->link);
    if (f->expected) {
        s->scan.count--;
        s->scan.bytes -= f->expected;
    }
    while (!list_is_empty(&f->waiters)) {
        struct mfs_call *call = LIST_ENTRY(f->waiters.next, struct mfs_call, link);
        list_remove(&call->link);
        if (!call->is_unwaited)
            mfs_client_waited(s->client, MFS_OP_list, depth);
        call->resume(call, call == f->first ? how : &of_others);
    }
    free(f);
}

/* What a list that came says. stripped: as long as its entries. */
static int take(struct mfs_call *call, const struct mfs_flight *f, const struct mfs_list_rep *m,
                struct wr *stripped)
{
    struct mfs_session *s = call->session;
    struct mfs_order order = { 0 };
    bool is_whole;
    int rc = mfs_scan_learn(call, m->entries, &order, stripped, &is_whole);
    struct mfs_known *dir = mfs_known_find(&s->nodes, f->node);
    if (rc < 0 || !dir)
        return rc;
    dir->list_names = order.names;
    dir->list_lost = 0;
    s->scan.typical = (s->scan.typical * 7 + m->entries.len) / 8;
    if (!m->is_eof && dir->list_over < f->size)
        dir->list_over = f->size;
    if (is_whole && m->is_eof && mfs_lease_is_clean(call)) {
        mfs_listing_set(dir, (struct bytes){ stripped->start, (uint32_t)wr_len(stripped) });
        dir->list_depth = call->depth;
        dir->list_failed_ms = 0;
        dir->list_spoilt = 0;
    } else {
        /* Something changed in it meanwhile: it may be quiet now. */
        bool is_to_be_tried = !mfs_lease_is_clean(call) && dir->list_spoilt < SPOILT_MAX;
        dir->list_spoilt += is_to_be_tried;
        dir->list_failed_ms = is_to_be_tried ? 0 : clock_mono_ms();
    }
    return 0;
}

static int on_listed(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_session *s = call->session;
    struct mfs_flight *f = call->file;
    struct mfs_list_rep m = { 0 };
    if (rc == 0 && (mfs_list_rep_get(body, &m) < 0 || m.entries.len > f->size))
        return -EPROTO;
    uint8_t *room = rc == 0 ? malloc(m.entries.len + 1) : NULL;
    struct wr stripped = wr_of(room, room ? m.entries.len : 0);
    if (rc == 0 && !room)
        rc = -ENOMEM;
    if (rc == 0 && take(call, f, &m, &stripped) < 0) {
        free(room);
        return -EPROTO;
    }
    struct mfs_known *dir = rc < 0 ? mfs_known_find(&s->nodes, f->node) : NULL;
    if (dir)
        dir->list_failed_ms = clock_mono_ms();
    struct mfs_landing how = { .rc = rc,
                               .entries = { room, (uint32_t)wr_len(&stripped) },
                               .is_eof = m.is_eof };
    land(s, f, &how, call->depth);
    free(room);
    if (!s->is_detached)
        pump(s, call->depth);
    return 0;
}

/* depth: of the answer that it is asked because of, 0: none. */
static struct mfs_flight *send_list(struct mfs_session *s, uint64_t node, uint32_t size,
                                    const struct mfs_caller *who, uint64_t depth)
{
    struct mfs_call *call = mfs_call_new(s->client, on_listed);
    struct mfs_flight *f = call ? calloc(1, sizeof *f) : NULL;
    if (!f) {
        if (call)
            mfs_call_drop(call);
        return NULL;
    }
    *f = (struct mfs_flight){ .node = node, .size = size };
    list_init(&f->waiters);
    call->session = s;
    call->node = node;
    call->file = f;
    call->is_unwaited = true;
    mfs_lease_ask(call, node);
    if (mfs_send_list(call, who, &(struct mfs_list_req){ node, size }, 0) < 0) {
        mfs_call_drop(call);
        free(f);
        return NULL;
    }
    if (call->depth <= depth)
        call->depth = depth + 1;
    list_push_back(flights(s), &f->link);
    return f;
}

struct mfs_call *mfs_scan_expect(struct mfs_session *s, uint32_t size_bytes)
{
    flights(s);
    if (!has_room(&s->scan))
        return NULL;
    struct mfs_call *call = mfs_call_new(s->client, on_listed);
    struct mfs_flight *f = call ? calloc(1, sizeof *f) : NULL;
    if (!f) {
        mfs_call_drop(call);
        return NULL;
    }
    *f = (struct mfs_flight){ .size = size_bytes, .expected = s->scan.typical + 1 };
    list_init(&f->waiters);
    s->scan.count++;
    s->scan.bytes += f->expected;
    call->session = s;
    call->file = f;
    return call;
}

void mfs_scan_expected(struct mfs_call *call)
{
    struct mfs_flight *f = call->file;
    f->node = call->node;
    list_push_back(flights(call->session), &f->link);
}

void mfs_scan_unexpect(struct mfs_call *call)
{
    struct mfs_flight *f = call->file;
    call->session->scan.count--;
    call->session->scan.bytes -= f->expected;
    free(f);
    mfs_call_drop(call);
}

bool mfs_scan_may_list(const struct mfs_session *s, uint64_t node, uint32_t size)
{
    const struct mfs_known *n = mfs_known_find(&s->nodes, node);
    return n && n->list_over < size && mfs_lease_is_on(s->client);
}

bool mfs_scan_list(struct mfs_call *call, const struct mfs_caller *who)
{
    struct mfs_flight *f = send_list(call->session, call->node, MFS_LIST_OPEN_BYTES, who, 0);
    if (!f)
        return false;
    f->first = call;
    list_push_back(&f->waiters, &call->link);
    return true;
}

bool mfs_scan_wait(struct mfs_call *call)
{
    struct mfs_flight *f =
        mfs_lease_is_on(call->client) ? find(call->session, call->node) : NULL;
    if (f)
        list_push_back(&f->waiters, &call->link);
    return f;
}

void mfs_scan_leave(struct mfs_call *call)
{
    struct mfs_flight *f = find(call->session, call->node);
    if (f && f->first == call)
        f->first = NULL;
    list_remove(&call->link);
}

/* ---- ahead ---- */

/* Lists that don't fit are asked for once more, and waited for, when they are wanted. */
static uint32_t ahead_bytes(const struct mfs_session *s)
{
    size_t bytes = 2 * s->scan.typical;
    return bytes < MFS_LIST_AHEAD_BYTES  ? MFS_LIST_AHEAD_BYTES
           : bytes > MFS_LIST_OPEN_BYTES ? MFS_LIST_OPEN_BYTES
                                         : (uint32_t)bytes;
}

static bool list_ahead(struct mfs_session *s, struct mfs_known *n, const struct mfs_caller *who,
                       uint64_t depth)
{
    struct mfs_flight *f = send_list(s, n->number, ahead_bytes(s), who, depth);
    if (!f)
        return false;
    f->expected = s->scan.typical + 1;
    s->scan.count++;
    s->scan.bytes += f->expected;
    n->is_ahead = true;
    return true;
}

static bool is_wanted(struct mfs_session *s, const struct mfs_known *n)
{
    return !n->listing && mfs_scan_may_list(s, n->number, ahead_bytes(s)) &&
           !find(s, n->number) &&
           (!n->list_failed_ms || clock_mono_ms() - n->list_failed_ms > FAILED_KEPT_MS);
}

static struct mfs_known *known(const struct mfs_session *s, uint64_t node)
{
    return node ? mfs_known_find(&s->nodes, node) : NULL;
}

/* The directory after n, which lies beneath top, if directories are visited after their
 * parents; NULL: none beneath top. */
static struct mfs_known *next_dir(const struct mfs_session *s, const struct mfs_known *n,
                                  const struct mfs_known *top)
{
    struct mfs_known *next = known(s, n->first_dir);
    for (int i = 0; n && n != top && !next && i < UP_MAX; i++) {
        next = known(s, n->next_dir);
        n = known(s, n->parent);
    }
    return next;
}

struct walk {
    unsigned ahead; /* found so far that are there ahead */
    size_t names;   /* in these, about */
    unsigned steps;
    uint64_t depth;
};

static size_t names_max(const struct mfs_session *s)
{
    size_t max = s->names.max / NAMES_PART;
    return max < MFS_SCAN_NAMES_MAX ? max : MFS_SCAN_NAMES_MAX;
}

/* Not yet, or not since its parent was opened, and its list had to make room. */
static bool is_to_be_visited(const struct mfs_session *s, const struct mfs_known *n)
{
    const struct mfs_known *in = known(s, n->parent);
    return !n->was_scanned || (n->is_shed && in && in->visits != n->visited_at);
}

/* Asks for n's list. False: that is enough. */
static bool step(struct mfs_session *s, struct walk *w, struct mfs_known *n)
{
    struct mfs_scan *c = &s->scan;
    struct mfs_caller who = { c->uid, c->gid, 0 };
    if (w->ahead >= c->window || w->names >= names_max(s) || ++w->steps > STEPS_AHEAD_MAX ||
        !has_room(c))
        return false;
    if (is_to_be_visited(s, n) && is_wanted(s, n) && !list_ahead(s, n, &who, w->depth))
        return false;
    w->ahead += n->is_ahead;
    if (n->is_ahead)
        w->names += n->listing ? n->list_names : c->typical / NAME_BYTES;
    return true;
}

/* Of all directories from n on to end, beneath top. */
static bool walk(struct mfs_session *s, struct walk *w, struct mfs_known *n,
                 const struct mfs_known *end, const struct mfs_known *top)
{
    for (; n && n != end; n = next_dir(s, n, top))
        if (!step(s, w, n))
            return false;
    return true;
}

/* Of those beside n that come before it, the nearest first. */
static bool walk_back(struct mfs_session *s, struct walk *w, const struct mfs_known *n)
{
    for (struct mfs_known *at = known(s, n->prev_dir); at; at = known(s, at->prev_dir))
        if (!step(s, w, at))
            return false;
    return true;
}

/* Asks for lists that will be wanted next, as far as the window reaches: first what is beneath
 * the current directory, then what is beside it, first in the direction of the last visit (who
 * sorts names goes to and fro), then what is beside its parent. */
static void pump(struct mfs_session *s, uint64_t depth)
{
    struct walk w = { .depth = depth };
    struct mfs_known *n = known(s, s->scan.current);
    if (!n || !walk(s, &w, known(s, n->first_dir), NULL, n))
        return;
    for (int i = 0; i < UP_MAX; i++) {
        struct mfs_known *in = known(s, n->parent);
        if (!in || !in->was_scanned || (s->scan.is_backward && !walk_back(s, &w, n)) ||
            !walk(s, &w, known(s, n->next_dir), NULL, in) ||
            !walk(s, &w, known(s, in->first_dir), n, in))
            return;
        n = in;
    }
}

void mfs_scan_opened(struct mfs_session *s, uint64_t node, const struct mfs_caller *who)
{
    struct mfs_scan *c = &s->scan;
    struct mfs_known *n = mfs_known_find(&s->nodes, node);
    const struct mfs_known *in = n && n->parent ? mfs_known_find(&s->nodes, n->parent) : NULL;
    if (!n || !mfs_lease_is_on(s->client))
        return;
    n->was_scanned = true;
    n->visits++;
    n->visited_at = in ? in->visits : 0;
    if (!in || !in->was_scanned)
        return;
    const struct mfs_known *before = known(s, c->current);
    if (!n->is_ahead && (!before || before == n || before->parent != n->parent))
        c->window = MFS_SCAN_FIRST;
    else if (c->window < MFS_SCAN_MAX)
        c->window *= 4;
    n->is_ahead = false;
    c->is_backward = before && before != n && before->number == n->next_dir;
    c->current = node;
    c->uid = who->uid;
    c->gid = who->gid;
    flights(s);
    pump(s, 0);
}

/* Asks for a list that tells nothing of an order in which directories are visited. */
static bool list_beside(struct mfs_session *s, struct mfs_known *n,
                        const struct mfs_caller *who)
{
    if (n->is_complete || n->own_pending || !is_wanted(s, n) || !has_room(&s->scan) ||
        !list_ahead(s, n, who, 0))
        return false;
    n->is_ahead = false;
    return true;
}

/* Names are looked up in one directory here and another beside it there, as contents are found
 * by a hash: any of them may be next. */
static void look_beside(struct mfs_session *s, const struct mfs_known *n,
                        const struct mfs_caller *who)
{
    enum { BESIDE_FROM = 3, BESIDE_FIRST = 8, BESIDE_MAX = 256 };
    struct mfs_scan *c = &s->scan;
    const struct mfs_known *in = known(s, n->parent);
    bool is_beside = in && c->missed_in == in->number;
    if (c->missed_last == n->number)
        return;
    c->missed = is_beside ? c->missed + 1 : 1;
    c->missed_in = in ? in->number : 0;
    c->missed_last = n->number;
    if (!in || c->missed < BESIDE_FROM)
        return;
    unsigned turn = c->missed - BESIDE_FROM, asked = 0;
    unsigned most = turn < 3 ? BESIDE_FIRST << 2 * turn : BESIDE_MAX;
    size_t names = 0;
    for (struct mfs_known *at = known(s, in->first_dir);
         at && asked < most && names < names_max(s) && has_room(c);
         at = known(s, at->next_dir)) {
        asked += list_beside(s, at, who);
        names += at->listing ? at->list_names : 0;
    }
}

void mfs_scan_missed(struct mfs_session *s, uint64_t node, const struct mfs_caller *who)
{
    struct mfs_known *n = mfs_known_find(&s->nodes, node);
    flights(s);
    if (!n || n->is_complete)
        return;
    (void)list_beside(s, n, who);
    look_beside(s, n, who);
}

int mfs_scan_want(struct mfs_session *s, uint64_t node, const struct mfs_caller *who,
                  uint64_t depth)
{
    struct mfs_known *n = mfs_known_find(&s->nodes, node);
    flights(s);
    if (!n || n->is_complete || !mfs_lease_is_on(s->client))
        return 0;
    if (find(s, node))
        return 1;
    if (n->own_pending || !is_wanted(s, n))
        return 0;
    if (!has_room(&s->scan))
        return -EAGAIN;
    bool is_sent = list_ahead(s, n, who, depth);
    n->is_ahead = false; /* no sign that directories are visited in turn */
    return is_sent;
}

void mfs_scan_lost(struct mfs_session *s, const struct mfs_known *n)
{
    struct mfs_known *in = n->has_attr ? known(s, n->parent) : NULL;
    if (in)
        in->list_lost++;
}

void mfs_scan_renew(struct mfs_known *dir)
{
    if (dir->list_lost >= LOST_MIN && dir->list_lost >= dir->list_names / LOST_PART)
        mfs_listing_drop(dir);
}

struct mfs_known *mfs_scan_next(const struct mfs_session *s, const struct mfs_known *n)
{
    struct mfs_known *next = known(s, n->first_listed);
    for (int i = 0; n && !next && i < UP_MAX; i++) {
        next = known(s, n->next_listed);
        n = known(s, n->parent);
    }
    return next;
}
