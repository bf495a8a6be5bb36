/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ahead.h: what a sequential read will bring is sent before it is asked for.
 * Must not know: how calls are made. docs/migration.md, "Reading ahead". */
#ifndef MOSIX_CORE_DEPUTY_AHEAD_H
#define MOSIX_CORE_DEPUTY_AHEAD_H

#include "mosix-core/abi/ahead.h"
#include "mosix-core/abi/marshal.h"
#include "mosix-core/deputy/fds.h"
#include "mosix-core/deputy/link.h"

#include <sys/types.h>

enum {
    MX_AHEAD_PROCESSES = 16, /* of a job whose files are read ahead; the others' are not */
};

/* All zero: none. */
struct mx_sender {
    struct mx_reader {
        uint32_t who;
        bool is_used;
        struct mx_fds own;    /* nobody else has them */
        struct mx_fds others; /* somebody else may */
        struct mx_runs runs;  /* reads, each in full */
        bool has_sent;        /* some of what it has may lie in a message */
        unsigned in_vain;     /* streams in a row of which nothing was taken */
        uint64_t not_until;   /* no other begins; by clock_mono_ms */
        struct mx_sending {
            uint32_t number; /* 0: none */
            int fd;          /* in the job */
            int file;        /* the same file description, */
            bool has_lease; /* with a lease, until it is given up; then AHEAD_LEFT is missing */
            int64_t start;  /* the offset when it began */
            uint64_t sent, taken, window_bytes;
            uint64_t promised_ms; /* the lease is kept until then, if need be */
            uint64_t heard_ms;    /* of the host */
            bool is_whole, is_revoked;
        } streams[MX_AHEAD_STREAMS];
    } readers[MX_AHEAD_PROCESSES];
    uint32_t last_number;
};
void mx_sender_fini(struct mx_sender *s);

/* who, process pid, is about to make a call; line NULL: one that is in no table, or a fork. */
void mx_sender_before(struct mx_sender *s, uint32_t who, const struct mx_call_line *line,
                      const uint64_t args[MX_CALL_ARGS]);
/* Would that call end with EAGAIN because of a lease of ours? Then the files are given up, and
 * it is to be made again. Returns 1, 0, -errno. */
MUST int mx_sender_hinders(struct mx_sender *s, const struct mx_call_line *line,
                           const uint64_t args[MX_CALL_ARGS], struct mx_link *l);
/* It has the result, which has not yet been sent. */
MUST int mx_sender_after(struct mx_sender *s, uint32_t who, pid_t pid, struct mx_link *l,
                         const struct mx_call_line *line, const uint64_t args[MX_CALL_ARGS],
                         int64_t result);
/* Somebody is about to get descriptors in a way that isn't looked at. */
void mx_sender_forget(struct mx_sender *s);
/* Its body stands still from now on. */
void mx_sender_pause(struct mx_sender *s, uint32_t who);
/* It is gone. */
void mx_sender_end(struct mx_sender *s, uint32_t who);

/* A frame of the guest's: AHEAD_TAKEN or AHEAD_LEFT. Returns 0, -EPROTO, -errno. */
MUST int mx_sender_frame(struct mx_sender *s, struct mx_talk_frame *f, struct mx_link *l);

/* Has a SIGCHLD been a lease's, or has a time passed? */
MUST int mx_sender_check(struct mx_sender *s, struct mx_link *l);
/* Milliseconds until mx_sender_check is to be called; -1: it is not. */
int mx_sender_wait_ms(const struct mx_sender *s);
/* Sends what may be sent now. */
MUST int mx_sender_push(struct mx_sender *s, struct mx_link *l);

#endif
