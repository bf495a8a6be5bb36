/* SPDX-License-Identifier: GPL-2.0-or-later */
/* warm.c: asks ahead for what a profile says: each path by one request (paths.h), all of them
 * in one burst, and then for what they led to; where that can't be, level by level of the tree.
 * Must not know: FUSE, where profiles are kept.
 * What comes is learned as any answer is, under lease: a profile that is wrong asks for what
 * nobody wants, nothing else. */
#include "mrcfs/client/warm.h"

#include "common/base/list.h"
#include "mrcfs/client/ahead.h"
#include "mrcfs/client/client.h"
#include "mrcfs/client/coherence.h"
#include "mrcfs/client/paths.h"
#include "mrcfs/client/session.h"
#include "mrcfs/profile/profile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { WALKS_MAX = 256, PATH_ROOM = 4000 };

struct step {
    uint16_t parent;
    bool is_walked; /* a request for its path is under way, or was */
    uint8_t flags;
    bool is_open_wanted, is_list_wanted; /* not done yet, for want of room perhaps */
    uint16_t first, next;                /* in it, and beside it; 0: none */
    struct bytes name;
    uint64_t node; /* 0: not known yet */
};

struct mfs_warming {
    struct link link; /* in its session's */
    uint64_t serial;
    struct mfs_caller who;
    size_t count, lists_wanted;
    struct step *steps;                      /* from 1 on; a root has parent 0 */
    uint16_t by_turn[MFS_PROFILE_OPENS_MAX]; /* the step that is opened then, or 0 */
    uint8_t *bytes;
};

static struct mfs_warming *find(struct mfs_session *s, uint64_t serial)
{
    LIST_EACH(&s->warmings, it, nx)
    if (LIST_ENTRY(it, struct mfs_warming, link)->serial == serial)
        return LIST_ENTRY(it, struct mfs_warming, link);
    return NULL;
}

static void visit(struct mfs_session *s, struct mfs_warming *w, uint16_t i, uint64_t depth);

static struct mfs_call *call_new(struct mfs_session *s, const struct mfs_warming *w, uint16_t i,
                                 uint64_t node, mfs_reply_fn fn)
{
    struct mfs_call *call = mfs_call_new(s->client, fn);
    if (call) {
        call->session = s;
        call->node = node;
        call->offset = w->serial;
        call->size = i;
        call->is_unwaited = true;
    }
    return call;
}

/* After rc of sending: it was asked because of an answer of that depth. */
static void sent(struct mfs_call *call, int rc, uint64_t depth)
{
    if (rc < 0)
        mfs_call_drop(call);
    else if (call->depth <= depth)
        call->depth = depth + 1;
}

static int on_link(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_session *s = call->session;
    struct mfs_readlink_rep m = { 0 };
    if (rc == 0 && (mfs_readlink_rep_get(body, &m) < 0 || !m.target.len ||
                    m.target.len > MFS_TARGET_MAX || memchr(m.target.ptr, 0, m.target.len)))
        return -EPROTO;
    struct mfs_known *n = s->is_detached ? NULL : mfs_known_find(&s->nodes, call->node);
    if (rc == 0 && n && !n->target && mfs_lease_is_on(s->client))
        n->target = strndup((const char *)m.target.ptr, m.target.len);
    return 0;
}

