/* SPDX-License-Identifier: GPL-2.0-or-later */
/* usage.c: tells the head what only the target knows of a job while it runs: for how many requests to the head it has waited.
 * Must not know: who looks.
 * The channel "usage": u64, again at most once a second when it has changed. It ends with the session. */
#include "mrc/agent/jobparts.h"

#include <errno.h>
#include <stdatomic.h>

enum { USAGE_MS = 1000 };

static void on_closed(void *ctx, int code UNUSED, struct bytes text UNUSED)
{
    struct agent_job *j = ctx;
    j->usage = NULL;
    loop_timer_del(&j->usage_timer);
}

static const struct mrc_port_ops ops = { .on_closed = on_closed };

static void on_timer(void *ctx)
{
    struct agent_job *j = ctx;
    uint8_t space[8];
    struct wr w = wr_of(space, sizeof space);
    uint64_t waited = atomic_load(&j->behind->waited);
    if (j->joined.sock >= 0) /* the files are the view's, whose own agent tells it */
        return;
    put_u64(&w, waited);
    if (waited != j->usage_told && mrc_port_send(j->usage, space, sizeof space) == 0)
        j->usage_told = waited;
    loop_timer_set(j->o.loop, &j->usage_timer, USAGE_MS, on_timer, j);
}

int job_usage_open(struct agent_job *j, struct mrc_port *port)
{
    if (j->usage)
        return -EBUSY;
    j->usage = port;
    port->ops = &ops;
    port->ctx = j;
    loop_timer_set(j->o.loop, &j->usage_timer, USAGE_MS, on_timer, j);
    return 0;
}

static void on_closed_late(void *ctx UNUSED, int code UNUSED, struct bytes text UNUSED)
{
}

/* The port outlives the job: it goes with the session. */
void job_usage_end(struct agent_job *j)
{
    static const struct mrc_port_ops none = { .on_closed = on_closed_late };
    loop_timer_del(&j->usage_timer);
    if (j->usage)
        j->usage->ops = &none;
    j->usage = NULL;
}
