/* SPDX-License-Identifier: GPL-2.0-or-later */
/* shed.c: asks the kernel to forget nodes.
 * Must not know: libfuse, the server.
 * Threads: the loop's; the notifiers' threads run send_prune and send_drop.
 *
 * Names are forgotten first, those of the directory that was given one longest ago
 * (dentries.h). Nodes that have none left are what the kernel has not used for as long, and are
 * known for its sake alone.
 *
 * A name is dropped in the kernel under its directory's lock, which a request may hold that
 * waits for another client. So these notices have a thread of their own: recalls must not wait
 * behind them. Only files and links go that way: of a directory somebody may work in it, or
 * have mounted something there. */
#include "mrcfs/client/shed.h"

#include "mrcfs/client/client.h"
#include "mrcfs/client/notify.h"
#include "mrcfs/client/rawfuse.h"
#include "mrcfs/client/session.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum {
    BATCH = 512,    /* nodes in one notice */
    SHED_PART = 8,  /* of the nodes go at a time: looking for them takes time */
    LOOK_PART = 20, /* further nodes, when there were not so many to be found */
    NAMES_PART = 5, /* but for this part of the nodes all may have names */
};

/* On the notifier's thread. */
static void send_prune(const struct mfs_kernel_notice *n)
{
    struct mfs_session *s = n->target;
    if (mfs_raw_prune(s->fd, n->name, (size_t)n->length) == -EINVAL)
        atomic_store(&s->shed.is_refused, true);
}

/* On the thread for these. */
static void send_drop(const struct mfs_kernel_notice *n)
{
    struct mfs_session *s = n->target;
    int rc = mfs_raw_drop_entry(s->fd, n->node, n->name);
    (void)rc; /* ENOENT: the kernel doesn't know the name */
}

static bool is_unused(const struct mfs_session *s, const struct mfs_known *n)
{
    return n->nlookup && !n->opens && !n->behind && !n->content && !n->own_pending &&
           !n->closing && n->number != s->root;
}

static void ask(struct mfs_session *s, const uint64_t *nodes, size_t count)
{
    struct mfs_kernel_notice n = { .fn = send_prune, .target = s, .length = (int64_t)count };
    mfs_notifier_add(
        s->client->notifier, &n,
        (struct bytes){ (const uint8_t *)nodes, (uint32_t)(count * sizeof *nodes) });
}

/* Names go before there are too many nodes: all that lose theirs from then on are told, so that
 * no more than these are left. */
static void on_nameless(void *ctx, const struct mfs_known *dir, struct bytes name,
                        const struct mfs_known *n)
{
    struct mfs_session *s = ctx;
    struct mfs_client *c = s->client;
    if (!atomic_load(&s->shed.is_refused) || s->nodes.count < s->shed.max / NAMES_PART ||
        s->is_detached || !is_unused(s, n) ||
        (!S_ISREG(n->attr.mode) && !S_ISLNK(n->attr.mode)))
        return;
    if (!c->shed_notifier && mfs_client_add_notifier(c, &c->shed_notifier) < 0)
        return;
    struct mfs_kernel_notice notice = { .fn = send_drop,
                                        .target = s,
                                        .node = mfs_session_swap_root(s, dir->number) };
    mfs_notifier_add(c->shed_notifier, &notice, name);
}

void mfs_shed_init(struct mfs_session *s)
{
    size_t max = s->client->opts.known_max ? s->client->opts.known_max : MFS_KNOWN_MAX;
    s->shed.max = max;
    if (s->names.max > max - max / NAMES_PART)
        s->names.max = max - max / NAMES_PART;
    s->names.on_nameless = on_nameless;
    s->names.ctx = s;
}

void mfs_shed_look(struct mfs_session *s)
{
    struct mfs_shed *x = &s->shed;
    if (s->nodes.count < x->max) {
        x->look_at = 0;
        return;
    }
    if (s->nodes.count < x->look_at || !s->client->notifier || s->is_detached ||
        atomic_load(&x->is_refused))
        return;
    uint64_t nodes[BATCH];
    size_t count = 0, left = s->nodes.count - x->max + x->max / SHED_PART;
    for (size_t i = 0; i < s->nodes.bucket_count && left; i++) {
        LIST_EACH(&s->nodes.buckets[i], it, nx)
        {
            const struct mfs_known *n = LIST_ENTRY(it, struct mfs_known, link);
            if (!left || n->names || !is_unused(s, n))
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
    x->look_at = s->nodes.count + x->max / LOOK_PART;
}