static int on_found(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_session *s = call->session;
    struct mfs_lookup_rep m = { 0 };
    if (rc == 0 && (mfs_lookup_rep_get(body, &m) < 0 ||
                    (m.entry.node && !mfs_attr_is_valid(&m.entry.attr))))
        return -EPROTO;
    if (rc < 0)
        return 0;
    struct mfs_known *n =
        s->is_detached || !m.entry.node ? NULL : mfs_known_enter(&s->nodes, m.entry.node);
    if (m.entry.node && !n) {
        mfs_client_forget(s->client, m.entry.node, 1);
        return 0;
    }
    struct mfs_known *dir = s->is_detached ? NULL : mfs_known_find(&s->nodes, call->node);
    if (n && mfs_lease_is_clean(call) && !n->own_pending && n->changed_at <= call->asked_at)
        mfs_coherence_hear(s, n, dir, &m.entry.attr);
    if (dir && call->name) {
        if (n && (n->own_pending || n->changed_at > call->asked_at))
            m.entry.attr.valid_ms = 0; /* it may be older than the change */
        mfs_lease_learn_name(call, bytes_of(call->name), &m.entry);
        if (dir->list_depth < call->depth)
            dir->list_depth = call->depth; /* who uses it waited for it, perhaps */
    }
    bool is_kept = n && (n->names || n->nlookup);
    mfs_known_drop_unused(&s->nodes, n);
    struct mfs_warming *w = find(s, call->offset);
    if (w && is_kept) {
        w->steps[call->size].node = m.entry.node;
        visit(s, w, (uint16_t)call->size, call->depth);
    }
    return 0;
}

static void look_up(struct mfs_session *s, struct mfs_warming *w, uint16_t i,
                    const struct mfs_known *dir, uint64_t depth)
{
    struct bytes name = w->steps[i].name;
    struct mfs_call *call = call_new(s, w, i, dir->number, on_found);
    if (!call)
        return;
    call->name = strndup((const char *)name.ptr, name.len);
    mfs_lease_ask(call, dir->number);
    struct mfs_lookup_req m = { dir->number, name };
    sent(call, mfs_send_lookup(call, &w->who, &m, name.len), depth);
}

/* What is in directory i: what is known of it is gone into, the rest is asked for. */
static void visit_names(struct mfs_session *s, struct mfs_warming *w, uint16_t i,
                        uint64_t depth)
{
    for (uint16_t c = w->steps[i].first; c; c = w->steps[c].next) {
        if (w->steps[c].is_walked)
            continue;
        struct mfs_known *dir = mfs_known_find(&s->nodes, w->steps[i].node), *n;
        int rc = dir ? mfs_lease_name(s, dir, w->steps[c].name, &n) : 0;
        if (rc == 1) {
            w->steps[c].node = n->number;
            visit(s, w, c, depth);
        } else if (rc < 0 && !dir->own_pending) {
            look_up(s, w, c, dir, depth);
        }
    }
}

/* The list of its directory has come, or failed. */
static void on_listed(struct mfs_call *call, struct mfs_landing *how)
{
    struct mfs_session *s = call->session;
    struct mfs_warming *w = s->is_detached ? NULL : find(s, call->offset);
    const struct mfs_known *dir = w ? mfs_known_find(&s->nodes, call->node) : NULL;
    if (dir && how->rc == 0)
        visit_names(s, w, (uint16_t)call->size, dir->list_depth);
    mfs_call_drop(call);
    if (w)
        mfs_warm_more(s);
}

/* Goes into directory n, by way of its list if that is wanted. */
static void enter(struct mfs_session *s, struct mfs_warming *w, uint16_t i,
                  const struct mfs_known *n, uint64_t depth)
{
    bool wants_list = w->steps[i].flags & MFS_PROFILE_LIST && S_ISDIR(n->attr.mode);
    int rc = wants_list ? mfs_scan_want(s, n->number, &w->who, depth) : 0;
    w->steps[i].is_list_wanted = rc == -EAGAIN;
    w->lists_wanted += rc == -EAGAIN;
    if (rc == 0)
        visit_names(s, w, i, depth);
    if (rc <= 0)
        return;
    struct mfs_call *call = call_new(s, w, i, n->number, NULL);
    if (!call)
        return;
    call->resume = on_listed;
    if (!mfs_scan_wait(call))
        mfs_call_drop(call);
}

