/* SPDX-License-Identifier: GPL-2.0-or-later */
/* leaseorder.c: see leaseorder.h.
 * Must not know: what each operation does. */
#include "mrcfs/server/leaseorder.h"

#include "common/sys/clock.h"
#include "mrcfs/server/belief.h"
#include "mrcfs/server/server.h"

#include <errno.h>

struct mfs_op_use *mfs_use_find(struct mfs_call *o, const struct mfs_lease_key *key)
{
    for (unsigned i = 0; i < o->use_count; i++)
        if (mfs_lease_is_same(&o->uses[i].use.key, key))
            return &o->uses[i];
    return NULL;
}

bool mfs_leases_are_without_broker(const struct mfs_leases *l)
{
    return !l->is_granting && l->was_granting;
}

enum mfs_reliance mfs_leases_reliance(struct mfs_server *srv, uint32_t expiries)
{
    struct mfs_leases *l = &srv->leases;
    if (!l->is_on)
        return MFS_RELY_NOT;
    mfs_member_lock(&l->member);
    uint32_t count = (uint32_t)l->generation;
    /* What ended the leases is no reason for others to have come between. */
    bool is_kept = l->is_gone || (int64_t)clock_mono_ms() < l->broken_until_ms;
    bool is_last = expiries + 1 == count;
    enum mfs_reliance r = expiries == count || (is_kept && is_last) ? MFS_RELY_ALL
                          : is_last && l->is_granting               ? MFS_RELY_HELD
                                                                    : MFS_RELY_NOT;
    mfs_member_unlock(&l->member);
    return r;
}

/* Put off by the client before its leases ran out, which it had not heard. */
static bool is_late(const struct mfs_call *o)
{
    const struct mfs_head *h = &o->rq->head;
    return h->is_assumed && mfs_leases_reliance(o->srv, h->expiries) == MFS_RELY_HELD;
}

/* The token, if nobody else has had it since the client put off what is to be done. */
static int need_as_held(struct mfs_call *o, const struct mfs_op_use *wanted, enum mfs_missing missing)
{
    struct mfs_leases *l = &o->srv->leases;
    struct mfs_op_use *u = mfs_use_find(o, &wanted->use.key), now = *wanted;
    if (!mfs_member_has(&l->member, &now.use))
        return missing == MFS_MISSING_IS_DONE_WITHOUT ? 0 : -ESTALE;
    mfs_member_lock(&l->member);
    const struct mfs_token *t = now.use.token;
    const struct mfs_belief *b = t->belief;
    bool is_held = t->epoch <= l->expired_epoch || (b && b->made_epoch == t->epoch);
    mfs_member_unlock(&l->member);
    if (!is_held || (!u && o->use_count == MFS_USES_MAX)) {
        mfs_member_put(&l->member, &now.use);
        return missing == MFS_MISSING_IS_DONE_WITHOUT ? 0 : -ESTALE;
    }
    if (u)
        mfs_member_put(&l->member, &u->use);
    else
        u = &o->uses[o->use_count++];
    now.node = now.node ? now.node : u->node;
    *u = now;
    return 0;
}

int mfs_need_in_order(struct mfs_call *o, const struct mfs_op_use *wanted, enum mfs_missing missing)
{
    struct mfs_leases *l = &o->srv->leases;
    if (is_late(o) && missing != MFS_MISSING_IS_MADE)
        return need_as_held(o, wanted, missing);
    struct mfs_op_use *u = mfs_use_find(o, &wanted->use.key);
    if (u && u->use.token && u->use.mode >= wanted->use.mode) {
        u->node = wanted->node ? wanted->node : u->node;
        return 0;
    }
    if (u)
        mfs_member_put(&l->member, &u->use);
    else if (o->use_count == MFS_USES_MAX)
        return -EAGAIN;
    struct mfs_op_use now = *wanted;
    if (u && !now.node)
        now.node = u->node;
    int rc = mfs_member_has(&l->member, &now.use) ? 0 : mfs_member_try(&l->member, &now.use);
    if (rc == 0 && (u || (u = &o->uses[o->use_count++])))
        *u = now;
    if (rc != -EAGAIN || missing != MFS_MISSING_FAILS ||
        (mfs_leases_are_without_broker(l) && o->rq->head.is_assumed))
        return rc == -EAGAIN ? 0 : rc;
    return o->rq->head.is_assumed ? -ESTALE : -EAGAIN;
}
