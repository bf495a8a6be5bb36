/* SPDX-License-Identifier: GPL-2.0-or-later */
/* shed.c: asks the kernel to forget nodes.
 * Must not know: libfuse, the server.
 * Threads: the loop's; the notifier's thread runs send_prune.
 *
 * Names are forgotten first, those of the directory that was given one longest ago
 * (dentries.h). Nodes that have none left are what the kernel has not used for as long, and are
 * known for its sake alone. */
#include "mrcfs/client/shed.h"

#include "mrcfs/client/client.h"
#include "mrcfs/client/notify.h"
#include "mrcfs/client/rawfuse.h"
#include "mrcfs/client/session.h"

#include <errno.h>
#include <string.h>

enum {
    BATCH = 512,           /* nodes in one notice */
    SHED_PART = 8,         /* of MFS_KNOWN_MAX goes at a time: looking for them takes time */
    LOOK_AGAIN = 16 * 1024 /* further nodes, when there were not so many to be found */
};

/* On the notifier's thread. */
static void send_prune(const struct mfs_kernel_notice *n)
{
    struct mfs_session *s = n->target;
    if (mfs_raw_prune(s->fd, n->name, (size_t)n->length) == -EINVAL)
        atomic_store(&s->shed.is_refused, true);
}

static bool is_for_the_kernel(const struct mfs_session *s, const struct mfs_known *n)
{
    return n->nlookup && !n->names && !n->opens && !n->behind && !n->content &&
           !n->own_pending && !n->closing && n->number != s->root;
}

static void ask(struct mfs_session *s, const uint64_t *nodes, size_t count)
{
    struct mfs_kernel_notice n = { .fn = send_prune, .target = s, .length = (int64_t)count };
    mfs_notifier_add(
        s->client->notifier, &n,
        (struct bytes){ (const uint8_t *)nodes, (uint32_t)(count * sizeof *nodes) });
}

void mfs_shed_look(struct mfs_session *s)
{
    struct mfs_shed *x = &s->shed;
    if (s->nodes.count < MFS_KNOWN_MAX) {
        x->look_at = 0;
        return;
    }
    if (s->nodes.count < x->look_at || !s->client->notifier || s->is_detached ||
        atomic_load(&x->is_refused))
        return;
    uint64_t nodes[BATCH];
    size_t count = 0, left = s->nodes.count - MFS_KNOWN_MAX + MFS_KNOWN_MAX / SHED_PART;
    for (size_t i = 0; i < s->nodes.bucket_count && left; i++) {
        LIST_EACH(&s->nodes.buckets[i], it, nx)
        {
            const struct mfs_known *n = LIST_ENTRY(it, struct mfs_known, link);
            if (!left || !is_for_the_kernel(s, n))
                continue;
            nodes[count++] = mfs_session_swap_root(s, n->number);
            left--;
            if (count == BATCH) {
                ask(s, nodes, count);
                count = 0;
            }
        }
    }
    if (count)
        ask(s, nodes, count);
    /* It answers by forgetting, some time later. */
    x->look_at = s->nodes.count + LOOK_AGAIN;
}