/* Opens files in their turn, as long as there is room. */
static void open_more(struct mfs_session *s, struct mfs_warming *w, uint64_t depth)
{
    for (size_t t = 0; t < MFS_PROFILE_OPENS_MAX; t++) {
        struct step *at = w->by_turn[t] ? &w->steps[w->by_turn[t]] : NULL;
        if (!at || !at->is_open_wanted)
            continue;
        if (!mfs_ahead_want(s, at->node, &w->who, depth))
            return;
        at->is_open_wanted = false;
        w->by_turn[t] = 0;
    }
}

/* Asks for what is wanted of step i, whose node is known. */
static void visit(struct mfs_session *s, struct mfs_warming *w, uint16_t i, uint64_t depth)
{
    struct step *at = &w->steps[i];
    struct mfs_known *n = mfs_known_find(&s->nodes, at->node);
    if (!n)
        return;
    if (at->flags & MFS_PROFILE_OPEN) {
        at->is_open_wanted = true;
        open_more(s, w, depth);
    }
    if (at->flags & MFS_PROFILE_LINK && !n->target && S_ISLNK(n->attr.mode)) {
        struct mfs_call *call = call_new(s, w, i, n->number, on_link);
        if (call)
            sent(call,
                 mfs_send_readlink(call, &w->who, &(struct mfs_readlink_req){ n->number }, 0),
                 depth);
    }
    enter(s, w, i, n, depth);
}

void mfs_warm_more(struct mfs_session *s)
{
    LIST_EACH(&s->warmings, it, nx)
    {
        struct mfs_warming *w = LIST_ENTRY(it, struct mfs_warming, link);
        open_more(s, w, 0);
        for (size_t i = 1; w->lists_wanted && i <= w->count; i++) {
            struct step *at = &w->steps[i];
            struct mfs_known *n =
                at->is_list_wanted ? mfs_known_find(&s->nodes, at->node) : NULL;
            w->lists_wanted -= at->is_list_wanted;
            at->is_list_wanted = false;
            if (n)
                enter(s, w, (uint16_t)i, n, 0);
        }
    }
}

/* ---- whole paths ---- */

/* Of step i, beneath its tree's root, to the end of room; NULL: it is too long, or nothing but
 * the root. */
static char *path_of(const struct mfs_warming *w, uint16_t i, char room[PATH_ROOM], size_t *len)
{
    char *at = room + PATH_ROOM;
    for (; w->steps[i].parent; i = w->steps[i].parent) {
        struct bytes name = w->steps[i].name;
        if ((size_t)(at - room) < (size_t)name.len + 1)
            return NULL;
        at -= name.len;
        memcpy(at, name.ptr, name.len);
        *--at = '/';
    }
    *len = (size_t)(room + PATH_ROOM - at);
    return *len ? at : NULL;
}

/* What the request for step i's path has found is gone into. */
static void arrive(struct mfs_session *s, struct mfs_warming *w, uint16_t i, uint64_t depth)
{
    uint16_t chain[MFS_WALK_MAX];
    size_t n = 0;
    for (; w->steps[i].parent && n < MFS_WALK_MAX; i = w->steps[i].parent)
        chain[n++] = i;
    while (n--) {
        struct step *at = &w->steps[chain[n]];
        struct mfs_known *dir = mfs_known_find(&s->nodes, w->steps[at->parent].node), *found;
        int rc = at->node || !dir ? 0 : mfs_lease_name(s, dir, at->name, &found);
        if (!at->node && rc == 1) {
            at->node = found->number;
            visit(s, w, chain[n], depth);
        } else if (rc < 0 && at->is_walked) {
            at->is_walked = false;
            if (!dir->own_pending)
                look_up(s, w, chain[n], dir, depth);
        }
        if (!at->node)
            return;
    }
}

static int on_walked(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_session *s = call->session;
    struct mfs_warming *w = s->is_detached ? NULL : find(s, call->offset);
    (void)rc; /* what it says is in the answers of its parts */
    (void)body;
    if (w)
        arrive(s, w, (uint16_t)call->size, call->depth);
    return 0;
}

