/* SPDX-License-Identifier: GPL-2.0-or-later */
/* activity.h: what the user's jobs and kept views do, for mrc top and for the line that tells what a job waits for. Each
 * process has a small file in /tmp/mrc-UID/active, which it rewrites while something happens and removes at its end;
 * it holds the file's lock (fcntl), so that who was killed is seen to be.
 * Must not know: who looks. Source: mrc/activity.def. */
#ifndef MRC_ACTIVITY_H
#define MRC_ACTIVITY_H

#include "common/base/attr.h"
#include "common/base/wire.h"
#include "common/sys/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ACTIVITY_VERSION = 2, ACTIVITY_BYTES = 4096, ACTIVITIES_MAX = 1024 };

enum activity_kind { ACTIVITY_JOB, ACTIVITY_VIEW };
enum activity_state { ACTIVITY_CONNECTING, ACTIVITY_RUNNING, ACTIVITY_ENDING, ACTIVITY_KILLED /* of a list only */ };

struct activity {
#define FIELD(kind, name) wire_##kind name;
#define TEXT(name, size) char name[size];
#include "mrc/activity.def"
#undef FIELD
#undef TEXT
};

/* The file's contents. Returns their length. */
size_t activity_put(const struct activity *a, uint64_t turn, uint8_t space[ACTIVITY_BYTES]);
/* Returns 0; -EAGAIN it was being written; -EPROTO it makes no sense, or is of another version. Control characters of
 * texts become "?". */
MUST int activity_get(struct bytes contents, struct activity *a);

/* ---- one's own ---- */

struct activity_file { /* zeroed: there is none */
    bool is_open; /* else nothing is told */
    int dir_fd, fd;
    char name[64];
    struct activity now;
    uint64_t turn;
    struct loop_timer timer;
    struct loop *loop;
    void (*fill)(void *ctx, struct activity *now); /* puts the counters into now */
    void *ctx;
};

/* Makes the file; now has been filled in. Whatever fails, all goes on. */
void activity_open(struct activity_file *f);
/* Something may have happened: what is told is at most ACTIVITY_MS behind. Cheap when nothing has. */
void activity_touch(struct activity_file *f);
void activity_write(struct activity_file *f);
void activity_close(struct activity_file *f);

/* ---- others' ---- */

/* All of this user's but our own, those that were killed as well, whose files are removed after a while. The list is the caller's to
 * free. Returns their number, or -errno. */
MUST int activity_list(struct activity **out);
/* The view with this name, and how many other jobs are in it. Returns 0 or -ENOENT. */
MUST int activity_of_view(const char *view, struct activity *out, size_t *jobs_out);
/* "12.3 MB" */
void activity_size_text(uint64_t bytes, char text[16]);

#endif
