/* SPDX-License-Identifier: GPL-2.0-or-later */
/* job.h: the messages between mrc and the supervisor of its job.
 * Must not know: how they travel. Source: mrc/job.def. */
#ifndef MRC_JOB_H
#define MRC_JOB_H

#include "common/base/wire.h"

enum {
    JOB_MSG_MAX = 4 * 1024 * 1024,
    JOB_ARGS_MAX = 65536,
    JOB_KEEP_ID_BYTES = 32, /* random */
};

enum job_fd {
    JOB_FD_CLOSED, /* closed on the head, so closed there */
    JOB_FD_STREAM, /* a pipe, or for standard input a file that asks the head when it is read */
    JOB_FD_TTY,    /* the pseudo-terminal */
    JOB_FD_NULL,   /* /dev/null */
};

enum job_stage {
    JOB_STAGE_SPEC,  /* the request made no sense */
    JOB_STAGE_FILES, /* the head's files could not be reached */
    JOB_STAGE_VIEW,  /* the view could not be built */
    JOB_STAGE_CWD,   /* the working directory is not there */
    JOB_STAGE_EXEC,  /* the command could not be executed */
    JOB_STAGE_END,   /* the job ended, but what it wrote could not all be brought home */
};

enum job_limit {
#define LIMIT(number, name) JOB_LIMIT_##name = number,
#include "mrc/limits.def"
#undef LIMIT
};

enum job_flag {
    JOB_NO_PID_NS = 1,       /* no pid namespace even if it works */
    JOB_TARGET_RESOLVER = 2, /* root view: the target's resolv.conf */
    JOB_DEMAND_STDIN = 4,    /* standard input is read only when the job reads it */
    JOB_LOOSE = 32, /* names and attributes are believed until the head reports a change */
    JOB_LEASE = 64, /* the same, until others ask for it back, and wait */
    JOB_COMPRESS_NO = 128, /* messages about files are sent as they are */
    JOB_COMPRESS_YES = 256, /* … compressed whenever that is shorter; neither: where it pays */
    JOB_NO_CACHE = 512, /* contents are kept in memory only */
    JOB_FORWARD_AGENT = 16, /* the job may use the forwarded ssh agent that we were given */
    JOB_KEEP = 1024, /* no job: build the view keep_id, and let jobs into it until the channel's end */
    JOB_NEST = 4096, /* the job may start others by its head (docs/nesting.md) */
    JOB_AS_LOGIN = 2048, /* environment, limits and directory are those of a login there; without
                            trees the job is in no namespace */
    JOB_HELD = 16384, /* the head's file server may be lost and another one come (docs/detach.md) */
    JOB_PROFILE = 8192,  /* what the job asked for is to be told at its end */
    JOB_HEAD_PRIVILEGED =
        8, /* the file server acts as any user: permissions are checked by the kernel here */
};

#define F(kind, field) wire_##kind field;
#define JOBMSG(id, name, fields)                                                               \
    struct job_##name {                                                                        \
        fields                                                                                 \
    };
#include "mrc/job.def"
#undef JOBMSG
#undef F

enum job_msg_id {
#define JOBMSG(id, name, fields) JOB_MSG_##name = id,
#include "mrc/job.def"
#undef JOBMSG
};

struct job_msg {
    uint8_t id;
    union {
#define JOBMSG(id, name, fields) struct job_##name name;
#include "mrc/job.def"
#undef JOBMSG
    };
};

/* Decodes the first message in a queue of bytes. *used_out: bytes it took (0 = not whole yet).
 * Byte fields point into the input. An unknown id gives m->id = 0. Returns 0, -EPROTO when
 * malformed or too long. */
MUST int job_msg_get(struct bytes queue, struct job_msg *m, size_t *used_out);
/* Writes one message; w->is_full tells that it does not fit. */
void job_msg_put(struct wr *w, const struct job_msg *m);

/* Points list[0..] to the NUL-terminated texts in v, list[n] = NULL. Returns n, -EPROTO when
 * the last has no NUL, -E2BIG over max. */
MUST int job_texts(struct bytes v, char **list, size_t max);

#endif
