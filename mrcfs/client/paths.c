/* SPDX-License-Identifier: GPL-2.0-or-later */
/* paths.c: directories that are known to be wanted soon are asked for from the root down by one
 * request each, with their lists: a shell that looks for programs in a search path would wait
 * for each name of each directory. Must not know: FUSE. */
#include "mrcfs/client/paths.h"

#include "mrcfs/client/client.h"
#include "mrcfs/client/coherence.h"
#include "mrcfs/client/names.h"
#include "mrcfs/client/session.h"
#include "mrcfs/client/warm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PATHS_AHEAD_MAX = 16 };

/* A lookup of a walk; its call's file. */
struct part {
    struct link link;      /* in its session's, from when its node is known */
    struct link waiters;   /* the kernel's lookups of the same, calls that are not sent */
    struct mfs_call *call; /* its own */
    struct mfs_call *next; /* what follows it in the walk */
};

/* What the lookup found, whose directory is call->node, is entered. Returns its number; 0:
 * none. */
static uint64_t learn(struct mfs_call *call, struct mfs_entry *e)
{
    struct mfs_session *s = call->session;
    struct mfs_known *dir = mfs_known_find(&s->nodes, call->node);
    struct mfs_known *n = e->node ? mfs_known_enter(&s->nodes, e->node) : NULL;
    if (e->node && !n) {
        mfs_client_forget(s->client, e->node, 1);
        return 0;
    }
    bool is_changed = n && (n->own_pending || n->changed_at > call->asked_at);
    if (n && !is_changed && mfs_lease_is_clean(call))
        mfs_coherence_hear(s, n, dir, &e->attr);
    if (is_changed)
        e->attr.valid_ms = 0; /* it may be older than the change */
    if (dir)
        mfs_lease_learn_name(call, bytes_of(call->name), e);
    uint64_t node = n && S_ISDIR(e->attr.mode) ? e->node : 0;
    mfs_known_drop_unused(&s->nodes, n);
    return node;
}

/* The next part of a walk is about node, which is known now: all of it was asked for when call
 * was. */
static void go_on(struct mfs_call *call, uint64_t node)
{
    struct mfs_call *next = ((struct part *)call->file)->next;
    const struct mfs_known *n = mfs_known_find(&call->session->nodes, node);
    if (!next || !n)
        return;
    next->node = node;
    mfs_lease_ask(next, node);
    if (!call->is_asked_clean || n->changed_at > call->asked_at)
        next->is_asked_clean = false;
    next->asked_at = call->asked_at;
    if (next->name)
        list_push_back(&call->session->parts, &((struct part *)next->file)->link);
    else
        mfs_scan_expected(next);
}

/* It was answered, or not sent. */
static void part_end(struct part *p, int rc)
{
    list_remove(&p->link);
    while (!list_is_empty(&p->waiters)) {
        struct mfs_call *call = LIST_ENTRY(p->waiters.next, struct mfs_call, link);
        list_remove(&call->link);
        call->resume(call, &(struct mfs_landing){ .rc = rc });
    }
    free(p);
}

bool mfs_paths_wait(struct mfs_call *call)
{
    LIST_EACH(&call->session->parts, it, nx)
    {
        struct part *p = LIST_ENTRY(it, struct part, link);
        if (p->call->node != call->node || strcmp(p->call->name, call->name) != 0)
            continue;
        list_push_back(&p->waiters, &call->link);
        return true;
    }
    return false;
}

static void take(struct mfs_call *call, struct mfs_entry *e)
{
    struct mfs_session *s = call->session;
    if (s->is_detached) {
        if (e->node)
            mfs_client_forget(s->client, e->node, 1);
        return;
    }
    struct mfs_known *dir = mfs_known_find(&s->nodes, call->node);
    if (dir && dir->list_depth < call->depth)
        dir->list_depth = call->depth; /* who uses what comes waited for it */
    uint64_t node = learn(call, e);
    if (node)
        go_on(call, node);
}

static int on_found(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_lookup_rep m = { 0 };
    if (rc == 0 && (mfs_lookup_rep_get(body, &m) < 0 ||
                    (m.entry.node && !mfs_attr_is_valid(&m.entry.attr))))
        return -EPROTO;
    if (rc == 0)
        take(call, &m.entry);
    part_end(call->file, rc);
    return 0;
}

static int on_walked(struct mfs_call *call, int rc, struct rd *body)
{
    (void)call;
    (void)rc;
    (void)body;
    return 0;
}

struct walk {
    struct wr names; /* as the request has them */
    size_t count;
    struct mfs_call
        *parts[MFS_WALK_MAX + 1]; /* the last one is the list's, if that is wanted */
};

