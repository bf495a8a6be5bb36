/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gsp.h: one node's side of the gossip of a cluster: board, life and death of the others,
 * claims. Must not know: sockets, clocks (time is an argument), keys, what loads mean.
 * Invariants: of each node the board's version never goes back in one of our lives; a node is
 * dead here only after GSP_SUSPECT_MIN_MS and by the accusers that are needed; every list,
 * queue and datagram is bounded. gsp_check() proves them after each step of a test.
 * Source: docs/gossip.md. */
#ifndef GOSSIP_CORE_GSP_H
#define GOSSIP_CORE_GSP_H

#include "gossip/core/board.h"
#include "gossip/core/peer.h"
#include "gossip/core/spread.h"
#include "gossip/core/suspect.h"

/* Milliseconds, if nothing else is said. */
enum {
    GSP_PERIOD_MS = 245,
    GSP_PROBE_STEP_MS = 80, /* an unanswered exchange is followed by a ping, and so on */
    GSP_PROBE_END_MS = 700,
    GSP_RELAY_END_MS = 250, /* who was asked to ping says that it heard nothing */
    GSP_GASP_STEP_MS = 100,
    GSP_GASP_END_MS = 400,
    GSP_ASK_STEP_MS =
        250, /* who is behind with a suspicion asks so often whether it is over for others */
    GSP_NEWS_MS = 50,
    GSP_LATE_MS = 500, /* a step that was due so long ago: we stood still */
    GSP_SYNC_MS = 30 * 1000,
    GSP_SYNC_SOON_MS = 1000,
    GSP_LEAVE_MS = 1000,   /* a leaver stays so long, to tell it */
    GSP_LONG_MS = 1 << 30, /* what is older counts as so old: twelve days */
};

enum {
    GSP_ENTRIES = 64,    /* entries of a datagram, our own with them */
    GSP_NEWS_NODES = 3,  /* told at a time */
    GSP_PROBE_PINGS = 7, /* after the exchange */
    GSP_GASPS = 3,
    GSP_GASP_ASKS = 2,       /* others that are asked with each */
    GSP_ASKS = 7,            /* at most, of one suspicion; as many as peer.asks can count */
    GSP_OUTSIDE_ONE_IN = 10, /* exchanges that go to another cluster */
    GSP_GONE_ONE_IN = 20,    /* and to nodes that are dead or have left */
    GSP_SYNC_SOON_TIMES = 3,
    GSP_CHECKS_PER_PERIOD = 4,
    GSP_LIFE_AHEAD = 1 << 28, /* a life that is so much later than ours is not believed */
    GSP_PROBES_MAX = 32,
    GSP_RELAYS_MAX = 64,
    GSP_CHECKS_MAX = 32,
    GSP_LISTS_MAX = 4, /* datagrams that answer one digest, or one wish */
    GSP_NODES_MAX = 65535,
};

/* A node's state has changed, or its life (it was started again). */
struct gsp_change {
    uint16_t node;
    uint8_t was, state;
    uint8_t accuser_count;
    bool is_new_life;
    uint64_t incarnation;
};

struct gsp_opts {
    uint32_t ids; /* nodes have numbers below it; at most GSP_NODES_MAX */
    uint16_t self;
    uint8_t cluster;
    uint8_t descriptor_max; /* at most GSP_DESCRIPTOR_MAX */
    uint16_t period_ms, window;
    uint32_t
        life; /* greater at each start: seconds of the calendar, or counted on disk; above 0 */
    bool is_quiet; /* the others know us: our start is not told */
    uint64_t seed;
    int64_t now_ms;
    /* Called from within gsp_step(); must not call back. */
    void (*send)(void *ctx, uint16_t to, const uint8_t *ptr, size_t len_bytes);
    void (*tell)(void *ctx, const struct gsp_change *c);
    /* Signature by our own key; and of the claim's signer: of a DESCRIBE the key may come with
     * the descriptor. */
    void (*sign)(void *ctx, const struct gsp_claim *c, uint8_t out[GSP_SIGNATURE_BYTES]);
    bool (*verify)(void *ctx, const struct gsp_claim *c);
    void *ctx;
};

