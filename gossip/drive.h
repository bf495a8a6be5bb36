/* SPDX-License-Identifier: GPL-2.0-or-later */
/* drive.h: the gossip of one node on a real network: a UDP socket on an event loop, timers,
 * signatures, sealing, revocations. Must not know: files, what figures mean, names of nodes.
 * Nodes have numbers; the map says where a number is. Who is in the map and has a certificate
 * of the owner is talked to; who is not is nobody. A node that is not known yet introduces
 * itself by its certificate. Source: docs/gossip.md. */
#ifndef GOSSIP_DRIVE_H
#define GOSSIP_DRIVE_H

#include "common/base/err.h"
#include "common/sys/loop.h"
#include "gossip/core/gsp.h"
#include "gossip/seal.h"

#include <sys/socket.h>

enum {
    GSP_DRIVE_BATCH = 32,          /* datagrams that are received or sent by one call */
    GSP_DRIVE_ROUNDS = 8,          /* batches that are read before others have their turn */
    GSP_DRIVE_SOCKET = 512 * 1024, /* bytes that the kernel is asked to keep for us */
    /* Of a descriptor, after the certificate. */
    GSP_ABOUT_MAX = GSP_DESCRIPTOR_MAX - GSP_CERT_BYTES,
};

struct gsp_drive;

struct gsp_drive_opts {
    struct loop *loop;
    uint32_t ids; /* numbers of nodes are below it */
    uint8_t owner[KEYS_PUBLIC_BYTES];
    uint8_t secret[KEYS_SECRET_BYTES];
    uint8_t cert[GSP_CERT_BYTES]; /* says which node and cluster we are */
    uint8_t epoch[GSP_EPOCH_BODY_BYTES];
    uint32_t life; /* greater than in any life before; on the disk already */
    /* Called from the loop; each may be NULL. A life must be on the disk before keep_life
     * returns 0, else it is not taken. */
    void (*tell)(void *ctx, const struct gsp_change *c);
    void (*keep_epoch)(void *ctx, const uint8_t body[GSP_EPOCH_BODY_BYTES]);
    void (*keep_revocation)(void *ctx, const uint8_t body[GSP_REVOKE_BYTES]);
    int (*keep_life)(void *ctx, uint32_t life);
    void *ctx;
};

struct gsp_traffic {
    uint64_t sent, sent_bytes, received, received_bytes, unsent; /* datagrams */
};

/* Copies the options. Errors of gsp_cert_open() and gsp_seal_epoch() with words. */
MUST int gsp_drive_new(struct gsp_drive **out, const struct gsp_drive_opts *o, struct err *e);
/* Begins to listen and to talk. */
MUST int gsp_drive_start(struct gsp_drive *d, const struct sockaddr_storage *own,
                         socklen_t len_bytes, struct err *e);
void gsp_drive_free(struct gsp_drive *d);

/* The map. Nodes of other clusters too; a node that is known stays what it is. */
void gsp_drive_map(struct gsp_drive *d, uint16_t node, uint8_t cluster,
                   const struct sockaddr_storage *a, socklen_t len_bytes);
void gsp_drive_unmap(struct gsp_drive *d, uint16_t node);

void gsp_drive_facts(struct gsp_drive *d, const struct gsp_facts *f);
/* What is to be known of us beside load; number: greater each time, also after a restart; its
 * low byte is our cluster. At most GSP_ABOUT_MAX. */
void gsp_drive_about(struct gsp_drive *d, uint32_t number, const void *ptr, size_t len_bytes);
/* What node has said of itself; NULL: nothing yet. */
const uint8_t *gsp_drive_about_of(const struct gsp_drive *d, uint16_t node, size_t *len_bytes);

/* From the owner, by hand; spreads. Returns 0; 1: known already; errors of gsp_seal_epoch(),
 * gsp_seal_revoke(); -ENOSPC at GSP_REVOKED_MAX. */
MUST int gsp_drive_epoch(struct gsp_drive *d, const uint8_t *ptr, size_t len_bytes);
MUST int gsp_drive_revoke(struct gsp_drive *d, const uint8_t *ptr, size_t len_bytes);

/* From now on nothing is kept or told: for a child that only looks what would be. */
void gsp_drive_silence(struct gsp_drive *d);

/* Says that we go; when that is told, is_gone. */
void gsp_drive_leave(struct gsp_drive *d);
bool gsp_drive_is_gone(const struct gsp_drive *d);

/* For looking only. */
const struct gsp *gsp_drive_core(const struct gsp_drive *d);
const struct gsp_seal *gsp_drive_seal(const struct gsp_drive *d);
const struct gsp_traffic *gsp_drive_traffic(const struct gsp_drive *d);
/* Has anything of it ever come, of itself or by others? */
bool gsp_drive_is_heard(const struct gsp_drive *d, uint16_t node);
/* When its state changed, by the monotonic clock. */
int64_t gsp_drive_changed_ms(const struct gsp_drive *d, uint16_t node);

#endif
