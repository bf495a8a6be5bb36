/* SPDX-License-Identifier: GPL-2.0-or-later */
/* holdparts.h: inside of a holder: what hold.c (its life and the job's session), holdvisit.c (who is attached) and holdfiles.c (the
 * head's file server) share.
 * Must not know: how visitors come. */
#ifndef MRC_AGENT_HOLDPARTS_H
#define MRC_AGENT_HOLDPARTS_H

#include "common/sys/loop.h"
#include "mrc/agent/hold.h"
#include "mrc/agent/spool.h"
#include "mrc/job.h"
#include "mrc/link.h"

enum {
    HOLD_WINDOW = 4 * 1024 * 1024, /* of each stream of the job's */
    HOLD_WEIGHT_JOB = 255,
    HOLD_WEIGHT_META = 64,
    HOLD_WEIGHT_STREAM = 16,
    HOLD_WEIGHT_BULK = 8,
    HOLD_STREAMS = 4,
    HOLD_CALLERS_MAX = 16, /* who has connected and not said yet what for */
    HOLD_WORDS_MAX = 64 * 1024,
    HOLD_STATES = 8,
};

struct hold;

/* One stream of the job's: what it prints, or what is typed. */
struct hold_stream {
    struct hold *hold;
    uint8_t role; /* enum held_role; 0: the job has none */
    struct mrc_port *port; /* NULL: over */
    bool takes_input, has_input_ended, has_spool;
    struct spool spool;
    int fd; /* of who is attached; -1: nobody */
    struct loop_fd watch;
    bool is_shut; /* it was told that no more comes */
};

struct hold_caller {
    struct hold *hold;
    int fd; /* -1: none */
    struct loop_fd watch;
};

/* What a visitor's agent says of its head. */
struct hold_state {
    struct hold *hold;
    uint64_t visit;
    int fd; /* -1: none */
    struct loop_fd watch;
    bool is_away;
};

struct hold_files {
    uint64_t visit; /* 0: none */
    int fds[2], next_fds[2]; /* fds belong to pumps */
    uint64_t next_visit;
    int pumps;
};

struct hold {
    struct held_start start;
    struct loop *loop;
    struct mrc_link *link;
    struct mrc_port *job;
    struct buf in;   /* from the job */
    struct buf last; /* its last words, as they came */
    const struct hold_opts *o;
    int report_fd, listen_fd;
    struct loop_fd listen_watch;
    uint32_t pid; /* of the job; 0: not started yet */
    bool has_begun, is_job_over, is_ending, is_let_go, is_link_over, is_frozen, is_away, is_stopping, is_killing;
    struct hold_stream streams[HOLD_STREAMS];
    struct hold_caller callers[HOLD_CALLERS_MAX];
    struct hold_files files;
    struct hold_state states[HOLD_STATES];
    /* Who is attached. */
    uint64_t visit; /* 0: nobody */
    int job_fd;
    struct loop_fd job_watch;
    struct buf from_visit, to_visit;
    bool is_shut, is_told_end;
    struct loop_timer away_timer, freeze_timer, input_timer, end_timer, stop_timer;
};

/* hold.c */
MUST int hold_begin(struct hold *h); /* the job: what it waited for is there */
void hold_to_job(struct hold *h, const struct job_msg *m);
/* Somebody has come or gone: how long may nobody be there? */
void hold_look(struct hold *h);
void hold_end(struct hold *h, const char *why);
/* The job is told to end, killed if it doesn't, and then all of it is over; its last changes are on the head. */
void hold_stop(struct hold *h);
/* The last words were taken: nothing is needed any more. */
void hold_maybe_done(struct hold *h);

/* holdvisit.c */
MUST int hold_listen(struct hold *h);
void hold_visit_fini(struct hold *h);
void hold_drop_visit(struct hold *h);
/* The visit, of either kind, is over: its agent is told. */
void hold_state_drop(struct hold *h, uint64_t visit);
/* Is there this visit (0: no), and can its head be reached? */
bool hold_is_there(const struct hold *h, uint64_t visit);
/* Words for who is attached; lost if nobody is. */
void hold_tell(struct hold *h, const void *ptr, size_t len_bytes);
void hold_flush(struct hold *h);
void hold_flush_stream(struct hold_stream *s);
void hold_stream_room(struct hold_stream *s);
void hold_stream_gone(struct hold_stream *s); /* its port */

/* holdfiles.c */
/* One of the two streams to a file server, taken. */
void hold_files_come(struct hold *h, uint64_t visit, int number, int fd);
bool hold_files_are_there(const struct hold *h);
MUST int hold_files_open(struct hold *h); /* their channels to the job's agent */
void hold_files_end(struct hold *h);

#endif
