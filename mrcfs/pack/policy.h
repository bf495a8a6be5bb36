/* SPDX-License-Identifier: GPL-2.0-or-later */
/* policy.h: whether compressing the messages of one stream pays.
 * Must not know: how it is compressed, clocks (times are arguments), threads.
 *
 * Compressing pays when the wire would take longer for the bytes that are saved than packing
 * and unpacking take. Three things are measured: how fast the wire takes bytes while there are
 * any, how fast packing is, and, with a sample of each message, how much smaller it would be.
 * What did not pay several times in a row is tried more and more rarely, but always again.
 * Where packing keeps the wire waiting its rate can't be seen: it is taken to be higher and
 * higher, until messages go unpacked and show it. */
#ifndef MRCFS_PACK_POLICY_H
#define MRCFS_PACK_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MFS_PACK_FROM = 512,           /* bytes: shorter messages are not worth the trouble */
    MFS_PACK_WHOLE = 16 << 10,     /* up to here the message is its own sample */
    MFS_PACK_SAMPLE = 4 << 10,     /* bytes */
    MFS_PACK_SKIPS_MAX = 32,       /* messages that are sent as they are between two samples */
    MFS_PACK_IDLE_US = 50 * 1000,  /* nothing sent for so long: the wire was not the reason */
    MFS_PACK_SPAN_US = 100 * 1000, /* the wire's rate is measured over so long, at least */
    /* What the wire took without being busy says nothing until it is more than fits into all
     * the buffers on its way. */
    MFS_PACK_BUFFERS = 8 << 20,
};

enum mfs_pack_mode { MFS_PACK_AUTO, MFS_PACK_NO, MFS_PACK_YES };

/* One stream, one direction. Rates are in bytes a second. */
struct mfs_pack_policy {
    enum mfs_pack_mode mode;
    uint64_t wire_rate; /* of packed and other bytes, as they are */
    uint64_t pack_rate; /* of bytes before packing */
    unsigned misses;    /* samples in a row that did not pay */
    unsigned skips;     /* messages still to be sent without a look */
    uint64_t span_start_us, last_us;
    uint64_t span_bytes, span_busy_us, span_pack_ns;
    unsigned sure_spans; /* for so many more the rate that was seen is taken to hold */
};

void mfs_pack_init(struct mfs_pack_policy *p, enum mfs_pack_mode mode);

/* Is a message of this length to be sampled (and packed, if mfs_pack_judge says so)? Called
 * once for each message. */
bool mfs_pack_wants(struct mfs_pack_policy *p, size_t len_bytes);

/* A sample of `bytes` was packed into packed_bytes: shall the message be packed? With
 * MFS_PACK_YES it is if that makes it noticeably shorter. */
bool mfs_pack_judge(struct mfs_pack_policy *p, size_t bytes, size_t packed_bytes);

/* Packing `bytes` took so long. */
void mfs_pack_took(struct mfs_pack_policy *p, size_t bytes, uint64_t took_ns);

/* The stream took `bytes` between these times; in between there was always something to send.
 */
void mfs_pack_sent(struct mfs_pack_policy *p, size_t bytes, uint64_t began_us,
                   uint64_t ended_us);

#endif
