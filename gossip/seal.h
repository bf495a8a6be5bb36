/* SPDX-License-Identifier: GPL-2.0-or-later */
/* seal.h: datagrams between certified nodes: sealed for one receiver, by one sender that is
 * proven, never taken twice, under keys that change by epochs.
 * Must not know: sockets, clocks (time is an argument), what is in the datagrams.
 * Invariants: what gsp_seal_in() gives was sealed by that node for us, in this life of ours, in
 * its newest life, and has not come before; nothing of an unknown or revoked node is opened; a
 * datagram that is not opened causes at most one answer, no longer than itself, and is counted
 * against its source first. Source: docs/gossip.md, "Sealing". */
#ifndef GOSSIP_SEAL_H
#define GOSSIP_SEAL_H

#include "common/base/attr.h"
#include "common/sys/keys.h"
#include "gossip/cert.h"

enum {
    GSP_SEAL_CLEAR_BYTES = 12,
    GSP_SEAL_EXTRA_BYTES = GSP_SEAL_CLEAR_BYTES + KEYS_NONCE_BYTES + KEYS_TAG_BYTES,
    GSP_SEALED_MAX = 1372,  /* with IP and UDP 1,400 */
    GSP_REPLAY_BITS = 1024, /* so far behind the newest a datagram may come */
    GSP_SOURCES = 1024,     /* addresses that are counted apart; several may share a count */
    GSP_SOURCE_PER_S = 400, /* datagrams of one source that are looked at */
    GSP_SOURCE_BURST_MAX = 800,
    /* Certificates that came from outside are verified at most so often, whoever sends them. */
    GSP_CERT_PER_S = 50,
    GSP_CERT_BURST_MAX = 200,
    GSP_EPOCH_BODY_BYTES = 1 + KEYS_SHARED_BYTES + KEYS_SIGNATURE_BYTES,
};

/* What a sealed datagram is for. For ever. */
enum gsp_seal_type {
    GSP_SEAL_BODY = 1,
    /* I am in this life: sealed for one whose life is unknown or was another. */
    GSP_SEAL_HELLO = 2,
    /* Your life is older than the one I know: take a greater one. Body: u32. */
    GSP_SEAL_OLD = 3,
    /* The epoch that is in use, signed by the owner; sealed without any epoch, for one that
       slept. */
    GSP_SEAL_EPOCH = 4,
    /* My certificate, in clear: to one that may not know it. */
    GSP_SEAL_CERT = 5,
    /* A revocation, as the owner signed it. */
    GSP_SEAL_REVOKE = 6,
};

struct gsp_seal_peer {
    bool has_key;
    uint8_t key[KEYS_PUBLIC_BYTES], shared[KEYS_SHARED_BYTES];
    bool has_shared;
    uint32_t serial, revoked; /* of its certificate; up to which they count no more */
    uint32_t expires_s;
    uint8_t cluster, epoch; /* epoch: that it used last */
    uint64_t boot;          /* its newest life, as far as it is proven; 0: none */
    uint64_t highest, came[GSP_REPLAY_BITS / 64];
};

struct gsp_epoch {
    bool is_set;
    uint8_t number;
    uint8_t secret[KEYS_SHARED_BYTES];
    uint8_t body[GSP_EPOCH_BODY_BYTES]; /* as the owner signed it, to be passed on */
};

struct gsp_seal_opts {
    uint16_t self;
    uint32_t ids;
    uint8_t owner[KEYS_PUBLIC_BYTES];
    uint8_t secret[KEYS_SECRET_BYTES];
    uint32_t life;   /* greater at each start */
    uint32_t random; /* nobody's guess, and not 0: that stands for a life that is not known */
};

struct gsp_seal_counts {
    uint64_t opened, malformed, unknown, limited, forged, replayed, former_life, old_epoch;
    uint64_t introduced; /* certificates that came from their nodes and were new */
};

struct gsp_seal {
    struct gsp_seal_opts o;
    uint32_t net_id;
    uint64_t boot, counter;
    struct gsp_epoch epochs[2]; /* the one that is used, and the one before */
    struct gsp_seal_peer *peers;
    struct gsp_allowance {
        uint32_t at_ms;
        uint16_t left;
    } sources[GSP_SOURCES], certs;
    uint8_t own_cert[GSP_CERT_BYTES]; /* for those that ask; zeros: none */
    struct gsp_seal_counts counts;
};

