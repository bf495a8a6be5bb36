/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clocks.h: the clocks of a process that never go back, CLOCK_MONOTONIC and CLOCK_BOOTTIME.
 * Each computer has its own, and was suspended for a time of its own, so two computers' are two
 * distances apart. Must not know: images, namespaces. */
#ifndef MOSIX_CORE_IMAGE_CLOCKS_H
#define MOSIX_CORE_IMAGE_CLOCKS_H

#include "common/base/err.h"

#include <stdint.h>

enum { MX_CLOCKS_WAIT_MS = 1000 };

/* What they show, or how far they are ahead of others. */
struct mx_clocks {
    int64_t mono_ns, boot_ns;
};

struct mx_clocks mx_clocks_now(void);
/* a - b. */
struct mx_clocks mx_clocks_less(const struct mx_clocks *a, const struct mx_clocks *b);
/* Each the larger one. */
struct mx_clocks mx_clocks_later(const struct mx_clocks *a, const struct mx_clocks *b);

/* Waits until clocks that are so far ahead of ours show more than then, their coarse twins too,
 * which go on with the timer interrupt only. Returns 0; -ETIME at once, with words, when that
 * would be longer than MX_CLOCKS_WAIT_MS. */
MUST int mx_clocks_await(const struct mx_clocks *then, const struct mx_clocks *ahead,
                         struct err *e);

#endif
