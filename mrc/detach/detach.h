/* SPDX-License-Identifier: GPL-2.0-or-later */
/* detach.h: jobs that live without this computer (docs/detach.md): starting one, being attached to it, serving its files.
 * Must not know: how the target holds them. */
#ifndef MRC_DETACH_DETACH_H
#define MRC_DETACH_DETACH_H

#include "mrc/detach/record.h"
#include "mrc/run.h"

/* Starts the job; its number is printed. A process that serves its files goes on. Returns 0, or -errno with words (e->text may
 * be empty: they were said); *out as of a job that could not be started. */
MUST int mrc_detach(const struct mrc_options *o, int argc, char **argv, const struct mrc_trees *t,
                    struct mrc_outcome *out, struct err *e);

/* mrc attach: the job's streams are ours until it ends or we are sent away; o->host has the job's name. */
MUST int mrc_attach(const struct mrc_options *o, struct mrc_outcome *out, struct err *e);
/* For mrc ps: what is known here of detached jobs, into entries; NULL: in lines of text. */
struct json;
void mrc_detach_list(struct json *entries);

/* mrc detach: sends away who is attached; or ends the job; or forgets it: what is known of it here, and who serves its files. */
MUST int mrc_detach_job(const struct mrc_options *o, struct err *e);

/* For mrc doctor: what is known here of detached jobs on this host, with the user or without. */
struct detach_count {
    size_t known, gone; /* gone: not in the list */
    char first[HELD_NAME_BYTES]; /* of those gone */
};
/* names: the beginnings of the numbers of those that are there, with spaces between. */
void mrc_detach_compare(const char *host, const char *names, struct detach_count *out);

/* ---- between its files ---- */

/* What mrc detach --forget does. what: as for record_find. Returns 0 or -errno with words. */
MUST int mrc_detach_forget(const char *what, struct err *e);

/* Serves the job's files until it is over, in this process. spec: the job is started first; {NULL, 0}: it is there. on_started:
 * it runs, or (spec NULL) the holder has the streams. Returns 0, -errno with words, *out as above. */
struct provide_opts {
    const struct mrc_options *options;
    const struct mrc_trees *trees;
    const struct detach_record *record;
    struct bytes spec;
    void (*on_started)(void *ctx);
    void *ctx;
};
MUST int mrc_provide(const struct provide_opts *o, struct mrc_outcome *out, struct err *e);

/* Its process's descriptors are no terminal's any more, nor is it in anybody's session. */
void mrc_provide_hide(void);

void detach_head_of(const struct detach_record *r, enum held_role role, uint64_t visit, uint8_t out[HELD_HEAD_BYTES]);

#endif
