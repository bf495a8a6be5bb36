/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mrc.h: front door: a stream to our agent on another computer, and a directory there served on
 * two streams. Must not know: jobs, FUSE. */
#ifndef MRC_MRC_H
#define MRC_MRC_H

#include "common/base/wire.h"
#include "mrc/transport.h"

enum {
    MRC_EARLY_MAX = 64 << 10,
    MRC_RECONNECT_S = 3600, /* a lunch, a train ride, a closed lid; no longer is work done for somebody who may not come back */
    MRC_RECONNECT_MAX_S = 7 * 86400
};

struct mrc_connection {
    int fd;    /* -1 = none */
    pid_t pid; /* the transport */
    int words; /* what its programs said and nobody has seen, see mrc/words.h; 0 = none */
    /* Of a transport that was asked to be shared (t->is_shared): */
    int control;    /* where more channels are asked for, see mrc/share.h; 0 = none */
    char *command;  /* what starts an agent there; ours */
    char nonce[32]; /* and its mark, see mrc/push.h */
    unsigned long long sent_bytes; /* of the agent, which was not there; 0: it was */
    /* Of mrc_connect_shared: */
    int hub; /* keeps the connection for us; 0 = none */
};

/* Starts the transport (t->command is ignored), asks on the terminal what it has to ask, and
 * uploads the agent if it is not there. Blocks. Returns 0, or -errno; e->text is empty when
 * standard error has already said why. */
MUST int mrc_connect(const struct mrc_transport_opts *t, struct mrc_connection *out,
                     struct err *e);

/* The same, and sends the session's first bytes with what starts the agent: if it is there, it
 * has them without a further round trip. */
MUST int mrc_connect_early(const struct mrc_transport_opts *t, struct bytes early,
                           struct mrc_connection *out, struct err *e);

/* The same by a connection that the user's hub keeps, if it does; else by one of our own that a
 * running hub is offered. It isn't closed as long as out->hub is open. what: for mrc ps. Without a
 * hub as mrc_connect; none is started. */
MUST int mrc_connect_shared(const struct mrc_transport_opts *t, const char *what,
                            struct mrc_connection *out, struct err *e);

/* Milliseconds of silence after which the other side counts as gone: $MRC_SILENCE, in seconds;
 * 0 = the usual. The agent is told the same. */
int mrc_silence_ms(void);

/* For how long a lost connection is made anew: a number and s, m, h or d, or seconds; at most MRC_RECONNECT_MAX_S. Returns 0, or
 * -EINVAL with words that begin with option and text. */
MUST int mrc_reconnect_time(const char *option, const char *text, uint32_t *out_s, struct err *e);

/* Closes what is left; the transport is ended. */
void mrc_disconnect(struct mrc_connection *c);
/* The same for one that was used: what was sent is still brought over, and the far end of the stream is held until the agent
 * has seen that it ended (docs/resume.md); then the transport ends by itself, within seconds. */
void mrc_leave(struct mrc_connection *c);

/* What an agent shall serve. */
struct mrc_remote_opts {
    const char *host; /* for messages */
    const char *dir;  /* empty or relative: from the home directory there */
    bool is_read_only;
    bool follows_links; /* as in struct mfs_serve_opts */
    /* How long a lost connection is made anew, and waited for by the agent; 0: it ends all. By the same calls as
     * those of struct mrc_reconnect_opts (mrc/reconnect.h), with ctx as it was at mrc_remote_serve. */
    uint32_t wait_s;
    int (*reconnect)(void *ctx, bool may_ask, int *fd_out, struct err *e);
    void (*disconnect)(void *ctx);
    void *ctx;
};

/* What an agent serves for us. */
struct mrc_remote {
    int meta_fd; /* the file protocol's streams, ours to close */
    int bulk_fd;
    pid_t pid; /* a child that relays; it ends when the streams or the connection do */
};

/* Serves a directory of the connected computer. Takes c, also on failure; must be called while
 * there is one thread. A connection that is lost for good ends both streams, with words on standard error. */
MUST int mrc_remote_serve(struct mrc_connection *c, const struct mrc_remote_opts *o,
                          struct mrc_remote *out, struct err *e);

#endif
