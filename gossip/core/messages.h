/* SPDX-License-Identifier: GPL-2.0-or-later */
/* messages.h: what is in the datagrams of gossip: header, entries of the board, claims,
 * records. Must not know: who says what when; sealing.
 * Decoding looks at one part after the other: a header, then as many entries, claims and so on
 * as it says; what is left over at the end is malformed. Views point into the datagram.
 * Source: docs/gossip.md, "Datagrams"; messages.def. */
#ifndef GOSSIP_CORE_MESSAGES_H
#define GOSSIP_CORE_MESSAGES_H

#include "common/base/wire.h"

enum {
    GSP_HEADER_BYTES = 32,
    GSP_ENTRY_BYTES = 16,
    GSP_SIGNATURE_BYTES = 64,
    GSP_CLAIM_BYTES = 18 + GSP_SIGNATURE_BYTES, /* without its descriptor */
    GSP_RECORD_BYTES = 16,
    GSP_BUCKETS = 128,
    GSP_DATAGRAM_MAX = 1320,
    GSP_DESCRIPTOR_MAX = 240, /* bytes of one node's descriptor: addresses, keys, sizes */
    GSP_WINDOW_MAX = 80,      /* entries in one datagram */
    GSP_DATAGRAM_CLAIMS_MAX = 15,
    GSP_RECORDS_MAX = 80,
    GSP_WANTS_MAX = 64,
    /* What sealing adds (12 clear, 24 nonce, 16 tag), and IP and UDP. */
    GSP_ENVELOPE_BYTES = 12 + 24 + 16 + 28,
};

enum gsp_type {
#define MESSAGE(number, name, text, body) GSP_##name = number,
#define CLAIM(number, name, text, signer)
#include "gossip/core/messages.def"
#undef MESSAGE
#undef CLAIM
};

enum gsp_claim_kind {
#define MESSAGE(number, name, text, body)
#define CLAIM(number, name, text, signer) GSP_CLAIM_##name = number,
#include "gossip/core/messages.def"
#undef MESSAGE
#undef CLAIM
};

/* What a node takes another for. */
enum gsp_state { GSP_UNKNOWN, GSP_ALIVE, GSP_SUSPECT, GSP_DEAD, GSP_LEFT, GSP_STATES };

struct gsp_header {
    uint8_t type;
    uint8_t your_state;
    uint16_t from, to;
    uint8_t entry_count, claim_count; /* of LIST, WANT: count in entry_count */
    uint32_t sequence;                /* of the question that is answered */
    uint64_t incarnation, your_incarnation;
    uint32_t your_version;
};

/* What a node says of itself for the board; the meaning is the driver's. */
struct gsp_facts {
    uint16_t load, free_memory;
    uint8_t idle_cores, guests, flags;
};

struct gsp_entry {
    uint16_t node;
    uint8_t cluster;
    uint32_t age_ms; /* below GSP_AGE_END_MS; that much or more is GSP_AGE_END_MS */
    uint32_t version;
    struct gsp_facts facts;
};

struct gsp_claim {
    uint8_t kind;
    uint16_t subject, by;
    uint64_t incarnation;
    uint32_t number; /* of DESCRIBE: which is newer; low byte: cluster */
    uint8_t descriptor_bytes;
    const uint8_t *descriptor;
    const uint8_t *signature; /* GSP_SIGNATURE_BYTES */
};

/* A line of a list. */
struct gsp_record {
    uint16_t node;
    uint8_t state;
    uint64_t incarnation;
    uint32_t descriptor_number;
};

/* Ages on the wire: milliseconds below GSP_AGE_FINE, then GSP_AGE_STEP_MS each. Rounded up. */
enum {
    GSP_AGE_FINE = 0x4000,
    GSP_AGE_STEP_MS = 64,
    GSP_AGE_END_MS = GSP_AGE_FINE + (0xffff - GSP_AGE_FINE) * GSP_AGE_STEP_MS,
};
uint16_t gsp_age_code(uint32_t age_ms);
uint32_t gsp_age_ms(uint16_t code);

/* Each returns 0, or -EPROTO for too few bytes or a value that can't be. */
MUST int gsp_header_get(struct rd *r, struct gsp_header *h);
MUST int gsp_entry_get(struct rd *r, struct gsp_entry *e);
MUST int gsp_claim_get(struct rd *r, struct gsp_claim *c);
MUST int gsp_record_get(struct rd *r, struct gsp_record *v);
/* The whole datagram, parts and end: 0, or -EPROTO. What passes can be taken apart by the
 * above without an error. */
MUST int gsp_datagram_check(const uint8_t *ptr, size_t len_bytes);

void gsp_header_put(struct wr *w, const struct gsp_header *h);
void gsp_entry_put(struct wr *w, const struct gsp_entry *e);
void gsp_claim_put(struct wr *w, const struct gsp_claim *c);
void gsp_record_put(struct wr *w, const struct gsp_record *v);

/* What a claim's signature is over: everything but the signature. Returns its length, at most
 * GSP_SIGNED_MAX. */
enum { GSP_SIGNED_MAX = GSP_CLAIM_BYTES - GSP_SIGNATURE_BYTES + GSP_DESCRIPTOR_MAX };
size_t gsp_claim_signed(const struct gsp_claim *c, uint8_t out[GSP_SIGNED_MAX]);
/* The node whose key signs it. */
uint16_t gsp_claim_signer(const struct gsp_claim *c);

const char *gsp_type_text(unsigned type);
const char *gsp_claim_text(unsigned kind);
const char *gsp_state_text(unsigned state);

/* Serial comparison: a is after b, when they are less than half the numbers apart. */
static inline bool gsp_is_newer(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) > 0;
}

#endif
