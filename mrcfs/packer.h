/* SPDX-License-Identifier: GPL-2.0-or-later */
/* packer.h: messages of one stream on their way out, compressed where it pays; and back.
 * Must not know: what messages mean, who sends them.
 * Threads: any. Source: docs/protocol-mrcfs.md, "Compression". */
#ifndef MRCFS_PACKER_H
#define MRCFS_PACKER_H

#include "common/base/attr.h"
#include "common/base/wire.h"
#include "mrcfs/pack/policy.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mfs_packer {
    pthread_mutex_t mu; /* guards what follows */
    struct mfs_pack_policy policy;
    bool is_made;
};

/* Until it is called, and after _fini, nothing is packed. */
void mfs_packer_init(struct mfs_packer *p, enum mfs_pack_mode mode);
void mfs_packer_fini(struct mfs_packer *p);

/* May a message of len_bytes be packed? To be asked once for each; then mfs_packer_pack. */
bool mfs_packer_wants(struct mfs_packer *p, size_t len_bytes);
/* Room for the packed message of one of len_bytes. */
size_t mfs_packer_room(size_t len_bytes);
/* Packs a whole message, its length in front, into out. Returns the length of what is there; 0:
 * it does not pay (or there is no memory), and the message is to be sent as it is. */
size_t mfs_packer_pack(struct mfs_packer *p, const uint8_t *message, size_t len_bytes,
                       uint8_t *out);
/* The stream took `bytes` since began_us (clock_mono_us), always having something to send. */
void mfs_packer_sent(struct mfs_packer *p, size_t bytes, uint64_t began_us);

/* Bytes a second that the stream takes while it is busy; a guess before it was. */
uint64_t mfs_packer_wire_rate(struct mfs_packer *p);

/* What a message of kind MFS_PACKED holds, without its length: the body is at r, behind the
 * head. plain_bytes: as its head says. Returns 0 with *out (the caller's to free); -EPROTO:
 * malformed, or too long; -ENOMEM. */
MUST int mfs_unpack(const struct rd *r, uint32_t plain_bytes, uint8_t **out);

#endif
