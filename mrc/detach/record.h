/* SPDX-License-Identifier: GPL-2.0-or-later */
/* record.h: what the head keeps of a detached job: all that it needs to reach it again, its secret, and how its files are served.
 * Must not know: connections, sessions.
 * A file of mode 0600 per job, locked by who serves the job's files. */
#ifndef MRC_DETACH_RECORD_H
#define MRC_DETACH_RECORD_H

#include "mrc/held.h"
#include "mrc/options.h"
#include "mrc/spec.h"
#include "mrc/trees.h"

enum { RECORD_HASH_BYTES = 32 };

struct detach_record {
    char name[HELD_NAME_BYTES];
    uint8_t id[HELD_ID_BYTES], secret[HELD_SECRET_BYTES];
    uint8_t kinds[3], has_tty, has_files; /* of struct mrc_stdio */
    uint8_t trees[RECORD_HASH_BYTES];     /* what is served */
    uint64_t started_s;                   /* since 1970 */
    char *cwd, *host; /* host: for people, with the user if one was named */
    char **argv;      /* of the mrc that started it, NULL-terminated */
    int argc;
    int fd; /* of the file */
    uint8_t *space; /* what the texts are in */
};

/* Makes a new one, number and secret included, and its file, which is locked. Returns 0 or -errno with words. */
MUST int record_new(const struct mrc_options *o, int argc, char **argv, const struct mrc_trees *t,
                    const struct mrc_stdio *s, struct detach_record *r, struct err *e);

/* Finds the one that a user means: [host:]job, the beginning of its number is enough; or host, which has one. Returns 0 or
 * -errno with words. */
MUST int record_find(const char *what, struct detach_record *r, struct err *e);

/* Calls fn for each that can be read. Returns 0 or -errno. */
MUST int record_each(void (*fn)(void *ctx, const struct detach_record *r), void *ctx);

/* Does somebody serve its files? */
bool record_is_served(const struct detach_record *r);
/* Serves them from now on: 0, or -EBUSY somebody does, or -errno. What is forked then holds the lock, too. */
MUST int record_lock(const struct detach_record *r);
/* The process of who calls it is the one that serves them, until it ends. Returns 0 or -errno. */
MUST int record_say_server(const struct detach_record *r);
/* Which process that is, as a descriptor for it too (pidfd_out may be NULL): its number; 0 nobody, or nobody who can be seen. */
pid_t record_server(const struct detach_record *r, int *pidfd_out);
/* Is it of a job on this host, by its name as users give it, with or without a user before it? */
bool record_is_host(const struct detach_record *r, const char *host);

/* From its options and directory, which becomes ours: o as the mrc that started it had it, and the trees, which must be the same.
 * o stays valid as long as r. Returns 0 or -errno with words. */
MUST int record_restore(const struct detach_record *r, struct mrc_options *o, struct mrc_trees *t, struct err *e);

/* The file beside it in which the file server keeps what it has told (docs/detach.md), to be read and appended to. Returns it or
 * -errno. */
MUST int record_journal(const struct detach_record *r);

/* The job is over: nothing of it is kept. */
void record_remove(const struct detach_record *r);
void record_fini(struct detach_record *r);

#endif