/* Is all that a request for step i's path would tell known already? */
static bool is_known(struct mfs_session *s, const struct mfs_warming *w, uint16_t i,
                     bool is_list)
{
    uint16_t chain[MFS_WALK_MAX];
    size_t n = 0;
    for (; w->steps[i].parent && n < MFS_WALK_MAX; i = w->steps[i].parent)
        chain[n++] = i;
    struct mfs_known *at = w->steps[i].parent ? NULL : mfs_known_find(&s->nodes, s->root);
    while (at && n--) {
        struct mfs_known *found = NULL;
        int rc = mfs_lease_name(s, at, w->steps[chain[n]].name, &found);
        if (rc == 0)
            return true; /* that there is none */
        at = rc == 1 ? found : NULL;
    }
    return at && (!is_list || at->is_complete);
}

static uint16_t root_of(const struct mfs_warming *w, uint16_t i)
{
    while (w->steps[i].parent)
        i = w->steps[i].parent;
    return i;
}

/* Asks for the paths that lead to all other steps beneath root: of directories whose lists are
 * wanted, and of what is in no such directory and leads no further. */
static void walk_all(struct mfs_session *s, struct mfs_warming *w, uint16_t root)
{
    char room[PATH_ROOM];
    size_t count = 0;
    for (size_t k = 1; k <= w->count && count < WALKS_MAX; k++) {
        uint16_t i = (uint16_t)k;
        const struct step *at = &w->steps[i];
        bool is_list = at->flags & MFS_PROFILE_LIST;
        bool is_end = !at->first && !(w->steps[at->parent].flags & MFS_PROFILE_LIST);
        struct mfs_paths_walk o = {
            .wants_list = is_list, .on_done = on_walked, .serial = w->serial, .step = i
        };
        if ((!is_list && !is_end) || root_of(w, i) != root ||
            !(o.path = path_of(w, i, room, &o.len)) || is_known(s, w, i, is_list))
            continue;
        bool is_sent = mfs_paths_walk(s, &o);
        o.wants_list = false;
        if (!is_sent && (!is_list || !mfs_paths_walk(s, &o)))
            continue;
        count++;
        for (uint16_t up = i; w->steps[up].parent; up = w->steps[up].parent)
            w->steps[up].is_walked = true;
    }
}

bool mfs_warm_lists(const struct mfs_session *s, const char *path, size_t len)
{
    char room[PATH_ROOM];
    LIST_EACH(&s->warmings, it, nx)
    {
        const struct mfs_warming *w = LIST_ENTRY(it, struct mfs_warming, link);
        for (size_t i = 1; i <= w->count; i++) {
            size_t n;
            if (!w->steps[i].is_walked || !(w->steps[i].flags & MFS_PROFILE_LIST))
                continue;
            const char *own = path_of(w, (uint16_t)i, room, &n);
            if (own && n == len && !memcmp(own, path, n))
                return true;
        }
    }
    return false;
}

/* ---- beginning and end ---- */

static void warming_free(struct mfs_warming *w)
{
    list_remove(&w->link);
    free(w->steps);
    free(w->bytes);
    free(w);
}

/* The profile's entries into steps. Returns 0, -EPROTO. */
static int read_steps(struct mfs_warming *w, size_t len_bytes)
{
    struct rd r = rd_of(w->bytes, len_bytes);
    struct mfs_profile_entry e;
    int rc = mfs_profile_begin(&r);
    while (rc == 0 && (rc = mfs_profile_next(&r, w->count, &e)) == 1) {
        uint16_t i = (uint16_t)++w->count;
        uint16_t parent = e.parent == MFS_PROFILE_ROOT ? 0 : (uint16_t)(e.parent + 1);
        w->steps[i] = (struct step){ .parent = parent, .flags = e.flags, .name = e.name };
        if (e.flags & MFS_PROFILE_OPEN)
            w->by_turn[e.turn] = i;
        rc = 0;
    }
    for (size_t i = w->count; i; i--) { /* backwards: lists are in the order of the profile */
        struct step *parent = &w->steps[w->steps[i].parent];
        w->steps[i].next = parent->first;
        parent->first = (uint16_t)i;
    }
    return rc;
}

