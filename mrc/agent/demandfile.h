/* SPDX-License-Identifier: GPL-2.0-or-later */
/* demandfile.h: the job's standard input as a file whose reads reach the agent: a FUSE file
 * system that is one file, mounted nowhere. Must not know: the view, the head's descriptor. A
 * pipe can't tell whether anybody reads it; this file can. poll(2) works on it, seeking
 * doesn't. */
#ifndef MRC_AGENT_DEMANDFILE_H
#define MRC_AGENT_DEMANDFILE_H

#include "mrc/demand.h"
#include "mrc/link.h"

struct demandfile;

/* The channel "stdin-demand" was opened with this request (demand.h): attaches to it. on_done:
 * the channel is over and the object freed. */
MUST int demandfile_new(struct loop *loop, struct mrc_port *port, struct bytes request,
                        void (*on_done)(void *ctx, int code), void *ctx,
                        struct demandfile **out);

/* Serves the file system of fuse_fd (taken), which demandfile_open made. A pipe's write end
 * serves as well: then reading runs ahead. */
MUST int demandfile_serve(struct demandfile *d, int fuse_fd);

/* The head's input is a file, and so must the job's be; otherwise a pipe. */
bool demandfile_wants_file(const struct demandfile *d);
bool demandfile_is_pipe(const struct demandfile *d);
/* A record of the supervisor: somebody waits for the pipe. Returns false when it need not tell
 * any more. */
bool demandfile_wish(struct demandfile *d, const uint8_t record[DEMAND_LEN]);

/* The job is over: tells the head what was used, ends the channel. */
void demandfile_finish(struct demandfile *d);

/* In the builder, inside the job's namespaces: makes the file system and opens its file. The
 * other side of sock must call demandfile_serve with what it receives (fd_receive) while this
 * waits. *fd_out is for the job. Returns 0; if the kernel refuses, a pipe is made instead. */
MUST int demandfile_open(int sock, bool wants_file, int *fd_out, struct err *e);

#endif
