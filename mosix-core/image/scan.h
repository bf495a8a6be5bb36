/* SPDX-License-Identifier: GPL-2.0-or-later */
/* scan.h: which pages a process has, and which it has changed, by the pagemap of its memory;
 * and the userfaultfd with which its kernel notes changes. Must not know: what is in pages. The
 * userfaultfd is made by the process, which keeps nothing of it: whoever holds it may register
 * memory, and when it is closed, all is as it was. Nothing ever waits for it. Source:
 * PAGEMAP_SCAN(2const), ioctl_userfaultfd(2); kernels before 6.7 have neither, and are asked
 * page by page. */
#ifndef MOSIX_CORE_IMAGE_SCAN_H
#define MOSIX_CORE_IMAGE_SCAN_H

#include "common/base/err.h"
#include "mosix-core/image/tracee.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { MX_SCAN_REGIONS_MAX = 512 }; /* of one answer */

/* Pages [start, end) of one kind, all in memory or swapped out. */
struct mx_region {
    uint64_t start, end;
    bool is_own;     /* not a page of a file as it is there */
    bool is_present; /* else swapped out, or guarded and in truth not there (of files) */
    bool is_changed; /* since it was last guarded; false where nothing is guarded */
};

struct mx_scan {
    int pagemap;     /* -1: closed */
    bool is_old;     /* the kernel has no PAGEMAP_SCAN */
    bool is_for_own; /* is_own is wanted: a look at each page, not only at the page tables */
};

/* is_old: as if the kernel were. Returns 0 or -errno. */
MUST int mx_scan_open(struct mx_scan *s, pid_t pid, bool is_old, struct err *e);
void mx_scan_close(struct mx_scan *s);

enum mx_scan_how {
    MX_SCAN_ALL,   /* all pages but those that are the kernel's page of zeros */
    MX_SCAN_GUARD, /* those that have changed, and they are guarded anew; a piece at a time */
    MX_SCAN_EVERY, /* regions that are not guarded, whether pages are there or not: is_own and
                      is_changed mean nothing */
};

/* Looks at [*at, end), and moves *at on: to end when all was seen. r: MX_SCAN_REGIONS_MAX.
 * Returns how many regions, in growing order; -errno. */
MUST int mx_scan_next(const struct mx_scan *s, enum mx_scan_how how, uint64_t *at, uint64_t end,
                      struct mx_region *r, struct err *e);

/* Are changes of the mapping that begins at start noted? */
bool mx_scan_is_covered(const struct mx_scan *s, uint64_t start);

/* From a process that stands still and may make calls. Returns 0 and a descriptor; -ENOTSUP
 * when the kernel is too old or the process may not. */
MUST int mx_watch_make(struct mx_tracee *t, int *uffd, struct err *e);
/* Changes of [start, end) are noted from now on. Returns 0 or -errno: it can't be. */
MUST int mx_watch_cover(int uffd, uint64_t start, uint64_t end);
/* And no more; parts that are unmapped don't matter. */
MUST int mx_watch_uncover(int uffd, uint64_t start, uint64_t end);
/* All of it is guarded, pages that are not there as well (so not for much that is empty); or
 * nothing: then all pages that are there count as changed. Returns 0 or -errno. */
MUST int mx_watch_guard(int uffd, uint64_t start, uint64_t end, bool is_guarded);

#endif
