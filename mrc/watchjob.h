/* SPDX-License-Identifier: GPL-2.0-or-later */
/* watchjob.h: what is to be seen of a job while it runs: its activity (activity.h), and on the terminal a line that tells
 * which file it waits for (progress.h).
 * Must not know: the job's channels. */
#ifndef MRC_WATCHJOB_H
#define MRC_WATCHJOB_H

#include "common/sys/loop.h"
#include "mrc/activity.h"
#include "mrc/link.h"
#include "mrc/options.h"
#include "mrc/progress.h"
#include "mrc/pump.h"
#include "mrcfs/mrcfs.h"

struct watchjob {
    struct activity_file file;
    struct progress progress;
    struct loop_timer timer;
    const struct mrc_options *options;
    /* Of the owner; NULL: not there (yet, or any more). */
    const struct mrc_link *link;
    const struct mrc_pump *files[2]; /* between the job and a file server of its own */
    const struct mfs_activity *server;
    struct mrc_port *usage; /* from the agent */
    uint8_t usage_part[8];  /* of a number that is coming in */
    size_t usage_len;
    bool has_line;  /* the terminal is one where it may be shown at all */
    bool has_tty;   /* the job has the terminal */
    bool has_ended; /* its command has */
    bool is_in_middle; /* of a line of the job's */
    bool has_printed_ever, has_printed;
};

/* o: of a job, which is what it is then called; NULL: its owner has filled in kind, host and command. view: of the kept view that the job is to run in (KEEP id), or NULL. */
void watchjob_begin(struct watchjob *w, struct loop *l, const struct mrc_options *o, const uint8_t *view, bool has_tty);
/* Asks the agent for what only it knows: a channel of the session. */
void watchjob_ask(struct watchjob *w, struct mrc_link *l);
void watchjob_alone(struct watchjob *w); /* not in that view after all */
void watchjob_started(struct watchjob *w, uint32_t there_pid);
void watchjob_ended(struct watchjob *w); /* the command; the last files may be on their way */
void watchjob_turn(struct watchjob *w);  /* after each turn of the loop */
/* As on_output of struct mrc_pump_opts: of what goes to a terminal. */
void watchjob_output(struct watchjob *w, const uint8_t *ptr, size_t len_bytes);
void watchjob_hide(void *watchjob); /* the line; for who writes to the terminal */
void watchjob_end(struct watchjob *w);

/* The name of a view in activities. */
void watchjob_view_name(const uint8_t *id, char *text, size_t size_bytes);

#endif