enum gsp_what { GSP_TICK, GSP_RECV, GSP_FACTS, GSP_KNOW, GSP_TELL_OWN, GSP_GO };

struct gsp_event {
    enum gsp_what what;
    int64_t now_ms; /* monotonic, never less than before */
    /* RECV: a datagram that was opened; header's from is proven by who opened it. */
    const uint8_t *ptr;
    size_t len_bytes;
    uint32_t waited_ms; /* how long it lay before it was read */
    /* FACTS. */
    struct gsp_facts facts;
    /* KNOW: a node of the map. incarnation: 0 if not known. */
    uint16_t node;
    uint8_t cluster;
    uint64_t incarnation;
    /* TELL_OWN: our descriptor is now ptr, len_bytes; number is greater than before. */
    uint32_t number;
};

/* A ping that waits, for ourselves or for asker. */
struct gsp_probe {
    uint32_t sequence, next_ms, end_ms;
    uint16_t target;
    uint8_t pings, asked, silent;
};

struct gsp_relay {
    uint32_t their_sequence, end_ms;
    uint16_t target, asker;
};

/* The descriptor of a node as it was signed; in the caller's memory. */
struct gsp_described {
    uint64_t incarnation;
    uint8_t signature[GSP_SIGNATURE_BYTES];
    uint8_t len_bytes;
    uint8_t bytes[];
};

struct gsp_counts {
    uint64_t datagrams, bytes, news, claims_told, suspected, died, refuted, wrong;
};

/* Its fields are for tests and printing. */
struct gsp {
    struct gsp_opts o;
    struct rng rng;
    int64_t now_ms64;
    uint32_t now, turn;
    uint64_t incarnation;
    uint32_t first_life, version, version_ahead, sequence;
    struct gsp_facts facts;
    bool is_leaving, is_gone;
    uint8_t health;
    uint32_t leave_ms;

    struct gsp_peer *peers;
    uint8_t *described;
    struct gsp_list ring, others, gone, suspects;
    uint32_t members; /* alive or suspected, and ourselves */
    struct gsp_board board;
    struct gsp_spread spread;
    struct gsp_probe probes[GSP_PROBES_MAX];
    struct gsp_relay relays[GSP_RELAYS_MAX];
    uint16_t checks[GSP_CHECKS_MAX];
    unsigned probe_count, relay_count, check_count;

    uint32_t exchange_ms, news_ms, suspects_ms, sync_ms, wake_ms;
    uint8_t sync_soon;
    struct gsp_counts counts;
};

/* Zeroed memory that gsp_init needs: untouched pages of it stay untouched. */
size_t gsp_memory_bytes(const struct gsp_opts *o);
/* Keeps memory. Returns 0, or -EINVAL. */
MUST int gsp_init(struct gsp *g, const struct gsp_opts *o, void *memory);

/* One thing happened. Returns 0; -EPROTO for a datagram that is malformed or not for us,
 * -EINVAL for a wrong event: nothing has changed then. */
MUST int gsp_step(struct gsp *g, const struct gsp_event *e);
/* Say TICK then, at the latest. */
int64_t gsp_wake_ms(const struct gsp *g);

static inline uint32_t gsp_life(uint64_t incarnation)
{
    return (uint32_t)(incarnation >> 32);
}

/* How old a node's entry is; GSP_LONG_MS if there is none. */
uint32_t gsp_age_of(const struct gsp *g, uint16_t node);

/* Of a node's descriptor: length 0 if there is none. */
struct gsp_described *gsp_described_of(const struct gsp *g, uint16_t node);

/* NULL, or which invariant does not hold. Looks at everything. */
const char *gsp_check(const struct gsp *g);

#endif
