/* SPDX-License-Identifier: GPL-2.0-or-later */
/* port.c: a link's channels, and the wishes of their owners.
 * Must not know: descriptors, what the channels carry. */
#include "mrc/linkparts.h"

#include <errno.h>
#include <stdlib.h>

struct mrc_port *mrc_port_find(struct mrc_link *l, uint32_t chan)
{
    struct mrc_port *p = l->ports;
    while (p && p->chan != chan)
        p = p->next;
    return p;
}

struct mrc_port *mrc_port_new(struct mrc_link *l, uint32_t chan)
{
    struct mrc_port *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->link = l;
    p->chan = chan;
    buf_init(&p->queue, MRC_PORT_QUEUE_MAX);
    p->next = l->ports;
    l->ports = p;
    return p;
}

void mrc_port_drop(struct mrc_port *p, int code, struct bytes text)
{
    struct mrc_port **at = &p->link->ports;
    while (*at && *at != p)
        at = &(*at)->next;
    if (*at)
        *at = p->next;
    const struct mrc_port_ops *ops = p->ops;
    void *ctx = p->ctx;
    buf_fini(&p->queue);
    free(p);
    if (ops)
        ops->on_closed(ctx, code, text);
}

size_t mrc_port_room(const struct mrc_port *p)
{
    return p->is_ended ? 0 : buf_room(&p->queue);
}

int mrc_port_send(struct mrc_port *p, const void *ptr, size_t len_bytes)
{
    if (p->is_ended)
        return -EPIPE;
    int rc = buf_append(&p->queue, ptr, len_bytes);
    if (rc == 0)
        mrc_port_queued(p, len_bytes);
    return rc;
}

static void wish(struct mrc_port *p, const struct mrc_event *ev)
{
    struct mrc_action ignored;
    int rc = mrc_session_step(&p->link->session, ev, &ignored);
    (void)rc; /* -EINVAL: the channel ended meanwhile, and the port is about to be told */
}

void mrc_port_queued(struct mrc_port *p, size_t len_bytes)
{
    wish(p, &(struct mrc_event){ .kind = MRC_EV_QUEUED, .chan = p->chan, .amount = len_bytes });
}

void mrc_port_end(struct mrc_port *p)
{
    if (p->is_ended)
        return;
    p->is_ended = true;
    wish(p, &(struct mrc_event){ .kind = MRC_EV_END, .chan = p->chan });
}

void mrc_port_consumed(struct mrc_port *p, size_t len_bytes)
{
    wish(p,
         &(struct mrc_event){ .kind = MRC_EV_CONSUMED, .chan = p->chan, .amount = len_bytes });
}

void mrc_port_stop(struct mrc_port *p)
{
    wish(p, &(struct mrc_event){ .kind = MRC_EV_STOP, .chan = p->chan });
}

void mrc_port_reset(struct mrc_port *p, int code, const char *text)
{
    wish(p, &(struct mrc_event){
                .kind = MRC_EV_RESET, .chan = p->chan, .code = code, .text = bytes_of(text) });
    p->is_ended = true;
}

int mrc_port_window(struct mrc_port *p, uint64_t window_bytes)
{
    return mrc_session_window(&p->link->session, p->chan, window_bytes);
}
