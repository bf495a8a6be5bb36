/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ahead.h: reads of a body that are answered from what home has sent ahead.
 * Must not know: what a file is. docs/migration.md, "Reading ahead". */
#ifndef MOSIX_CORE_GUEST_AHEAD_H
#define MOSIX_CORE_GUEST_AHEAD_H

#include "common/sys/buf.h"
#include "mosix-core/abi/ahead.h"
#include "mosix-core/abi/marshal.h"
#include "mosix-core/abi/talk.h"

struct guest;
struct mx_body;

/* Of one body. All zero: none. */
struct mx_ahead {
    struct mx_ahead_stream {
        uint32_t number; /* home's; 0: none here */
        int fd;
        bool is_whole;     /* the file's end has come */
        struct buf bytes;  /* that have come and no read has taken */
        uint64_t taken;    /* by reads: so far is the file's offset */
        uint64_t reported; /* of taken */
        uint64_t wanted;   /* until there, of which home was told */
        uint64_t good_ms;  /* when home was asked for what it has answered last, */
        uint64_t asked_ms; /* and when it was asked last */
    } streams[MX_AHEAD_STREAMS];
    struct mx_ahead_stream *waiting; /* the body's read waits for this, */
    uint64_t waiting_bytes;          /* to have so much */
    uint64_t called_ms;              /* when its call was looked at */
};
void mx_ahead_fini(struct mx_ahead *a);

/* b is about to make this call: what it ends is ended. line: NULL: of no table. */
MUST int mx_ahead_look(struct guest *g, struct mx_body *b, const struct mx_call_line *line,
                       const uint64_t args[MX_CALL_ARGS]);

/* This descriptor is read ahead. */
bool mx_ahead_has(const struct mx_ahead *a, int fd);

/* A call that is about to go home. Returns 1 when it is a read that has been made here: its
 * result, and what it brings is in m; 2 when it waits for what is to come: then it is to be
 * tried again; 0; -errno. */
MUST int mx_ahead_read(struct guest *g, struct mx_body *b, const struct mx_call_line *line,
                       const uint64_t args[MX_CALL_ARGS], const struct mx_call_memory *m,
                       int64_t *result);

/* Ends all streams. *is_again: a read has waited for one, which is to be made at home. */
MUST int mx_ahead_leave(struct guest *g, struct mx_body *b, bool *is_again);

/* A frame of home's of one of the kinds AHEAD_.... *is_again: the read that waits is to be
 * tried again. */
MUST int mx_ahead_frame(struct guest *g, struct mx_body *b, struct mx_talk_frame *f,
                        bool *is_again);

#endif