/* What came. Answers go to where it came from. */
struct gsp_seal_in {
    uint16_t from;
    size_t len_bytes;    /* of a body; 0: it was ours to deal with */
    size_t answer_bytes; /* in answer; 0: none */
    uint8_t answer[256];
    uint32_t life_needed; /* above 0: we must take a life at least so great */
    bool has_new_epoch;
    bool is_new_node;    /* its certificate has come, and is verified */
    bool has_revocation; /* in body, GSP_REVOKE_BYTES, not yet looked at */
};

/* Zeroed memory that it needs. */
size_t gsp_seal_memory_bytes(const struct gsp_seal_opts *o);
/* Keeps memory, takes a copy of the secret. Returns 0 or -EINVAL. */
MUST int gsp_seal_init(struct gsp_seal *s, const struct gsp_seal_opts *o, void *memory);
/* Wipes what is secret. */
void gsp_seal_fini(struct gsp_seal *s);

/* Returns 0; errors of gsp_cert_open(); -ENOENT: no such number; -EKEYREVOKED; -ESTALE: a newer
 * one is known. */
MUST int gsp_seal_certify(struct gsp_seal *s, const uint8_t *ptr, size_t len_bytes,
                          int64_t now_s);
MUST int gsp_seal_revoke(struct gsp_seal *s, const uint8_t *ptr, size_t len_bytes);

/* Another life of ours, greater than the one before. */
void gsp_seal_live(struct gsp_seal *s, uint32_t life, uint32_t random);

/* The owner's: an epoch as it goes to the nodes. */
void gsp_epoch_sign(uint32_t net_id, uint8_t number, const uint8_t secret[KEYS_SHARED_BYTES],
                    const uint8_t owner_secret[KEYS_SECRET_BYTES],
                    uint8_t out[GSP_EPOCH_BODY_BYTES]);
/* From now on it is used; the one before is still accepted. Returns 0; -EPROTO; -EACCES: not
 * the owner's; -EALREADY: not newer (serially, of 256). */
MUST int gsp_seal_epoch(struct gsp_seal *s, const uint8_t *ptr, size_t len_bytes);

/* out has room for GSP_SEALED_MAX. Returns the length: of the sealed body, or, when to's life
 * is not known, of a greeting instead of it (the body is lost, as datagrams are). -ENOENT: no
 * certificate; -EKEYREVOKED; -ENOKEY: no epoch; -EMSGSIZE. */
MUST int gsp_seal_out(struct gsp_seal *s, uint16_t to, const void *ptr, size_t len_bytes,
                      uint8_t out[GSP_SEALED_MAX]);

/* The own certificate, for one that does not know it yet. out has room for GSP_SEALED_MAX.
 * Returns the length. */
MUST int gsp_seal_cert_out(struct gsp_seal *s, uint16_t to, uint8_t out[GSP_SEALED_MAX]);
/* Returns the length; -ENOENT when its certificate or life is not known; -EAGAIN: it has not
 * yet shown that it knows the epoch; else as gsp_seal_out(). */
MUST int gsp_seal_revoke_out(struct gsp_seal *s, uint16_t to,
                             const uint8_t revocation[GSP_REVOKE_BYTES],
                             uint8_t out[GSP_SEALED_MAX]);

/* source: a hash of the address it came from. body has room for GSP_SEALED_MAX. Returns 0;
 * -EPROTO: malformed, of another cluster or of an unknown node; -EBUSY: too many from there;
 * -EKEYREVOKED; -ETIME: its certificate has expired; -EBADMSG: not sealed by that node for us;
 * -EALREADY: came before; -ESTALE: of a former life, in->answer says so to it; of a certificate
 * the errors of gsp_seal_certify(). */
MUST int gsp_seal_in(struct gsp_seal *s, uint64_t source, int64_t now_ms, const uint8_t *ptr,
                     size_t len_bytes, int64_t now_s, uint8_t *body, struct gsp_seal_in *in);

#endif
