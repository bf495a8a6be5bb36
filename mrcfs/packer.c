/* SPDX-License-Identifier: GPL-2.0-or-later */
/* packer.c: the policy's driver: clocks, memory, LZO.
 * Must not know: what messages mean. */
#include "mrcfs/packer.h"

#include "common/sys/clock.h"
#include "common/sys/lzo.h"
#include "common/sys/mem.h"
#include "mrcfs/ops.h"

#include <errno.h>
#include <string.h>
#include <time.h>

enum { LENGTH_BYTES = 4 };

void mfs_packer_init(struct mfs_packer *p, enum mfs_pack_mode mode)
{
    pthread_mutex_init(&p->mu, NULL);
    mfs_pack_init(&p->policy, mode);
    p->is_made = true;
}

void mfs_packer_fini(struct mfs_packer *p)
{
    if (p->is_made)
        pthread_mutex_destroy(&p->mu);
    p->is_made = false;
}

bool mfs_packer_wants(struct mfs_packer *p, size_t len_bytes)
{
    if (!p->is_made)
        return false;
    pthread_mutex_lock(&p->mu);
    bool is_wanted = mfs_pack_wants(&p->policy, len_bytes);
    pthread_mutex_unlock(&p->mu);
    return is_wanted;
}

size_t mfs_packer_room(size_t len_bytes)
{
    return MFS_HEAD_BYTES + lzo_room(len_bytes);
}

/* This thread's own time: what others use of the processors is not the packing's. */
static uint64_t thread_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Returns the packed length, or -EIO. */
static long pack(struct mfs_packer *p, void *work, const uint8_t *ptr, size_t len_bytes,
                 uint8_t *out)
{
    uint64_t start = thread_ns();
    long packed_bytes = lzo_pack(work, ptr, len_bytes, out);
    uint64_t took = thread_ns() - start;
    pthread_mutex_lock(&p->mu);
    if (packed_bytes >= 0)
        mfs_pack_took(&p->policy, len_bytes, took);
    pthread_mutex_unlock(&p->mu);
    return packed_bytes;
}

static bool judge(struct mfs_packer *p, size_t bytes, long packed_bytes)
{
    pthread_mutex_lock(&p->mu);
    bool is_good = packed_bytes >= 0 && mfs_pack_judge(&p->policy, bytes, (size_t)packed_bytes);
    pthread_mutex_unlock(&p->mu);
    return is_good;
}

size_t mfs_packer_pack(struct mfs_packer *p, const uint8_t *message, size_t len_bytes,
                       uint8_t *out)
{
    AUTO_FREE void *work = malloc(lzo_work_bytes());
    const uint8_t *from = message + LENGTH_BYTES;
    size_t bytes = len_bytes - LENGTH_BYTES;
    struct rd r = rd_of(from, bytes);
    struct mfs_head h;
    if (!work || mfs_head_get(&r, &h) < 0)
        return 0;
    struct mfs_head packed = { .kind = MFS_PACKED, .id = h.id, .plain_bytes = (uint32_t)bytes };
    struct wr w = wr_of(out, MFS_HEAD_BYTES);
    mfs_message_begin(&w, &packed);
    uint8_t *to = w.at;
    if (bytes > MFS_PACK_WHOLE) {
        const uint8_t *sample = from + (bytes - MFS_PACK_SAMPLE) / 2;
        if (!judge(p, MFS_PACK_SAMPLE, pack(p, work, sample, MFS_PACK_SAMPLE, to)))
            return 0;
    }
    long packed_bytes = pack(p, work, from, bytes, to);
    if (bytes <= MFS_PACK_WHOLE ? !judge(p, bytes, packed_bytes)
                                : packed_bytes < 0 || (size_t)packed_bytes >= bytes)
        return 0;
    mfs_message_end(&w, (size_t)packed_bytes);
    return wr_len(&w) + (size_t)packed_bytes;
}

void mfs_packer_sent(struct mfs_packer *p, size_t bytes, uint64_t began_us)
{
    if (!p->is_made)
        return;
    uint64_t now_us = clock_mono_us();
    pthread_mutex_lock(&p->mu);
    mfs_pack_sent(&p->policy, bytes, began_us, now_us);
    pthread_mutex_unlock(&p->mu);
}

uint64_t mfs_packer_wire_rate(struct mfs_packer *p)
{
    pthread_mutex_lock(&p->mu);
    uint64_t rate = p->policy.wire_rate;
    pthread_mutex_unlock(&p->mu);
    return rate;
}

int mfs_unpack(const struct rd *r, uint32_t plain_bytes, uint8_t **out)
{
    if (plain_bytes < MFS_MESSAGE_MIN || plain_bytes > MFS_MESSAGE_MAX)
        return -EPROTO;
    uint8_t *plain = malloc(plain_bytes);
    if (!plain)
        return -ENOMEM;
    int rc = lzo_unpack(r->at, rd_left(r), plain, plain_bytes);
    if (rc < 0) {
        free(plain);
        return rc;
    }
    *out = plain;
    return 0;
}
