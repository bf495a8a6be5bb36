/* SPDX-License-Identifier: GPL-2.0-or-later */
/* guests.h: the guests of this node in a file, RUN/guests, that the daemon's children share
 * under a lock: so that two that come at the same time find the room that there is for one.
 * Must not know: why one is taken. */
#ifndef MOSIX_CORE_MOSIXD_GUESTS_H
#define MOSIX_CORE_MOSIXD_GUESTS_H

#include "common/base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    MX_GUESTS_MAX = 256,        /* with those that are leaving */
    MX_GUEST_NAME_MAX = 16,     /* of its socket in RUN/g */
    MX_GUEST_COMING_MS = 10000, /* until its memory shows; and 20 ms for each MiB */
    MX_GUEST_LEAVING_MS = 30000 /* one that was asked to leave and has not counts again */
};

struct mx_guest_entry {
    char name[MX_GUEST_NAME_MAX + 1];
    bool is_partner;
    uint16_t rank, home; /* see plan/admit.h; the home's number, 0: not known */
    int32_t pid;
    uint32_t need_mb, home_pid;
    char command[32], home_name[64];
    uint64_t started;       /* when the process was, so that its number is its alone */
    int64_t at_ms, left_ms; /* came; was asked to leave, 0: was not */
};

struct mx_guests {
    int fd; /* the lock, while it is open */
    unsigned count;
    struct mx_guest_entry list[MX_GUESTS_MAX]; /* in the order in which they came */
};

/* Locks it, reads it, and forgets those that are gone. Returns 0; -EAGAIN when somebody else
 * has the lock and may_wait is false; or -errno; with words. */
MUST int mx_guests_open(struct mx_guests *g, const char *run_dir, bool may_wait, struct err *e);
/* One more, whose process is pid. -ENOSPC. */
MUST int mx_guests_add(struct mx_guests *g, const struct mx_guest_entry *guest, pid_t pid);
/* Writes it. */
MUST int mx_guests_save(struct mx_guests *g, struct err *e);
/* Lets others in. Of one that is not open: nothing. */
void mx_guests_close(struct mx_guests *g);

bool mx_guest_is_coming(const struct mx_guest_entry *guest, int64_t now_ms);
bool mx_guest_is_leaving(const struct mx_guest_entry *guest, int64_t now_ms);
/* Asks it to go away, which it has its home do; why: for people. Returns 0 or -errno. */
MUST int mx_guest_send_away(struct mx_guest_entry *guest, const char *run_dir, const char *why);

#endif
