/* SPDX-License-Identifier: GPL-2.0-or-later */
/* parts.h: what supervising consists of.
 * Must not know: who asks. */
#ifndef MOSIX_CORE_GUEST_PARTS_H
#define MOSIX_CORE_GUEST_PARTS_H

#include "mosix-core/deputy/link.h"
#include "mosix-core/guest/body.h"
#include "mosix-core/guest/supervise.h"

struct guest {
    const struct mx_guest_how *how;
    struct mx_link link;
    int listener, children_fd;
    struct mx_body *bodies[MX_BODIES_MAX];
    unsigned count;
    int result; /* of the first body */
    int told;
    struct mx_tracee *t; /* the first body */
    bool is_pausing, is_caught, is_paused;
    bool is_fetched; /* all are to go home */
    bool is_left;    /* what was told waits until there are no children */
    unsigned pauses_sent, pauses_got;
};

#endif
