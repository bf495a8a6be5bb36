/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pump.h: joins file descriptors to a port: what is readable is sent, what comes is written;
 * with back-pressure, half-close, and word to the other side when a reader has gone. Must not
 * know: what the bytes mean. */
#ifndef MRC_PUMP_H
#define MRC_PUMP_H

#include "mrc/link.h"

enum { MRC_PUMP_READ_MAX = 256 * 1024 };

struct mrc_pump;

struct mrc_pump_opts {
    struct loop *loop;
    int fd_in;  /* read and sent until end of file; -1 = nothing is sent and the sending ends at
                   once; taken */
    int fd_out; /* receives; -1 = the other side is told to stop; may be the same socket as
                   fd_in; taken */
    bool keeps_in_open; /* fd_in = -1, but the owner sends through the port itself */
    bool tells_no_end;  /* of fd_in: the owner has more to say and ends the port itself */
    /* What was read from fd_in is held until what the reader must not overtake is done: order_mark is asked after reading, 0 = nothing to wait
     * for, and is_passed with that mark from then on. NULL: nothing is held. */
    uint64_t (*order_mark)(void *ctx);
    bool (*is_passed)(void *ctx, uint64_t mark);
    /* The pump is over and was freed: both directions ended. code: 0, or why the channel was
     * reset. */
    void (*on_done)(void *ctx, int code);
    /* fd_in ended or fd_out was closed for want of readers; may be NULL. */
    void (*on_in_end)(void *ctx);
    /* Around each writing to fd_out: before it with len_bytes 0, after it with what was written; may be NULL. */
    void (*on_output)(void *ctx, const uint8_t *ptr, size_t len_bytes);
    void *ctx;
};

/* Makes the pump; then its port is given by mrc_pump_ops/_attach (a channel that the other end
 * opened) or mrc_pump_open. */
MUST int mrc_pump_new(const struct mrc_pump_opts *o, struct mrc_pump **out);
void mrc_pump_attach(struct mrc_pump *p,
                     struct mrc_port *port); /* sets port->ops and port->ctx */
MUST int mrc_pump_open(struct mrc_pump *p, struct mrc_link *l, const char *service,
                       struct bytes request, uint8_t weight, uint64_t window_bytes);
struct mrc_port *mrc_pump_port(struct mrc_pump *p);

/* Stops reading fd_in, sends what was read, and ends the sending direction. */
void mrc_pump_end_in(struct mrc_pump *p);
/* Pauses or resumes reading fd_in. */
void mrc_pump_pause(struct mrc_pump *p, bool is_paused);
/* Bytes of fd_in that went to the link so far, and that wait for it. */
void mrc_pump_sent(const struct mrc_pump *p, uint64_t *sent_out, uint64_t *unsent_out);
/* True when all that came was written and no more will come. */
bool mrc_pump_out_done(const struct mrc_pump *p);

#endif
