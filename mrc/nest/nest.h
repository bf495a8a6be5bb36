/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nest.h: jobs that a job starts: mrc on the target, run by the mrc of its head. Design:
 * docs/nesting.md.
 * Must not know: how a job is run. */
#ifndef MRC_NEST_NEST_H
#define MRC_NEST_NEST_H

#include "common/base/err.h"
#include "mrc/link.h"
#include "mrc/options.h"

/* Services of channels: of the agent's, a session of its own with an mrc there; of the head's,
 * a connection from the target, its request is host and port, each with a NUL behind it. */
#define MRC_NEST_SERVICE      "nested"
#define MRC_NEST_DIAL_SERVICE "dial"

enum {
    MRC_NEST_NAME_BYTES = 33,      /* 32 hexadecimal digits and a NUL */
    MRC_NEST_SESSIONS_MAX = 16,    /* at a time, of one job */
    MRC_NEST_REQUEST_MAX = 300,    /* bytes of host and port */
    MRC_NEST_REQUEST_WAIT_MS = 5000 /* for them */
};

/* A stream socket in the abstract name space, which needs no directory. Its name is no secret:
 * who connects is asked for by mrc_nest_is_ours. Both are close-on-exec; return a descriptor or
 * -errno. */
MUST int mrc_nest_listen(const char name[MRC_NEST_NAME_BYTES]);
MUST int mrc_nest_connect(const char name[MRC_NEST_NAME_BYTES]);
MUST int mrc_nest_new_name(char name[MRC_NEST_NAME_BYTES]);
/* The other end of the connection is a process of our user's, or root's. */
bool mrc_nest_is_ours(int fd);

/* --- on the head --- */

struct mrc_nester {
    int sock;                        /* -1 = jobs start no jobs */
    char name[MRC_NEST_NAME_BYTES]; /* where connections from the target are asked for */
};

/* How this process goes on. */
enum mrc_nest_role {
    MRC_NEST_STARTED, /* as before */
    MRC_NEST_CHILD    /* to run the job that a job wants: o says which, and the standard streams are that mrc's */
};

/* If o->nest allows anything, forks the process that starts what jobs ask for; must be called
 * while there is one thread. Returns a role, or -errno with words. */
MUST int mrc_nester_start(struct mrc_options *o, struct mrc_nester *out, struct err *e);
void mrc_nester_end(struct mrc_nester *n);

/* A job's side of it, on its loop and link: takes channels of the agent's, and hands on
 * connections from the target. */
struct mrc_nest;
MUST int mrc_nest_new(struct loop *loop, struct mrc_link **link, const struct mrc_nester *n,
                      struct mrc_nest **out);
/* For a channel that the agent opened: 0 or -errno to refuse it. */
MUST int mrc_nest_open(struct mrc_nest *n, struct mrc_port *port, struct bytes service);
void mrc_nest_free(struct mrc_nest *n);

/* mrc --nest-dial NAME HOST PORT: standard input and output are a connection from the target,
 * for ssh as a ProxyCommand. Returns the exit status. */
int mrc_nest_dial_main(const char *name, const char *host, const char *port);

/* The process of one session with an mrc there: puts standard streams together, runs the job in
 * a fork, in which it returns MRC_NEST_CHILD, and does not return otherwise. fd is taken. */
MUST int mrc_nest_session(int fd, struct mrc_options *o, const char *dial_name, struct err *e);

#endif
