/* SPDX-License-Identifier: GPL-2.0-or-later */
/* runparts.h: inside of a running job: what run.c (its beginning and end), runwords.c (what the agent says),
 * runterm.c (terminal and signals), runchannels.c (its streams) and runaway.c (without a connection) share.
 * Must not know: how the link was made. */
#ifndef MRC_RUNPARTS_H
#define MRC_RUNPARTS_H

#include "common/sys/buf.h"
#include "mrc/mrc.h"
#include "mrc/pump.h"
#include "mrc/run.h"
#include "mrc/spec.h"
#include "mrc/watchjob.h"

#include <signal.h>

enum {
    RUN_WEIGHT_JOB = 255, /* shares of the link: control before keys before metadata before bulk */
    RUN_END_WAIT_MS = 60 * 1000,     /* for the last files after the job's end */
    RUN_FAILED_WAIT_MS = 5 * 1000,   /* when there was no job */
    RUN_START_WAIT_MS = 300 * 1000,  /* for the job, once the agent runs */
    RUN_FILES_LOST_MS = 3000,
};

struct run;

/* Of a detached job: how much of one of its streams was written here, and told. */
struct run_taken {
    struct run *run;
    uint8_t role; /* enum held_role */
    uint64_t total, told;
};

struct run {
    const struct mrc_run_opts *o;
    struct err *e;
    struct mrc_stdio stdio;
    int keys_fd; /* terminal to type at; -1 without */
    struct loop *loop;
    struct mrc_link *link;
    struct mrc_port *job;
    struct buf in;
    struct mrc_profile profile;
    struct mrc_pump *tty_in;
    struct watchjob watch;
    int output_pumps, file_pumps;
    int sigfd;
    struct loop_fd sig_watch, keeper_watch;
    struct loop_timer end_timer, terminal_timer, start_timer;
    sigset_t old_mask;
    bool is_alone; /* no kept view: the files are served by a server of ours */
    bool has_started, has_outcome, is_ending, is_over, is_lost, is_done;
    struct mrc_outcome outcome;
    int rc;
    struct mrc_nest *nest; /* NULL: the job starts no others */
    struct mrc_reconnect *again; /* NULL: the connection was never lost */
    bool is_away;                /* it is lost, and may come back */
    bool has_drawn;              /* meanwhile, on the terminal */
    bool is_asking;              /* and who makes it anew asks on the terminal */
    unsigned away_count;
    uint64_t away_ms, away_total_ms, told_again; /* since when; together; bytes sent again that were told */
    struct loop_timer view_timer; /* since the first return: is there a keeper of its view? */
    bool has_keeper;              /* there was one when the job started, or when the connection was lost */
    unsigned keeper_misses;       /* looks in a row without it */
    struct mrc_port *stats;
    bool stats_done;
    /* A detached job that we are attached to. */
    struct run_taken taken[3]; /* standard output and error, terminal */
    struct loop_timer taken_timer;
    bool has_left, is_job_eof;
};

/* run.c */
void run_maybe_end(struct run *r);
void run_finish(struct run *r);
/* Time-outs that are for an agent that can be reached. */
void run_set_timers(struct run *r);
void run_stop_timers(struct run *r);

/* runaway.c */
/* The link's calls; see struct mrc_link_opts. */
void run_on_lost(void *ctx, int code, const char *text);
void run_on_resumed(void *ctx);
/* For how long the agent shall wait for us, 0: it shall not. */
uint32_t run_wait_s(const struct run *r);
/* The user does not want to wait: says what becomes of the job. */
void run_leave_away(struct run *r);
void run_end_away(struct run *r);
/* Its activity tells that the keeper of its view is there; where there is none, nothing is concluded. */
void run_note_keeper(struct run *r);

/* runwords.c */
extern const struct mrc_port_ops run_job_ops;
void run_on_keeper(void *ctx, uint32_t events);
/* The kept view is not to be had: the job gets one of its own. */
void run_go_alone(struct run *r, const char *why);

/* runheld.c: of a detached job. */
MUST int run_held_open(struct run *r);
/* All has come that will: says so, so that nothing is kept there. */
void run_held_end(struct run *r);
void run_held_left(struct run *r, const struct job_left *m);
/* The user goes, the job stays. */
void run_held_leave(struct run *r);

/* runterm.c */
void run_send(struct run *r, const struct job_msg *m);
void run_send_signal(struct run *r, int number, bool is_group);
void run_send_size(struct run *r);
void run_redraw(struct run *r);
/* Makes the terminal raw, but for its signals while there is no job that could be told, and reads it; in the
 * background, as soon as we are no more: the shell doesn't always tell. */
void run_take_terminal(void *ctx);
/* The job stopped: so do we, the shell is to notice. What we are continued by continues the job. */
void run_stop_self(struct run *r);
MUST int run_watch_signals(struct run *r);

/* runchannels.c */
enum { RUN_WINDOW_OUTPUT = 4 * 1024 * 1024, RUN_WEIGHT_TTY = 128, RUN_WEIGHT_STREAM = 16 };
int run_own(int fd); /* a descriptor of our own for it; -1: there is none */
/* The terminal: what is typed at, in r->keys_fd, and where what is printed goes. */
int run_terminal_out(struct run *r);
void run_output_done(void *ctx, int code);
void run_tty_done(void *ctx, int code);
MUST int run_open_channels(struct run *r);
/* Starts the file server and opens the channels between it and the job's agent. */
MUST int run_open_files(struct run *r);
MUST int run_send_spec(struct run *r);

#endif
