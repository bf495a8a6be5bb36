/* SPDX-License-Identifier: GPL-2.0-or-later */
/* behind.h: writes of a body that are answered before home has made them, as it has promised
 * that they will succeed.
 * Must not know: what a file is. docs/migration.md, "Writing without waiting". */
#ifndef MOSIX_CORE_GUEST_BEHIND_H
#define MOSIX_CORE_GUEST_BEHIND_H

#include "mosix-core/abi/behind.h"
#include "mosix-core/abi/marshal.h"
#include "mosix-core/abi/talk.h"

struct guest;
struct mx_body;

/* Of one body. All zero: nothing is promised. */
struct mx_behind {
    int fds[MX_BEHIND_FDS]; /* of which it is */
    unsigned count;
    uint64_t sent, done; /* bytes; done: they are written */
    uint64_t limit;      /* of what is sent and not done */
    uint64_t clocked_at; /* when so much is done, it is known how long that takes, */
    uint64_t clocked_ms; /* by when it was sent */
    bool was_full;       /* there was no room for a write since then */
    uint64_t waiting;    /* the body's write waits for room for so much; 0: none does */
};

/* b is about to make this call: what it ends is ended. line: NULL: of no table. */
void mx_behind_look(struct mx_body *b, const struct mx_call_line *line,
                    const uint64_t args[MX_CALL_ARGS]);
/* Ends all. *is_again: a write has waited for room, which is to be made at home. */
void mx_behind_leave(struct mx_body *b, bool *is_again);

/* A call that is about to go home. Returns 1 when it is a write that home will make: its
 * result; 2 when it waits for room: then it is to be tried again; 0: it is to be sent and
 * waited for; -errno. */
MUST int mx_behind_write(struct guest *g, struct mx_body *b, const struct mx_call_line *line,
                         const uint64_t args[MX_CALL_ARGS], const struct mx_call_memory *m,
                         int64_t *result);

/* BEHIND_OPEN or BEHIND_DONE. *is_again: the write that waits is to be tried again. Returns 0
 * or -EPROTO. */
MUST int mx_behind_frame(struct guest *g, struct mx_body *b, struct mx_talk_frame *f,
                         bool *is_again);

#endif
