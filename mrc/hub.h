/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hub.h: the user's hub on this computer: its messages, where to find it, a job's side of it.
 * Must not know: SSH, jobs. Source: docs/hub.md, mrc/hub.def. */
#ifndef MRC_HUB_H
#define MRC_HUB_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/base/wire.h"
#include "mrc/mrc.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    MRC_HUB_MSG_MAX = 32 << 10, /* a packet: the longest is an offer */
    MRC_HUB_KEY_BYTES = 32, /* of connections and of views */
    MRC_HUB_ID_BYTES = 32,  /* of one kept view */
    MRC_HUB_TEXT_BYTES = 512, /* host or command, as told; the rest is cut */
    MRC_HUB_IDLE_S = 60,
    MRC_HUB_NEVER = 0x7fffffff, /* seconds */
};

enum mrc_hub_state { MRC_HUB_CONNECTING, MRC_HUB_RUNNING, MRC_HUB_LINK, MRC_HUB_VIEW };

#define F(kind, field) wire_##kind field;
#define HUBMSG(id, name, fields)                                                               \
    struct hub_##name {                                                                        \
        fields                                                                                 \
    };
#include "mrc/hub.def"
#undef HUBMSG
#undef F

enum mrc_hub_msg_id {
#define HUBMSG(id, name, fields) MRC_HUB_##name = id,
#include "mrc/hub.def"
#undef HUBMSG
};

struct mrc_hub_msg {
    uint8_t id;
    union {
#define HUBMSG(id, name, fields) struct hub_##name name;
#include "mrc/hub.def"
#undef HUBMSG
    };
};

/* What both sides must be: the program's version and that of the messages. */
extern const char mrc_hub_version[];

/* Byte fields point into the packet. Returns 0, -EPROTO malformed or unknown. */
MUST int mrc_hub_msg_get(struct bytes packet, struct mrc_hub_msg *m);
void mrc_hub_msg_put(struct wr *w, const struct mrc_hub_msg *m);

/* Sends a message with a descriptor (-1: none); errors as mrc_share_send. */
MUST int mrc_hub_send(int sock, const struct mrc_hub_msg *m, int fd);
/* Waits for the next message; space keeps its bytes. Returns 0, -ETIMEDOUT, -ECONNRESET,
 * -EPROTO. */
MUST int mrc_hub_wait(int sock, int timeout_ms, uint8_t space[MRC_HUB_MSG_MAX],
                      struct mrc_hub_msg *m, int *fd_out);

/* hubmeet.c: the place. Opens the directory, which is made if it is missing and must be ours
 * alone. */
MUST int mrc_hub_dir(int *fd_out, struct err *e);
/* What the processes of this computer have to tell is kept in one log, whatever their environment. */
void mrc_log_here(const char *who);
/* Connects to the hub and checks that it is ours. Returns 0; -ENOENT or -ECONNREFUSED none
 * runs; -EPERM; -errno. */
MUST int mrc_hub_connect(int *fd_out, struct err *e);
/* Starts one without waiting for it; nothing of ours is left in it. */
MUST int mrc_hub_start(struct err *e);
/* Seconds without anything to do after which connections and the hub end: $MRC_HUB_IDLE; 0: no
 * hub is wanted. */
int mrc_hub_idle_s(void);

/* hubserver.c: be the hub. Returns an exit status. */
int mrc_hub_main(void);

/* hubjob.c: a job's side. */
struct mrc_hub_job {
    int fd; /* -1: not connected */
    bool is_wanted;
    uint8_t key[MRC_HUB_KEY_BYTES];
    uint32_t idle_s;
    char host[MRC_HUB_TEXT_BYTES], command[MRC_HUB_TEXT_BYTES];
    /* Of kept views: the one that is wanted; then the one that is there, or why there can't be. */
    bool wants_view, has_view;
    uint8_t view[MRC_HUB_KEY_BYTES], view_id[MRC_HUB_ID_BYTES];
    uint64_t mark;
    char why_not[200];
};

/* Is this connection one that can be shared? Then finds or starts the hub and asks for a
 * waiting agent: *fd_out is a stream to it or -1. j->fd must be closed by mrc_hub_job_end.
 * command: for mrc ps. view: of the kept view that the job wants, or NULL. Returns 0 also when there is no hub (with -v the
 * reason is told); -errno with words when the configuration makes no sense. */
MUST int mrc_hub_job_begin(struct mrc_hub_job *j, const struct mrc_transport_opts *t,
                           char *const *command, const uint8_t *view, int *fd_out,
                           struct err *e);
/* The job runs there as pid; offers the connection, which then outlives us: c->pid and
 * c->control are 0 if it was taken. True: the hub has it now. */
bool mrc_hub_job_started(struct mrc_hub_job *j, struct mrc_connection *c, uint32_t pid);
void mrc_hub_job_end(struct mrc_hub_job *j);

/* hubwho.c: what of a process decides which files it sees and may use, as the kernel tells it.
 * Returns 0; -EACCES it may be confined in ways that can't be seen from outside; -errno. */
MUST int mrc_hub_who(pid_t pid, uint8_t out[MRC_HUB_KEY_BYTES]);

/* hubcommand.c: mrc ps and mrc stop; they print. host: NULL = all. */
struct json;
MUST int mrc_hub_ps(bool wants_json, void (*more)(struct json *entries), struct err *e);
/* What a hub keeps. Returns 0; 1 none runs; -ETIMEDOUT and other -errno: it doesn't answer within timeout_ms. *out is 0
 * then. */
struct mrc_hub_counts {
    size_t jobs, views, links;
};
MUST int mrc_hub_count(struct mrc_hub_counts *out, int timeout_ms);
MUST int mrc_hub_stop(const char *host, bool with_jobs, struct err *e);

#endif
