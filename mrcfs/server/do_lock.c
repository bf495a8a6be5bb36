/* SPDX-License-Identifier: GPL-2.0-or-later */
/* do_lock.c: operations on advisory locks.
 * Must not know: how owners and waits are done (mrcfs/server/locks.h). */
#include "mrcfs/server/belief.h"
#include "mrcfs/server/server.h"

#include <errno.h>

/* A deferred request is no longer this operation's. */
static int deferred_or(struct mfs_call *o, int rc)
{
    o->is_deferred = rc == MFS_LOCK_DEFERRED;
    return o->is_deferred ? 0 : rc;
}

int mfs_do_getlk(struct mfs_call *o, const struct mfs_getlk_req *q, struct mfs_getlk_rep *p)
{
    struct mfs_file *f;
    struct mfs_lock want = { q->owner, q->type, q->start, q->end, q->pid }, found;
    int rc = mfs_op_file(o, q->fh, &f);
    if (rc < 0 || (rc = mfs_lock_test(&o->srv->locks, f, &want, &found)) < 0)
        return rc;
    *p = (struct mfs_getlk_rep){
        .type = found.type, .start = found.start, .end = found.end, .pid = found.pid
    };
    return 0;
}

int mfs_do_setlk(struct mfs_call *o, const struct mfs_setlk_req *q,
                 struct mfs_setlk_rep *p UNUSED)
{
    struct mfs_file *f;
    struct mfs_lock want = { q->owner, q->type, q->start, q->end, q->pid };
    int rc = mfs_op_file(o, q->fh, &f);
    return rc < 0
               ? rc
               : deferred_or(o, mfs_lock_set(&o->srv->locks, f, &want, q->is_waiting, o->rq));
}

int mfs_do_flock(struct mfs_call *o, const struct mfs_flock_req *q,
                 struct mfs_flock_rep *p UNUSED)
{
    struct mfs_file *f;
    int rc = mfs_op_file(o, q->fh, &f);
    return rc < 0 ? rc
                  : deferred_or(
                        o, mfs_lock_flock(&o->srv->locks, f, q->type, q->is_waiting, o->rq));
}

/* ---- locks that the client has kept ---- */

static int take_one(struct mfs_call *o, const struct mfs_lock_rec *l)
{
    struct mfs_file *f;
    int rc = mfs_file_get(&o->srv->files, l->fh, &f);
    if (rc < 0)
        return rc == -ESTALE ? rc : 0; /* it was closed meanwhile */
    struct mfs_lock want = { l->owner, l->type, l->start, l->end, l->pid };
    const struct mfs_filelease *x = __atomic_load_n(&f->lease, __ATOMIC_ACQUIRE);
    rc = !x || !x->is_write || !x->is_set ? -ESTALE
         : l->is_flock ? mfs_lock_flock(&o->srv->locks, f, l->type, false, o->rq)
                       : mfs_lock_set(&o->srv->locks, f, &want, false, o->rq);
    mfs_file_put(&o->srv->files, f);
    return rc;
}

/* The member's lock is held: nobody else can have opened the file before all are taken. */
static int take_all(struct mfs_call *o, const void *what)
{
    struct rd r = *(const struct rd *)what;
    struct mfs_lock_rec l;
    int rc = 0;
    while (rc == 0 && rd_left(&r))
        rc = mfs_lock_rec_get(&r, &l) < 0 ? -EINVAL : take_one(o, &l);
    return rc;
}

int mfs_do_surrender(struct mfs_call *o, const struct mfs_surrender_req *q,
                     struct mfs_surrender_rep *p UNUSED)
{
    struct rd r = rd_of(q->locks.ptr, q->locks.len);
    if (q->locks.len > MFS_SURRENDER_MAX * MFS_LOCK_REC_BYTES)
        return -EINVAL;
    return mfs_leases_surrender(o, take_all, &r);
}
