/* SPDX-License-Identifier: GPL-2.0-or-later */
/* decode.h: mosixd's answers (docs/control.md) to tables.
 * Must not know: sockets. Takes any bytes: what makes no sense is refused or left out, texts
 * become printable ASCII. */
#ifndef GOSSIP_MONITOR_DECODE_H
#define GOSSIP_MONITOR_DECODE_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "gossip/monitor/core/table.h"

enum {
    MON_ANSWER_MAX =
        8 << 20, /* bytes of an answer: what docs/control.md promises of "status" */
    MON_FIGURE_MAX = 999999999999 /* no figure is greater: what is, counts as not known */
};

/* Figures of this node's gossip: from "local". MON_UNKNOWN: not told. */
enum mon_counter {
#define COUNTER(name, metric, label, help) MON_C_##name,
#include "gossip/monitor/core/counters.def"
#undef COUNTER
    MON_COUNTERS
};

struct mon_local {
    bool is_known;
    int64_t counters[MON_COUNTERS];
    char config_error[MON_WORDS_MAX + 1]; /* empty: none */
};

/* Each returns 0; -EREMOTEIO with mosixd's words when it is "error WORDS"; -EPROTO it is no
 * such answer; -ENOSPC more nodes or clusters than a table has; -ENOMEM. Only then the table is
 * the caller's, who ends it by the function below. */
MUST int mon_decode_status(const char *answer, size_t len_bytes, struct mon_table *out,
                           struct err *e);
MUST int mon_decode_processes(const char *answer, size_t len_bytes, struct mon_processes *out,
                              struct err *e);
MUST int mon_decode_local(const char *answer, size_t len_bytes, struct mon_local *out,
                          struct err *e);

/* The same answer a little at a time, so that whoever has other things to do is not kept from
 * them by thousands of nodes. Zero is one that has not begun. */
struct mon_reading {
    struct mon_table *table;
    size_t room;           /* nodes */
    const char *at, *last; /* what is left of the list of nodes */
};

/* Borrows answer until the end. Errors are those of mon_decode_status(); then it has ended. */
MUST int mon_reading_begin(struct mon_reading *r, const char *answer, size_t len_bytes,
                           struct err *e);
/* Takes at most so many nodes. Returns 1: there are more; 0: that was all, and out is the
 * caller's. After 0 and errors it has ended. */
MUST int mon_reading_go(struct mon_reading *r, size_t nodes, struct mon_table *out,
                        struct err *e);
void mon_reading_drop(struct mon_reading *r);

void mon_table_fini(struct mon_table *t);
void mon_processes_fini(struct mon_processes *p);

#endif
