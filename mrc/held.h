/* SPDX-License-Identifier: GPL-2.0-or-later */
/* held.h: what the head says to the target about jobs that live without it (docs/detach.md): the requests of the channels "hold",
 * which starts one, and "held", a stream to the holder of one.
 * Must not know: sockets, jobs. */
#ifndef MRC_HELD_H
#define MRC_HELD_H

#include "common/base/wire.h"

enum {
    HELD_VERSION = 1,
    HELD_ID_BYTES = 8,
    HELD_SECRET_BYTES = 32,
    HELD_NAME_BYTES = 2 * HELD_ID_BYTES + 1,
    HELD_SHORT_BYTES = 8, /* of a number, in lists */
    HELD_HEAD_BYTES = 4 + 1 + HELD_ID_BYTES + HELD_SECRET_BYTES + 8,
    HELD_START_MAX = 128,
    HELD_KEEP_MAX_MIB = 4096,
    HELD_KEEP_MIB = 64, /* of output, unless the user says another number */
};

#define HELD_SOCKET "mrc-held-" /* before the job's number: the abstract socket of its holder */
#define HELD_START_SERVICE "hold"
#define HELD_STREAM_SERVICE "held"

/* What a stream to the holder is for; the numbers are on the wire. */
enum held_role {
    HELD_JOB = 1, /* messages of mrc/job.def; the first stream of a visit */
    HELD_STDIN,
    HELD_STDOUT,
    HELD_STDERR,
    HELD_TTY,
    HELD_META, /* to the file server; the other one follows */
    HELD_BULK,
    HELD_STATE, /* of its agent's: a byte each time that the head of this visit can't be reached (1), or can again (0) */
    HELD_LEAVE, /* whoever is attached shall leave: answered by one byte, 1 if there was somebody */
    HELD_END,   /* the job shall end: answered by one byte, 1 if it ran; the stream ends when all of it is gone */
    HELD_ROLES
};

/* "taken" of mrc/job.def: which stream; these are the roles, or: */
enum { HELD_TAKEN_END = 255 }; /* the job's last words */

/* The request of "held", and the first bytes of the stream that it becomes. */
struct held_head {
    uint8_t role; /* enum held_role */
    uint8_t id[HELD_ID_BYTES], secret[HELD_SECRET_BYTES];
    uint64_t visit; /* random: streams of the same number belong together */
};

void held_head_put(uint8_t out[HELD_HEAD_BYTES], const struct held_head *h);
/* Returns 0 or -EPROTO. */
MUST int held_head_get(struct bytes in, struct held_head *h);

/* The request of "hold"; the job's specification (mrc/job.def) is the channel's first message. */
struct held_start {
    uint8_t id[HELD_ID_BYTES], secret[HELD_SECRET_BYTES];
    uint32_t wait_s;   /* without anybody: then it is ended */
    uint32_t freeze_s; /* and stopped before; 0: it isn't */
    uint32_t keep_mib; /* of output */
    uint8_t has_files; /* it waits for the head's file server */
};

/* Returns how many bytes, at most HELD_START_MAX. */
size_t held_start_put(uint8_t out[HELD_START_MAX], const struct held_start *s);
MUST int held_start_get(struct bytes in, struct held_start *s);

/* What it means that a stream was refused or has ended. */
const char *held_why(int code);

/* A job's number as users read it. */
void held_name(const uint8_t id[HELD_ID_BYTES], char out[HELD_NAME_BYTES]);

#endif
