/* SPDX-License-Identifier: GPL-2.0-or-later */
/* files.h: the head's files on this computer: a thread that runs the file client of a session.
 * Must not know: the view, the job.
 * Threads: files_start starts one, which ends by itself; all calls are for the thread that
 * started it. */
#ifndef MRC_AGENT_FILES_H
#define MRC_AGENT_FILES_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "mrcfs/mrcfs.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct files;
struct keep_opts;

struct files_opts {
    int meta_fd; /* streams to the head's file server; taken */
    int bulk_fd;
    uid_t own_uid; /* see struct mfs_client_opts */
    gid_t own_gid;
    bool is_single_user;
    enum mfs_consistency consistency;
    enum mfs_compress compress;
    char *paths_ahead; /* see struct mfs_client_opts; taken, from malloc */
    const char *covered; /* see struct mfs_client_opts */
    const char *cache_dir; /* NULL: none; outlives the files */
    struct mfs_behind_count *behind; /* outlives the files */
    struct bytes profile; /* to be followed, may be empty; borrowed for files_start */
    bool wants_used;      /* files_used will be asked */
    bool is_patient;      /* a lost server is waited for, until files_resume brings another one */
    int over_fd;          /* closed when the thread has ended, -1: none; taken */
};

MUST int files_start(const struct files_opts *o, struct files **out, struct err *e);

/* Serves one mounted export from now on; fuse_fd is taken. */
MUST int files_attach(struct files *f, size_t export_number, int fuse_fd);

/* Streams to another server in place of the one that was lost, or is still there; taken. */
MUST int files_resume(struct files *f, int meta_fd, int bulk_fd);

/* No other server comes: it is waited for no longer. */
void files_give_up(struct files *f);

/* Lets jobs into the view from now on (keep.h); o's loop, client and mark are filled in, its
 * descriptors taken. */
MUST int files_keep(struct files *f, const struct keep_opts *o);
/* No further job is let in. */
void files_keep_finish(struct files *f);

/* No more exports come: when the last one is unmounted, the streams are closed and the thread
 * ends. */
void files_finish(struct files *f);

/* Waits for the thread's end. Returns 0, or -errno with words: why the client ended, or what could not be
 * written though the job was told that it was. */
MUST int files_result(struct files *f, struct err *e);

/* What was asked of the head. Waits for the thread's end first. */
void files_stats(struct files *f, struct mfs_stats *out);
/* Why nothing is kept on disk, empty: nobody wanted it; NULL: it is. Waits for the thread's end first. */
const char *files_cache_off(struct files *f);
/* What was asked for, as a profile; empty: nobody wanted it. Lives as long as f. Waits for the thread's end first. */
struct bytes files_used(struct files *f);
/* In words, one line each; cache_off as above. Returns the length. */
size_t files_stats_text(const struct mfs_stats *s, enum mfs_compress compress,
                        const char *cache_off, char *text, size_t size);

/* Waits for the thread (after files_finish and the end of the mounts, or the end of the
 * streams) and frees. Returns 0, or the -errno with which the client was lost, with words. */
MUST int files_join(struct files *f, struct err *e);

#endif
