/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cert.h: who is a node of a cluster: certificates that the owner of the cluster has signed.
 * Must not know: files, sockets, clocks (time is an argument).
 * The owner's secret key is not needed on any node: a stolen node can make no members. */
#ifndef GOSSIP_CERT_H
#define GOSSIP_CERT_H

#include "common/base/wire.h"
#include "common/sys/keys.h"

enum {
    GSP_CERT_BODY_BYTES = 52,
    GSP_CERT_BYTES = GSP_CERT_BODY_BYTES + KEYS_SIGNATURE_BYTES,
    GSP_REVOKE_BODY_BYTES = 18,
    GSP_REVOKE_BYTES = GSP_REVOKE_BODY_BYTES + KEYS_SIGNATURE_BYTES,
};

struct gsp_cert {
    uint32_t net_id; /* which cluster's owner: the first bytes of its public key */
    uint16_t node;
    uint8_t cluster, roles;
    uint32_t serial;    /* greater for each certificate of a node */
    uint32_t expires_s; /* of the calendar, until 2106 */
    uint8_t key[KEYS_PUBLIC_BYTES];
};

/* Certificates of node up to a serial count no more. */
struct gsp_revoke {
    uint32_t net_id, serial;
    uint16_t node;
};

uint32_t gsp_net_id(const uint8_t owner[KEYS_PUBLIC_BYTES]);

void gsp_cert_sign(const struct gsp_cert *c, const uint8_t owner_secret[KEYS_SECRET_BYTES],
                   uint8_t out[GSP_CERT_BYTES]);
/* Returns 0; -EPROTO for too few bytes or another kind; -EACCES: another owner's, or changed;
 * -ETIME: expired at now_s. */
MUST int gsp_cert_open(const uint8_t *ptr, size_t len_bytes,
                       const uint8_t owner[KEYS_PUBLIC_BYTES], int64_t now_s,
                       struct gsp_cert *c);

/* What it says, without knowing whether it is true. Returns 0 or -EPROTO. */
MUST int gsp_cert_peek(const uint8_t *ptr, size_t len_bytes, struct gsp_cert *c);

void gsp_revoke_sign(const struct gsp_revoke *v, const uint8_t owner_secret[KEYS_SECRET_BYTES],
                     uint8_t out[GSP_REVOKE_BYTES]);
/* Errors as gsp_cert_open(), but for -ETIME. */
MUST int gsp_revoke_open(const uint8_t *ptr, size_t len_bytes,
                         const uint8_t owner[KEYS_PUBLIC_BYTES], struct gsp_revoke *v);

#endif
