/* SPDX-License-Identifier: GPL-2.0-or-later */
/* do_walk.c: several lookups in one request, each in what the one before it found, and a list
 * of the last one's: each is an operation of its own with an answer of its own. Must not know:
 * how names are looked up. */
#include "mrcfs/server/server.h"

#include "mrcfs/server/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Runs op, whose fields are in w's memory (taken), as request id. */
static void run(struct mfs_call *o, uint64_t id, enum mfs_op op, const struct wr *w)
{
    struct mfs_request *rq = calloc(1, sizeof *rq);
    if (!rq) {
        free(w->start);
        mfs_reply_status(o->srv, id, -ENOMEM);
        return;
    }
    *rq = (struct mfs_request){ .head = o->rq->head,
                                .body = rd_of(w->start, wr_len(w)),
                                .len_bytes = wr_len(w),
                                .class = MFS_CLASS_META,
                                .message = w->start };
    rq->head.id = id;
    rq->head.op = (uint16_t)op;
    mfs_run_request(o->worker, rq);
}

static void look_up(struct mfs_call *o, uint64_t id, uint64_t node, struct bytes name)
{
    size_t size = 8 + 4 + (size_t)name.len;
    uint8_t *room = malloc(size);
    struct wr w = wr_of(room, size);
    if (!room) {
        mfs_reply_status(o->srv, id, -ENOMEM);
        return;
    }
    mfs_lookup_req_put(&w, &(struct mfs_lookup_req){ node, name });
    run(o, id, MFS_OP_lookup, &w);
}

static void list(struct mfs_call *o, uint64_t id, uint64_t node, uint32_t size_bytes)
{
    size_t size = 8 + 4;
    uint8_t *room = malloc(size);
    struct wr w = wr_of(room, size);
    if (!room) {
        mfs_reply_status(o->srv, id, -ENOMEM);
        return;
    }
    mfs_list_req_put(&w, &(struct mfs_list_req){ node, size_bytes });
    run(o, id, MFS_OP_list, &w);
}

int mfs_do_walk(struct mfs_call *o, const struct mfs_walk_req *q, struct mfs_walk_rep *p)
{
    struct rd r = rd_of(q->names.ptr, q->names.len);
    struct bytes names[MFS_WALK_MAX];
    size_t count = 0;
    (void)p;
    while (rd_left(&r))
        if (count == MFS_WALK_MAX || get_bytes(&r, &names[count++]) < 0)
            return -EINVAL;
    uint64_t id = o->rq->head.id, node = q->node;
    for (size_t i = 0; i < count; i++) {
        o->worker->found = 0;
        if (node)
            look_up(o, ++id, node, names[i]);
        else
            mfs_reply_status(o->srv, ++id, -ECANCELED);
        node = o->worker->found;
    }
    if (q->list_size && node)
        list(o, ++id, node, q->list_size);
    else if (q->list_size)
        mfs_reply_status(o->srv, ++id, -ECANCELED);
    return 0;
}
