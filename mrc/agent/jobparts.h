/* SPDX-License-Identifier: GPL-2.0-or-later */
/* jobparts.h: inside of an agent's job: what job.c (its life) and jobchannels.c (what the head opens) share.
 * Must not know: how the link came to be. */
#ifndef MRC_AGENT_JOBPARTS_H
#define MRC_AGENT_JOBPARTS_H

#include "mrc/agent/files.h"
#include "mrc/agent/join.h"
#include "mrc/agent/nest.h"
#include "mrc/agent/job.h"
#include "mrc/agent/view.h"
#include "mrc/pump.h"

#include <sys/types.h>

struct demandfile;

enum {
    STREAM_COUNT = 3,
    STREAM_WINDOW = 4 * 1024 * 1024,
    FILES_WINDOW = 16 * 1024 * 1024,
};

enum keep_fd { KEEP_LISTEN, KEEP_MOUNT_NS, KEEP_USER_NS };

struct agent_job {
    struct agent_job_opts o;
    struct view_probe probe;
    struct mrc_port *port; /* the job's channel until the supervisor has it */
    struct bytes request;  /* of the channel that is being opened */
    struct buf in;
    bool has_spec, is_abandoned, is_failed, is_handed_over;
    int fds[STREAM_COUNT];     /* the job's ends */
    int tty_fd;                /* slave */
    int files_fds[2];          /* our ends of the streams to the file server */
    int pumps;                 /* channels that are still open */
    struct mrc_pump *job_pump; /* supervisor and head; NULL before and after */
    bool supervisor_ended, files_ended;
    /* Of a detached job (docs/detach.md): another file server may come. */
    bool is_held;
    int files_over_fd; /* its end is that of the files' thread */
    struct loop_fd files_over_watch;
    enum mfs_compress compress;
    bool has_cache; /* of contents, on the target */
    /* Launch profiles: what the head said, kept to be compared with what is used. */
    bool wants_used, is_used_told;
    uint8_t *profile;
    size_t profile_bytes;
    struct mfs_behind_count *behind; /* writes on their way to the head, in behind_fd's page */
    int behind_fd;
    /* A view that this agent keeps. */
    bool is_keeper;
    uint8_t keep_id[JOB_KEEP_ID_BYTES];
    int keep_fds[3]; /* by enum keep_fd; until files has them */
    int over_fd;
    struct loop_fd over_watch;
    /* A kept view that the job runs in. */
    struct joining *joining;
    struct joined joined;
    struct loop_fd joined_watch;
    bool is_joined_lost;
    bool awaits_files; /* it could not be joined: for the job's own, mrc opens channels */
    struct agent_nest *nest; /* NULL: it may start no jobs */
    struct mrc_port *usage; /* mrc/agent/usage.c */
    struct loop_timer usage_timer;
    uint64_t usage_told;
    struct demandfile *demand; /* standard input on demand, else NULL */
    int demand_sock;
    struct loop_fd demand_watch;
    struct files *files;
    int view_sock, job_sock;
    struct loop_fd view_watch, pid_watch;
    struct loop_timer timer;
    pid_t builder;
    int pidfd;
    bool builder_done;
};

/* Joins descriptors (taken) to a channel; on_in_end may be NULL. */
MUST int job_pump_fds(struct agent_job *j, struct mrc_port *port, int fd_in, int fd_out,
                      uint64_t window_bytes, void (*on_in_end)(void *ctx));
/* For what the job says (fd_in), and what is said to it on the same terminal. */
MUST int job_pump_words(struct agent_job *j, struct mrc_port *port, int fd_in, int fd_out);
/* Callbacks of channels that were opened. */
void job_pump_done(void *ctx, int code);
void job_demand_done(void *ctx, int code);
void job_files_end(void *ctx);
void job_meta_end(void *ctx); /* the stream's */
extern const struct mrc_port_ops job_port_ops; /* of the job's own channel, until the supervisor has it */
/* A channel to the head's file server was opened. */
/* The channel "usage". */
MUST int job_usage_open(struct agent_job *j, struct mrc_port *port);
void job_usage_end(struct agent_job *j);
void job_maybe_start_alone(struct agent_job *j);

#endif
