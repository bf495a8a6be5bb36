/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fair.h: which of several senders writes next: start-time fair queueing.
 * Must not know: frames, channels.
 * A sender that was idle starts at the present virtual time, so a keystroke or a stat overtakes
 * bulk that is being sent, and nobody starves: each gets bytes in proportion to its weight.
 * Source: Goyal, Vin, Cheng: Start-time Fair Queuing, SIGCOMM 1996. */
#ifndef MRC_SESSION_FAIR_H
#define MRC_SESSION_FAIR_H

#include <stdbool.h>
#include <stdint.h>

struct fair_clock {
    uint64_t now; /* start tag of what was picked last */
};

struct fair_sender {
    uint64_t start; /* start tag of its next packet */
    bool was_ready;
};

/* Call for each sender before picking: is_ready tells whether it has something to send. */
void fair_update(const struct fair_clock *c, struct fair_sender *s, bool is_ready);
/* s was picked and sends len_bytes with weight (1 to 255). */
void fair_charge(struct fair_clock *c, struct fair_sender *s, uint32_t len_bytes,
                 uint8_t weight);

#endif
