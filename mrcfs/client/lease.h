/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lease.h: what may be believed without asking, and until when (docs/leases.md).
 * Must not know: libfuse.
 * A node's attributes, names and listing are only looked at through here. */
#ifndef MRCFS_CLIENT_LEASE_H
#define MRCFS_CLIENT_LEASE_H

#include "common/base/attr.h"
#include "common/base/wire.h"
#include "common/sys/loop.h"
#include "mrcfs/client/dentries.h"
#include "mrcfs/client/known.h"
#include "mrcfs/ops.h"

#include <stdbool.h>
#include <stdint.h>

struct mfs_call;
struct mfs_client;
struct mfs_session;

enum { MFS_RECALLS_MAX = 131072 };

/* Of a client. until_ms 0: no leases. */
struct mfs_lease {
    uint64_t until_ms;
    uint64_t renewed_ms; /* when the renewal that is under way was sent */
    uint32_t lease_ms;
    uint32_t expiries; /* notices that all is void */
    uint32_t recalls;  /* that were answered, and the server has not said that it heard */
    bool is_renewing;
    /* The server's clock is ahead of our monotonic one by at least so much. */
    bool has_clock;
    int64_t clock_ahead_ns;
    int64_t clock_last_ns; /* what was said last */
    struct loop_timer timer;
};

/* Begins to renew; does nothing unless the server grants leases. */
void mfs_lease_start(struct mfs_client *c);
void mfs_lease_stop(struct mfs_client *c);
/* Another server is there, which has granted nothing yet. */
void mfs_lease_again(struct mfs_client *c);
bool mfs_lease_is_on(const struct mfs_client *c); /* the server grants, ever */
/* Is anything believed that the server said before? */
bool mfs_lease_or_loose(const struct mfs_client *c);
bool mfs_lease_is_alive(const struct mfs_client *c);
/* The server's time, as well as it is known: what is done there from now on happens no earlier,
 * and what it has said it did happened no later. */
void mfs_lease_now(struct mfs_client *c, int64_t *sec, uint32_t *nsec);
/* How long the kernel, which is being told of n's attributes, may believe them; noted. */
uint32_t mfs_lease_kernel_ms(struct mfs_client *c, struct mfs_known *n, bool is_granted);

/* What is granted of n now, or NULL. */
const struct mfs_attr *mfs_lease_attr(const struct mfs_session *s, const struct mfs_known *n);
/* What name in dir means. Returns 1 with *out the node, whose attributes are granted, or
 * assumed; 0 it is absent; -EAGAIN: not known. */
MUST int mfs_lease_name(struct mfs_session *s, struct mfs_known *dir, struct bytes name,
                        struct mfs_known **out);

/* An answer to call says that n is open: what was asked before, and is answered after it, may be older, and what it says of n is
 * not believed. The server looks at several requests at a time. */
void mfs_lease_count_open(const struct mfs_call *call, struct mfs_known *n);
/* Is an answer to call, which looks at n without changing it, as new as that? */
bool mfs_lease_is_newest(const struct mfs_call *call, const struct mfs_known *n);

/* An answer says a of n, or e of a name in dir. call: what it answers; what changed meanwhile
 * is not believed. */
void mfs_lease_learn_attr(struct mfs_call *call, struct mfs_known *n, const struct mfs_attr *a);
void mfs_lease_learn_name(struct mfs_call *call, struct bytes name, const struct mfs_entry *e);

/* call is about to be sent, after mfs_lease_change if it changes something: it asks about node.
 */
void mfs_lease_ask(struct mfs_call *call, uint64_t node);
/* May what call's answer says be believed: has nothing of its node changed by us since it was
 * sent? */
bool mfs_lease_is_clean(const struct mfs_call *call);
/* call, about to be sent, changes node: nothing is known of its attributes until it is
 * answered, and then only if the server told them meanwhile; _write: it never tells. At most
 * MFS_CHANGED_MAX nodes. _changed: the call was answered. */
void mfs_lease_change(struct mfs_call *call, uint64_t node);
void mfs_lease_write(struct mfs_call *call, uint64_t node);
void mfs_lease_changed(struct mfs_call *call);

/* n is changed by us, or is no longer what it was: answers under way about it are not believed.
 */
void mfs_lease_count_change(struct mfs_session *s, struct mfs_known *n);
/* The same when it begins: what was shown of its times is over. */
void mfs_lease_count_new_change(struct mfs_session *s, struct mfs_known *n);

/* All that is granted of n is void. */
void mfs_lease_drop(struct mfs_session *s, struct mfs_known *n);
/* Everything granted is void. */
void mfs_lease_expire(struct mfs_client *c);

/* Notices. */
void mfs_lease_recall(struct mfs_client *c, const struct mfs_recall_notice *n);
void mfs_lease_told(struct mfs_client *c, uint64_t request, const struct mfs_told_notice *n);
/* Pages were dropped for the recall with this number: on another thread than the loop's; _here: on that. */
void mfs_lease_answer(struct mfs_client *c, uint64_t serial);
void mfs_lease_answer_here(struct mfs_client *c, uint64_t serial);

#endif
