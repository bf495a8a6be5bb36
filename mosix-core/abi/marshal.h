/* SPDX-License-Identifier: GPL-2.0-or-later */
/* marshal.h: one system call as bytes: asked where the body runs, taken and answered at home,
 * given back to the body. Must not know: which call does what (calls.def says what its
 * arguments are), sockets, processes. Asked: u16 id; for each argument u64: its value, or of a
 * pointer enum mx_pointer; behind that of a pointer that is there and travels: its bytes (u32
 * length first). Answered: i64 result; if it is no error, the bytes of each pointer that came
 * out (of an interrupted one only those that went in too). Either side may be hostile to the
 * other: lengths are compared with what was asked for.
 */
#ifndef MOSIX_CORE_ABI_MARSHAL_H
#define MOSIX_CORE_ABI_MARSHAL_H

#include "common/base/wire.h"
#include "mosix-core/abi/calls.h"
#include "mosix-core/abi/message.h"
#include "mosix-core/abi/texts.h"

enum mx_pointer { MX_POINTER_NULL, MX_POINTER_BAD, MX_POINTER_THERE };

enum {
    /* An address that the kernel finds wrong, for a pointer that was wrong where the body is.
     */
    MX_BAD_ADDRESS = 1,
    MX_CALL_ARENA_BYTES = MX_CALL_BYTES_MAX + (16 << 10), /* with alignment and paths' NULs */
};

/* The body's memory. Each returns 0 or -EFAULT; nothing is known of what was moved before. */
struct mx_call_memory {
    void *ctx;
    int (*read)(void *ctx, uint64_t address, void *ptr, size_t len_bytes);
    int (*write)(void *ctx, uint64_t address, const void *ptr, size_t len_bytes);
};

/* What an answer may bring, as it was when the call was asked: a body that changes its lengths
 * meanwhile changes nothing. */
struct mx_call_wait {
    const struct mx_call_line *line;
    struct {
        uint64_t address; /* 0: nothing comes */
        uint32_t room_bytes;
    } outs[MX_CALL_ARGS];
    struct mx_message_wait message;
};

/* Results of calls that a signal took out of them. The kernel's own, which no program sees
 * (linux/errno.h has them for the kernel only), are answers too: the kernel under the body
 * makes of them what the body's handlers ask for. */
enum {
    MX_RESTART = -512,          /* again if the handler says SA_RESTART, else EINTR */
    MX_RESTART_ALWAYS = -513,   /* the handler, then the call again */
    MX_RESTART_UNCAUGHT = -514, /* EINTR if there is a handler */
    MX_RESTART_BLOCK = -516,    /* the same, with what is left of its time */
};
static inline bool mx_call_is_interrupted(int64_t result)
{
    return result == -4 /* EINTR */ || (result <= MX_RESTART && result >= MX_RESTART_BLOCK);
}

/* Encodes a call whose line is where HOME or BOTH. Returns 0; -E2BIG when it carries more than
 * MX_CALL_BYTES_MAX; -ENOSPC when w is too small. Pointers that are wrong are no failure: the
 * kernel at home says what becomes of the call. */
MUST int mx_call_ask(const struct mx_call_line *line, const uint64_t args[MX_CALL_ARGS],
                     const struct mx_call_memory *m, struct wr *w, struct mx_call_wait *wait);

/* A call that is to be made: pointers lead into an arena of the deputy's. */
struct mx_call_frame {
    const struct mx_call_line *line;
    uint64_t base; /* the arena's address */
    uint64_t args[MX_CALL_ARGS];
    struct {
        uint32_t at, len_bytes; /* in the arena */
        bool is_there;
    } spans[MX_CALL_ARGS];
};

/* Decodes what mx_call_ask made. arena: MX_CALL_ARENA_BYTES, which the caller makes the call
 * with; base: its address there. Returns 0; -EPROTO for what it can't have made. */
MUST int mx_call_take(struct rd *r, uint8_t *arena, uint64_t base, struct mx_call_frame *f);

/* Encodes the answer, from the arena as the call has left it. Returns 0; -ENOSPC when w is too
 * small. */
MUST int mx_call_answer(const struct mx_call_frame *f, const uint8_t *arena, int64_t result,
                        struct wr *w);

/* Writes the answer into the body's memory. Returns 0 and what the call returns in *result,
 * -EFAULT there when a pointer was wrong; -EPROTO for what was not asked for: then nothing was
 * written. */
MUST int mx_call_give(const struct mx_call_wait *wait, struct rd *r,
                      const struct mx_call_memory *m, int64_t *result);

#endif
