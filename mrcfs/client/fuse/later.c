/* SPDX-License-Identifier: GPL-2.0-or-later */
/* later.c: files that are opened for reading while this client is alone with them and knows all
 * that they contain: a job reads what another one of its programs is just writing. To ask the
 * server would end that the client is alone (the server would have to open the file, which
 * breaks its own lease), for nothing. It is asked when something is wanted that is not known
 * here, when the file is recalled or no longer open for writing, and not at all if the file is
 * closed before. Must not know: how calls travel. */
#include "mrcfs/client/fuse/fuse.h"

#include "mrcfs/client/assume.h"
#include "mrcfs/client/opened.h"
#include "mrcfs/client/own.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

struct mfs_later {
    struct mfs_session *session;
    struct mfs_call *call; /* that asks the server; NULL: none yet */
    int error;             /* what it said */
    struct link waiting;   /* requests of the kernel */
};

struct waiting {
    struct link link;
    size_t len_bytes;
    uint8_t bytes[];
};

static bool is_known(struct mfs_session *s, struct mfs_known *n)
{
    struct bytes nothing;
    return mfs_own_is_alone(s, n) && mfs_own_read(s, n, 0, 0, &nothing);
}

bool mfs_fuse_begin_later(struct mfs_session *s, struct mfs_opened *f,
                          const struct mfs_caller *who)
{
    struct mfs_known *n = mfs_known_find(&s->nodes, f->node);
    if (!n || !S_ISREG(n->attr.mode) || !(n->attr.mode & S_IRUSR) ||
        !mfs_assume_is_own(s, who, &n->attr) || !is_known(s, n))
        return false;
    struct mfs_later *l = f->later = calloc(1, sizeof *l);
    if (!l)
        return false;
    l->session = s;
    list_init(&l->waiting);
    n->later++;
    f->uid = who->uid;
    f->gid = who->gid;
    f->host_flags = O_RDONLY;
    f->may_be_kept = true;
    f->changes = n->changes;
    f->size = n->attr.size;
    return true;
}

static void later_free(struct mfs_opened *f)
{
    struct mfs_later *l = f->later;
    struct mfs_known *n = mfs_known_find(&l->session->nodes, f->node);
    if (n && n->later)
        n->later--;
    f->later = NULL;
    LIST_EACH(&l->waiting, it, nx)
    {
        list_remove(it);
        free(LIST_ENTRY(it, struct waiting, link));
    }
    free(l);
}

void mfs_session_end_later(struct mfs_opened *f)
{
    if (!f->later)
        return;
    if (f->later->call)
        f->later->call->file = NULL;
    later_free(f);
}

/* They begin anew: by now the server knows the file, or has said why not. */
static void resume(struct mfs_session *s, struct link *waiting)
{
    LIST_EACH(waiting, it, nx)
    {
        struct waiting *w = LIST_ENTRY(it, struct waiting, link);
        list_remove(it);
        if (!s->is_detached)
            mfs_session_take(s, w->bytes, w->len_bytes);
        free(w);
    }
}

static int on_later(struct mfs_call *call, int rc, struct rd *body)
{
    struct mfs_session *s = call->session;
    struct mfs_opened *f = call->file;
    struct mfs_open_rep m = { 0 };
    if (rc == 0 && (mfs_open_rep_get(body, &m) < 0 || !m.fh || !mfs_attr_is_valid(&m.attr)))
        return -EPROTO;
    if (!f || s->is_detached) {
        if (m.fh)
            mfs_opened_release_unheard(call->client, m.fh, false);
        return 0;
    }
    struct link waiting;
    list_init(&waiting);
    while (!list_is_empty(&f->later->waiting)) {
        struct link *l = f->later->waiting.next;
        list_remove(l);
        list_push_back(&waiting, l);
    }
    if (!list_is_empty(&waiting))
        mfs_client_waited(call->client, MFS_OP_open, call->depth);
    f->later->call = NULL;
    f->later->error = rc;
    if (rc == 0) {
        later_free(f);
        mfs_fuse_learn_opened(call, &m);
    }
    resume(s, &waiting);
    return 0;
}

static void ask(struct mfs_session *s, struct mfs_opened *f)
{
    struct mfs_later *l = f->later;
    struct mfs_call *call = mfs_call_new(s->client, on_later);
    struct mfs_caller who = { f->uid, f->gid, 0 };
    int rc = -ENOMEM;
    if (call) {
        call->session = s;
        call->node = f->node;
        call->file = f;
        call->is_unwaited = true;
        mfs_lease_ask(call, f->node);
        rc = mfs_send_open(call, &who, &(struct mfs_open_req){ f->node, MFS_O_RDONLY }, 0);
    }
    if (rc < 0) {
        mfs_call_drop(call);
        l->error = rc;
    } else {
        l->call = call;
    }
}

void mfs_session_open_later(struct mfs_session *s, struct mfs_known *n)
{
    if (!n->later)
        return;
    LIST_EACH(&s->files, it, nx)
    {
        struct mfs_opened *f = LIST_ENTRY(it, struct mfs_opened, open);
        if (f->node == n->number && f->later && !f->later->call && !f->later->error)
            ask(s, f);
    }
}

/* Can it be done with what is known here? */
static bool is_done_here(struct mfs_session *s, const struct mfs_opened *f, uint32_t op)
{
    struct mfs_known *n = mfs_known_find(&s->nodes, f->node);
    switch (op) {
    case MFS_RAW_READ: return n && is_known(s, n);
    case MFS_RAW_FLUSH: return !n || (!n->had_locks && !n->had_mapped_writes);
    case MFS_RAW_RELEASE: return !f->later->call;
    default: return false;
    }
}

bool mfs_session_take_later(struct mfs_session *s, const struct mfs_raw_request *in,
                            const void *ptr, size_t len_bytes)
{
    struct mfs_opened *f = (struct mfs_opened *)(uintptr_t)in->fh;
    struct mfs_opened *from = (struct mfs_opened *)(uintptr_t)in->fh_from;
    f = from && from->later ? from : f;
    if (!f || !f->later || is_done_here(s, f, in->op))
        return false;
    struct mfs_known *n = mfs_known_find(&s->nodes, f->node);
    if (n)
        mfs_deferred_end(s, n); /* nobody writes: the server need not break its own lease */
    if (!f->later->call && !f->later->error)
        ask(s, f);
    int rc = f->later->error;
    struct waiting *w = rc ? NULL : malloc(sizeof *w + len_bytes);
    if (!w) {
        rc = mfs_raw_reply(s->fd, in->unique, rc ? mfs_fuse_errno(rc) : ENOMEM, NULL, 0);
        return true;
    }
    *w = (struct waiting){ .len_bytes = len_bytes };
    memcpy(w->bytes, ptr, len_bytes);
    list_push_back(&f->later->waiting, &w->link);
    return true;
}
