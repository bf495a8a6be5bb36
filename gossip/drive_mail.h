/* SPDX-License-Identifier: GPL-2.0-or-later */
/* drive_mail.h: datagrams in batches: as few system calls as can be.
 * Must not know: what is in them.
 * What can't be sent at once (a full queue, no way to a host) is dropped and counted: those who
 * talk by datagrams expect that. */
#ifndef GOSSIP_DRIVE_MAIL_H
#define GOSSIP_DRIVE_MAIL_H

#include "gossip/drive.h"

struct gsp_letter {
    const uint8_t *ptr;
    size_t len_bytes;
    const struct sockaddr_storage *from;
    socklen_t from_bytes;
    uint32_t waited_ms; /* between its arrival and now */
};

struct gsp_mail {
    int fd; /* -1: not open, and nothing is sent */
    unsigned count;
    struct gsp_traffic traffic;
    struct {
        struct sockaddr_storage to;
        socklen_t to_bytes;
        size_t len_bytes;
        uint8_t bytes[GSP_SEALED_MAX];
    } out[GSP_DRIVE_BATCH];
};

MUST int gsp_mail_open(struct gsp_mail *m, const struct sockaddr_storage *own,
                       socklen_t len_bytes, struct err *e);
void gsp_mail_close(struct gsp_mail *m);
void gsp_mail_put(struct gsp_mail *m, const struct sockaddr_storage *to, socklen_t to_bytes,
                  const uint8_t *ptr, size_t len_bytes);
void gsp_mail_flush(struct gsp_mail *m);
/* One batch. Returns how many came; what is longer than any of ours is dropped. */
unsigned gsp_mail_take(struct gsp_mail *m, void (*fn)(void *ctx, const struct gsp_letter *l),
                       void *ctx);
/* A hash of where it came from: of the address, whatever the port. */
uint64_t gsp_mail_source(const struct gsp_letter *l, uint64_t salt);

#endif