static struct mfs_call *lookup_new(struct mfs_session *s, struct bytes name)
{
    struct mfs_call *call = mfs_call_new(s->client, on_found);
    struct part *p = calloc(1, sizeof *p);
    if (!call || !p || !(call->name = strndup((const char *)name.ptr, name.len))) {
        free(p);
        mfs_call_drop(call);
        return NULL;
    }
    *p = (struct part){ .call = call };
    list_init(&p->waiters);
    call->file = p;
    return call;
}

/* name empty: the list at the end. */
static bool add_part(struct mfs_session *s, struct walk *w, struct bytes name)
{
    struct mfs_call *call =
        name.len ? lookup_new(s, name) : mfs_scan_expect(s, MFS_LIST_AHEAD_BYTES);
    if (!call)
        return false;
    call->session = s;
    call->is_unwaited = true;
    if (w->count)
        ((struct part *)w->parts[w->count - 1]->file)->next = call;
    w->parts[w->count++] = call;
    return true;
}

/* Nothing was sent. */
static void drop_parts(struct walk *w)
{
    for (size_t i = 0; i < w->count; i++) {
        struct mfs_call *call = w->parts[i];
        if (call->name) {
            part_end(call->file, -ECANCELED);
            mfs_call_drop(call);
        } else {
            mfs_scan_unexpect(call);
        }
    }
}

/* The names of path, which lies beneath root, into w. False: it is no plain path. */
static bool split(struct mfs_session *s, struct walk *w, const char *path, size_t len)
{
    while (len) {
        const char *slash = memchr(path, '/', len);
        struct bytes name = { (const uint8_t *)path,
                              (uint32_t)(slash ? (size_t)(slash - path) : len) };
        path += name.len + (slash != NULL);
        len -= name.len + (slash != NULL);
        if (!name.len)
            continue;
        if (!mfs_name_is_valid(name) || (name.ptr[0] == '.' && name.len == 1) ||
            (name.len == 2 && !memcmp(name.ptr, "..", 2)) || w->count == MFS_WALK_MAX ||
            !add_part(s, w, name))
            return false;
        put_bytes(&w->names, name);
    }
    return w->count && !w->names.is_full;
}

static bool send_walk(struct mfs_session *s, struct walk *w, const struct mfs_paths_walk *o)
{
    struct mfs_client *c = s->client;
    struct mfs_caller who = { c->opts.own_uid, c->opts.own_gid, 0 };
    struct mfs_call *call = mfs_call_new(c, o->on_done ? o->on_done : on_walked);
    struct mfs_walk_req m = { s->root,
                              o->wants_list ? MFS_LIST_AHEAD_BYTES : 0,
                              { w->names.start, (uint32_t)wr_len(&w->names) } };
    bool is_mapped = mfs_idmap_there(&c->users, c->opts.own_uid, &who.uid) == 0 &&
                     mfs_idmap_there(&c->groups, c->opts.own_gid, &who.gid) == 0;
    if (call) {
        call->session = s;
        call->node = s->root;
        call->offset = o->serial;
        call->size = o->step;
        call->is_unwaited = true;
    }
    w->parts[0]->node = s->root;
    mfs_lease_ask(w->parts[0], s->root);
    if (is_mapped && call && mfs_send_walk(call, &who, &m, m.names.len) == 0) {
        for (size_t i = 0; i < w->count; i++)
            mfs_call_expect(w->parts[i], w->parts[i]->name ? MFS_OP_lookup : MFS_OP_list);
        list_push_back(&s->parts, &((struct part *)w->parts[0]->file)->link);
        return true;
    }
    mfs_call_drop(call);
    drop_parts(w);
    return false;
}

bool mfs_paths_walk(struct mfs_session *s, const struct mfs_paths_walk *o)
{
    uint8_t room[4096];
    struct walk w = { .names = wr_of(room, sizeof room) };
    if (split(s, &w, o->path, o->len) &&
        (!o->wants_list || add_part(s, &w, (struct bytes){ NULL, 0 })))
        return send_walk(s, &w, o);
    drop_parts(&w);
    return false;
}

void mfs_paths_ahead(struct mfs_session *s, const char *paths)
{
    const struct mfs_client *c = s->client;
    const char *root = c->exports[s->export_number].path;
    size_t root_len = strlen(root), count = 0;
    while (root_len && root[root_len - 1] == '/')
        root_len--;
    if (!mfs_lease_is_on(c) || !list_is_empty(&c->behind))
        return;
    for (const char *at = paths; at && count < PATHS_AHEAD_MAX;) {
        size_t len = strcspn(at, ":");
        if (len > root_len && !memcmp(at, root, root_len) && at[root_len] == '/') {
            struct mfs_paths_walk w = { .path = at + root_len,
                                        .len = len - root_len,
                                        .wants_list = true };
            if (!mfs_warm_lists(s, w.path, w.len))
                (void)!mfs_paths_walk(s, &w);
            count++;
        }
        at = at[len] ? at + len + 1 : NULL;
    }
}
