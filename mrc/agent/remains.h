/* SPDX-License-Identifier: GPL-2.0-or-later */
/* remains.h: what is on this computer of jobs that are over: processes, mounts, records.
 * Must not know: who asks. */
#ifndef MRC_AGENT_REMAINS_H
#define MRC_AGENT_REMAINS_H

#include "common/base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { REMAINS_PROCS_MAX = 8192 }; /* processes of one user that are looked at */

/* What an agent that has lost its first stream says of itself, by its name. Whoever started it has gone then, and a
 * session that goes on looks like one that is over otherwise. */
enum remains_phase { REMAINS_PLAIN, REMAINS_WAITS, REMAINS_RESUMED, REMAINS_HOLDS, REMAINS_PHASES };

struct remains_proc {
    pid_t pid, parent;
    bool is_agent;   /* runs our program */
    bool sees_view;  /* in a mount namespace of its own, with files of a head mounted */
    bool is_adopted; /* its parent is whoever adopts orphans here */
    enum remains_phase phase;
};

struct remains {
    size_t live;  /* agents of jobs and kept connections: with somebody who started them, or resumed */
    size_t away;  /* agents that wait for their head, whose connection was lost */
    size_t held;  /* holders of detached jobs, each with its job */
    size_t alone; /* other agents whose starter has gone: their connection has ended */
    size_t stray; /* other processes that see a head's files and descend from no agent */
    pid_t first;  /* of those alone or stray; 0 none */
    pid_t first_away;
};

/* Judges a list: an agent counts once, with all that it has started. own: the agent that asks, is left out. */
void remains_judge(const struct remains_proc *list, size_t count, pid_t own, struct remains *out);

/* The calling process, an agent, is in that phase from now on. By its main thread. */
void remains_say(enum remains_phase phase);

/* Reads /proc for this user's processes. Returns their number, at most max, or -errno. */
MUST int remains_scan(struct remains_proc *list, size_t max);

/* The beginnings of the numbers of detached jobs that are held here, with spaces between, for text; "..." at the end: there are more.
 * Returns how many or -errno. */
MUST int remains_held(char *text, size_t size_bytes);

/* Mounts of a head's files outside of the views' own namespaces: their number and the first one's place. Returns 0
 * or -errno. */
MUST int remains_mounts(size_t *count_out, char *first, size_t size_bytes);

/* What is in the cache directory: records of views (held: in use), and what isn't ours. Returns 0 or -errno. */
struct remains_files {
    size_t held, left, foreign;
    size_t scratches; /* of those held: layers of --scratch */
    size_t elsewhere; /* other places where agents were put: an agent is kept there too */
    char first[300];  /* of those left or foreign */
    char place[100];  /* the first one elsewhere */
};
MUST int remains_files(const char *cache_dir, struct remains_files *out);

#endif
