/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sandbox.h: what a body can see of the host: nothing.
 * Must not know: images, calls.
 * Privilege: of root it drops all but an identity that owns nothing; an ordinary user's daemon
 * needs user namespaces. */
#ifndef MOSIX_CORE_SANDBOX_SANDBOX_H
#define MOSIX_CORE_SANDBOX_SANDBOX_H

#include "common/base/err.h"
#include "mosix-core/image/clocks.h"

/* What a host allows each guest; 0: what there is. */
struct mx_guest_limits {
    uint64_t memory_bytes; /* of each of its processes */
    uint32_t processes;
};

enum { MX_GUEST_UID = 65534 }; /* of bodies, when the daemon is root: owns no files */

/* How many processes of this computer its kernel has ended for want of memory; 0 when it does
 * not say. Source: /proc/vmstat, oom_kill. */
uint64_t mx_sandbox_memory_kills(void);

/* For a process that was just forked and has no threads: user, PID, network, IPC, UTS, mount
 * and cgroup namespaces of its own, with its next child as their first process, which calls
 * mx_sandbox_first. Returns 0 or -errno with words. */
MUST int mx_sandbox_enter(struct err *e);

/* Empties the view of files but for /proc of the new PID namespace, which only this process can
 * use, and a directory without anything for its children. After bodies the kernel ends it when
 * memory is short; who has started the namespaces is as before, and can tell what has happened.
 */
MUST int mx_sandbox_first(struct err *e);

/* Processes that are started from now on have clocks, CLOCK_MONOTONIC and CLOCK_BOOTTIME, that
 * are so far ahead of ours. */
MUST int mx_sandbox_shift_clocks(const struct mx_clocks *ahead, struct err *e);

/* In a child: an empty root, no capabilities, no new privileges. When this computer has too
 * little memory the kernel ends it, and what it makes, before anything else that runs here; who
 * has forked it is as before, and can tell what has happened. Source: proc(5), oom_score_adj.
 */
MUST int mx_sandbox_body(struct err *e);

#endif
