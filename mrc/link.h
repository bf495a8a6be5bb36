/* SPDX-License-Identifier: GPL-2.0-or-later */
/* link.h: drives one session over a byte stream on a loop, or over several, one after the other (docs/resume.md);
 * ports are its channels.
 * Must not know: SSH, jobs, files. */
#ifndef MRC_LINK_H
#define MRC_LINK_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/sys/buf.h"
#include "common/sys/loop.h"
#include "mrc/session/session.h"

enum {
    MRC_PORT_QUEUE_MAX =
        4 * 1024 * 1024 +
        4096, /* bytes that wait to be sent on one channel: one whole job message */
    MRC_PORT_LOW = 256 * 1024, /* below this a port asks for more */
};

struct mrc_link;
struct mrc_port;

/* What the owner of a port is told. on_data must take all bytes and report them with
 * mrc_port_consumed when it used them; at most the window is outstanding. After on_closed the
 * port is gone (both directions ended, reset, or the link ended). Any may be NULL but
 * on_closed. */
struct mrc_port_ops {
    void (*on_data)(void *ctx, struct bytes body);
    void (*on_eof)(void *ctx);
    void (*on_stop)(void *ctx);
    void (*on_room)(void *ctx); /* the queue got below MRC_PORT_LOW */
    void (*on_closed)(void *ctx, int code, struct bytes text);
};

struct mrc_port {
    struct mrc_link *link;
    uint32_t chan;
    struct buf queue;
    bool is_ended;
    const struct mrc_port_ops *ops;
    void *ctx;
    struct mrc_port *next;
};

struct mrc_link_opts {
    struct loop *loop;
    int fd_in; /* may be the same as fd_out; taken, made non-blocking; -1 = mrc_link_attach
                  follows */
    int fd_out;
    bool is_head;
    const char *software;
    int silence_ms; /* after which the other end counts as gone; 0 = the usual */
    int hello_ms;   /* the same until its hello; 0 = silence_ms */
    /* The other end opened a channel: return the port's owner in *ops and *ctx with 0, or
     * -errno to refuse. NULL: refuse all. */
    int (*on_open)(void *ctx, struct mrc_port *port, struct bytes service,
                   struct bytes request);
    void (*on_hello)(void *ctx, const struct mrc_hello *hello);
    /* Last call: the session is over. code 0: bye without error. The link must be freed later,
     * not here. */
    void (*on_end)(void *ctx, int code, const char *text);
    /* The stream has died, and its descriptors are closed: another one may be attached, at the head after
     * mrc_link_redial, at the agent by mrc_link_take. NULL: the session ends with its stream. Not called before
     * both ends have heard each other: then on_end is. */
    void (*on_lost)(void *ctx, int code, const char *text);
    void (*on_resumed)(void *ctx); /* head: the agent goes on with the new stream; may be NULL */
    uint32_t wait_s;               /* head: how long the agent shall wait for that; 0: it shall not */
    void *ctx;
};

MUST int mrc_link_new(const struct mrc_link_opts *o, struct mrc_link **out, struct err *e);
void mrc_link_free(struct mrc_link *l);

/* For a link without descriptors: takes the first bytes that it has to send, at most
 * size_bytes, which then are the caller's to bring over before mrc_link_attach. Returns their
 * number or -errno. */
MUST int mrc_link_early(struct mrc_link *l, uint8_t *out, size_t size_bytes);
/* fd_in, fd_out: as in mrc_link_opts; taken, also on failure. */
MUST int mrc_link_attach(struct mrc_link *l, int fd_in, int fd_out);

/* After on_lost, at the head: the first bytes of a new stream to an agent there, to be brought over before
 * mrc_link_attach; at most MRC_GREETING_MAX. If the stream can't be had: again, later. Returns their number or
 * -errno. */
MUST int mrc_link_redial(struct mrc_link *l, uint8_t *out, size_t size_bytes);
/* At the agent: the head has come back with this hello on a new stream, which is taken, also on failure; a stream that we
 * still have is given up. Returns 0; -EACCES, -ESTALE, -EPROTO and nothing is changed, see mrc_session_step. */
MUST int mrc_link_take(struct mrc_link *l, const struct mrc_hello *hello, int fd_in, int fd_out);
/* At an agent whose session is not the one that the head wants: sends what is to be sent (our hello) and neither reads nor
 * writes from then on. The descriptors stay ours. Returns 0, or -EAGAIN the stream does not take it. */
MUST int mrc_link_lend(struct mrc_link *l, int *fd_in, int *fd_out);
void mrc_link_unlend(struct mrc_link *l);        /* goes on; also without lend */
void mrc_link_forget_stream(struct mrc_link *l); /* closes it; on_end is not called */
/* After on_lost: nobody comes any more. Calls on_end. */
void mrc_link_give_up(struct mrc_link *l, int code, const char *text);

/* Opens a channel; window_bytes: how far the other end may run ahead. */
MUST int mrc_link_open(struct mrc_link *l, const char *service, struct bytes request,
                       uint8_t weight, uint64_t window_bytes, const struct mrc_port_ops *ops,
                       void *ctx, struct mrc_port **out);
void mrc_link_bye(struct mrc_link *l, int code, const char *text);
/* Tells the other end that we are about to be stopped; waits a moment until that is sent. */
void mrc_link_pause(struct mrc_link *l);
/* True when nothing is left to be sent. */
bool mrc_link_is_flushed(const struct mrc_link *l);
/* Gives input bytes that were read before the link existed. */
void mrc_link_feed(struct mrc_link *l, struct bytes input);

/* Room left in the port's queue; port->queue may be filled by hand (buf_reserve, buf_commit),
 * then told with mrc_port_queued. */
size_t mrc_port_room(const struct mrc_port *p);
MUST int mrc_port_send(struct mrc_port *p, const void *ptr, size_t len_bytes);
void mrc_port_queued(struct mrc_port *p, size_t len_bytes);
void mrc_port_end(struct mrc_port *p);
void mrc_port_consumed(struct mrc_port *p, size_t len_bytes);
void mrc_port_stop(struct mrc_port *p);
void mrc_port_reset(struct mrc_port *p, int code, const char *text);
MUST int mrc_port_window(struct mrc_port *p, uint64_t window_bytes);

struct mrc_link_stats {
    uint64_t bytes_out, bytes_in, frames_out, frames_in;
    uint64_t bytes_again; /* of bytes_out: that had been written to a stream before, which died */
};
void mrc_link_stats(const struct mrc_link *l, struct mrc_link_stats *out);

#endif