void mfs_warm_begin(struct mfs_session *s, struct bytes profile)
{
    const struct mfs_client *c = s->client;
    size_t running = 0;
    LIST_EACH(&s->warmings, it, nx)
    running++;
    if (running == MFS_WARMINGS_MAX)
        warming_free(LIST_ENTRY(s->warmings.next, struct mfs_warming, link));
    if (!mfs_lease_is_on(c) || profile.len > MFS_PROFILE_MAX || s->is_detached)
        return;
    struct mfs_warming *w = calloc(1, sizeof *w);
    if (!w)
        return;
    list_push_back(&s->warmings, &w->link);
    w->serial = ++s->client->warm_serial;
    w->bytes = malloc(profile.len + 1);
    w->steps = calloc(MFS_PROFILE_ENTRIES_MAX + 1, sizeof *w->steps);
    w->who = (struct mfs_caller){ c->opts.own_uid, c->opts.own_gid, 0 };
    if (w->bytes)
        memcpy(w->bytes, profile.ptr, profile.len);
    if (!w->bytes || !w->steps || read_steps(w, profile.len) < 0 ||
        mfs_idmap_there(&c->users, c->opts.own_uid, &w->who.uid) < 0 ||
        mfs_idmap_there(&c->groups, c->opts.own_gid, &w->who.gid) < 0) {
        warming_free(w);
        return;
    }
    struct bytes path = bytes_of(c->exports[s->export_number].path);
    for (uint16_t i = w->steps[0].first; i; i = w->steps[i].next) {
        if (w->steps[i].name.len != path.len ||
            memcmp(w->steps[i].name.ptr, path.ptr, path.len) != 0)
            continue;
        w->steps[i].node = s->root;
        walk_all(s, w, i);
        visit(s, w, i, c->depth_seen);
        break;
    }
}

void mfs_warm_end(struct mfs_session *s)
{
    LIST_EACH(&s->warmings, it, nx)
    warming_free(LIST_ENTRY(it, struct mfs_warming, link));
}

/* ---- of a client ---- */

void mfs_client_warm(struct mfs_client *c, struct bytes profile)
{
    if (!mfs_profile_is_valid(profile))
        return;
    uint8_t *copy = malloc(profile.len + 1);
    if (!copy)
        return;
    memcpy(copy, profile.ptr, profile.len);
    free(c->profile);
    c->profile = copy;
    c->profile_bytes = profile.len;
    LIST_EACH(&c->sessions, it, nx)
    mfs_warm_begin(mfs_session_of(it), profile);
    mfs_client_flush(c);
}

uint32_t mfs_client_use_begin(struct mfs_client *c)
{
    return c->use_start = ++c->use_count;
}

void mfs_client_keep_used(struct mfs_client *c)
{
    if (!c->used)
        c->used = malloc(MFS_PROFILE_MAX);
}

void mfs_client_note_used(struct mfs_session *s)
{
    struct mfs_client *c = s->client;
    if (!c->used)
        return;
    struct wr w = wr_of(c->used + c->used_bytes, MFS_PROFILE_MAX - c->used_bytes);
    if (!c->used_bytes)
        mfs_profile_put_begin(&w);
    mfs_used_put(s, 1, &w, &c->used_count);
    c->used_bytes += wr_len(&w);
}

size_t mfs_client_used(const struct mfs_client *c, uint32_t since, uint8_t *room)
{
    struct wr w = wr_of(room, MFS_PROFILE_MAX);
    size_t count = c->used_count;
    if (c->used_bytes)
        put_raw(&w, c->used, c->used_bytes);
    else
        mfs_profile_put_begin(&w);
    LIST_EACH(&c->sessions, it, nx)
    if (!mfs_session_of(it)->is_detached)
        mfs_used_put(mfs_session_of(it), since, &w, &count);
    return wr_len(&w);
}
