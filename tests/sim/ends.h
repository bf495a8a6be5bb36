/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ends.h: two ends of a session for simulations: each has a known pattern to send on each channel, checks
 * what it receives, and keeps what it sent as a driver must.
 * Must not know: what is simulated. */
#ifndef TESTS_SIM_ENDS_H
#define TESTS_SIM_ENDS_H

#include "mrc/session/session.h"

#include <stdlib.h>

#define CHECK(condition)                                                                       \
    do {                                                                                       \
        if (!(condition))                                                                      \
            ends_failed(__FILE__, __LINE__, #condition);                                       \
    } while (0)
_Noreturn void ends_failed(const char *file, int line, const char *condition);

enum { CHANS = 6, PIPE_SIZE = 4 << 20, TOTAL = 3 * 1024 * 1024 / CHANS };

extern uint64_t ends_seed, ends_state;
uint32_t rnd(uint32_t below);

struct end {
    struct mrc_session s;
    struct mrc_action act;
    bool is_head;
    uint64_t total; /* bytes to send on each channel in random runs */
    uint32_t chans[CHANS];
    int chan_count;
    uint64_t queued[CHANS], written[CHANS], received[CHANS], consumed[CHANS];
    bool ended[CHANS], got_eof[CHANS];
    uint8_t *kept; /* what the other end has not confirmed; of it the first sent bytes are written */
    size_t kept_len, sent;
    uint8_t *wire; /* bytes on their way to the other end */
    size_t wire_len;
    int resumed, refused;
    uint64_t trace; /* of all actions on input */
};

void end_init(struct end *e, const struct mrc_session_opts *o);
void end_fini(struct end *e);
int end_step(struct end *e, const struct mrc_event *ev); /* and checks the invariant */
/* Returns the first error. */
int end_feed(struct end *e, const uint8_t *p, size_t len);
void end_wish(struct end *e, enum mrc_event_kind kind, uint32_t chan, uint64_t amount);
void end_open(struct end *e);
/* Writes until the session has nothing more or the wire holds room bytes. */
void end_drain(struct end *e, size_t room);
/* Queues, ends and consumes something somewhere. */
void end_act(struct end *e);
bool end_is_done(const struct end *e);
/* The first n bytes on their way arrive, in pieces of any size. */
void end_deliver(struct end *from, struct end *to, size_t n);

#endif
