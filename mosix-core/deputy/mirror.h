/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirror.h: memory of a stub that is as the body's for one call: mappings where the body has
 * them, empty, whose pages come when the call touches them and are dropped when it has ended.
 * Must not know: how a stub makes a call.
 * The stub's kernel waits in the middle of the call for a page (userfaultfd). So nothing of
 * ours may wait for the stub, or read of its memory what has not come, while it is in such a
 * call. It could not go on by itself: when we die the stub must die in that wait, and not find
 * zeros where its memory was; a process that shares our descriptors sees to that
 * (mx_mirror_hold). Source: userfaultfd(2), ioctl_userfaultfd(2). */
#ifndef MOSIX_CORE_DEPUTY_MIRROR_H
#define MOSIX_CORE_DEPUTY_MIRROR_H

#include "common/base/err.h"
#include "mosix-core/abi/mirror.h"
#include "mosix-core/deputy/link.h"
#include "mosix-core/image/parts.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { MX_MIRROR_WANT_MS = 30000 }; /* a page that has not come within it is a wrong address */

/* Pages that are in the stub, or, without bytes, addresses that were found wrong. */
struct mx_mirror_part {
    uint64_t at;
    uint32_t pages;
    uint8_t *bytes; /* as they came; NULL */
};

struct mx_mirror {
    bool is_there; /* uffd is one */
    int uffd;
    bool is_clean; /* the stub has no memory but now, and what is ours */
    struct mx_mirror_call call;
    struct mx_window *wanted, *now; /* MX_MIRROR_WINDOWS_MAX each, or NULL */
    uint32_t wanted_count, now_count;
    struct mx_mirror_part *parts;
    uint32_t part_count, part_room, pages;
    uint64_t want_at, want_until_ms; /* asked for; 0: nothing is */
    uint32_t want_pages;
    uint64_t next_at; /* behind what was asked for last, */
    uint32_t ahead;   /* which were so many */
};

/* May this call be made so? number: of x86-64. Who sends it may be hostile. */
bool mx_mirror_may(uint32_t number, const uint64_t args[MX_CALL_ARGS]);

/* A process that keeps our descriptors until our tracees have been killed after us. *pid: of
 * the last one, which is looked at first; 0: none. */
MUST int mx_mirror_hold(pid_t *pid);
void mx_mirror_let_go(pid_t *pid);

/* Takes a call from a frame. Returns 0; -EPROTO; -ENOMEM. */
MUST int mx_mirror_take(struct mx_mirror *m, struct rd *r);
void mx_mirror_fini(struct mx_mirror *m); /* what it has in the stub is ordinary memory then */

/* A stub that stands still gets mappings as the last call that was taken says. ours: what has
 * to stay; scratch: 1024 bytes of ours to write to. Its mask of signals is to be set
 * afterwards. Returns 0; -ENOTSUP with words for a program's user: this call can't be made so;
 * or -errno of a stub that is gone. */
MUST int mx_mirror_ready(struct mx_mirror *m, struct mx_tracee *t, const struct mx_range *ours,
                         unsigned ours_count, uint64_t scratch, struct err *e);

/* Its parts: the userfaultfd; and the stub gives back what it has from before. */
MUST int mx_mirror_make(struct mx_mirror *m, struct mx_tracee *t, uint64_t scratch,
                        struct err *e);
MUST int mx_mirror_empty(struct mx_tracee *t, const struct mx_range *ours, unsigned count,
                         struct err *e);

/* What poll may wait for: uffd, or -1 while a page is awaited. */
int mx_mirror_watch(const struct mx_mirror *m);
/* Looks at faults. Returns 1: *address and *pages are to be asked for; 0: nothing is; -errno.
 */
MUST int mx_mirror_fault(struct mx_mirror *m, uint64_t now_ms, uint64_t *address,
                         uint32_t *pages);
/* What was asked for has come. Returns 0; -EPROTO when it was not; -ENOMEM. */
MUST int mx_mirror_pages(struct mx_mirror *m, struct rd *r);
/* It does not come: the address is wrong. */
void mx_mirror_late(struct mx_mirror *m, uint64_t now_ms);
/* All that is touched from now on is wrong, so that the call ends. Deals with what has
 * happened, without waiting. */
void mx_mirror_refuse(struct mx_mirror *m);

/* Sends what the call has changed. Returns what mx_link_send does, or -errno. */
MUST int mx_mirror_send(const struct mx_mirror *m, const struct mx_tracee *t, struct mx_link *l,
                        uint32_t who);
/* Drops all pages; t stands still. As mx_mirror_ready with the mask. */
MUST int mx_mirror_drop(struct mx_mirror *m, struct mx_tracee *t, struct err *e);

#endif
