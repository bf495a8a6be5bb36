/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kept.h: which answers a process that is away keeps, and what ends that; and such answers.
 * Must not know: processes, sockets, why nobody else can change them. Source: kept.def. */
#ifndef MOSIX_CORE_ABI_KEPT_H
#define MOSIX_CORE_ABI_KEPT_H

#include "mosix-core/abi/marshal.h"

enum {
#define KEEP(name, number, until) MX_KEEP_##name = 1 << number,
#define KEPT(name, group, whose)
#define ENDS(name, group)
#include "mosix-core/abi/kept.def"
#undef KEEP
#undef KEPT
#undef ENDS
};

/* No answer: a dump of the process would be made at home, so faults of its are. */
enum { MX_KEEP_DUMPS = 128 };

enum {
    MX_KEPT_ASK_MAX = 2 + 8 * MX_CALL_ARGS, /* bytes of a call that sends nothing */
    MX_KEPT_ANSWER_MAX = 280,               /* bytes: 64 groups */
    MX_KEPT_SLOTS = 16,                     /* a new answer takes the oldest one's place */
};

/* Of one thread: what was asked, by its bytes, and what was answered. All zero: none. */
struct mx_answers {
    uint8_t may; /* groups that home lets be kept */
    int64_t of;  /* the thread */
    unsigned next;
    struct {
        uint8_t group, ask_bytes; /* 0: none here */
        uint16_t answer_bytes;
        uint8_t ask[MX_KEPT_ASK_MAX], answer[MX_KEPT_ANSWER_MAX];
    } slots[MX_KEPT_SLOTS];
};

/* The groups of answers that a call by this name may change; 0: none. */
unsigned mx_kept_ends(const char *name);
/* Those are forgotten. */
void mx_kept_forget(struct mx_answers *k, unsigned groups);

/* Is an answer kept to this call of thread `of`? Then it is given (mx_call_give). */
bool mx_kept_give(struct mx_answers *k, int64_t of, const struct mx_call_line *line,
                  const uint64_t args[MX_CALL_ARGS], const struct mx_call_memory *m,
                  int64_t *result);
/* Its answer has come: kept, if it may be and is no error. answer is not moved. */
void mx_kept_note(struct mx_answers *k, int64_t of, const struct mx_call_line *line,
                  const uint64_t args[MX_CALL_ARGS], const struct rd *answer);

#endif
