/* SPDX-License-Identifier: GPL-2.0-or-later */
/* policy.c: see policy.h.
 * Must not know: how it is compressed, clocks, threads. */
#include "mrcfs/pack/policy.h"

enum {
    WIRE_RATE_FIRST = 12500000,  /* 100 Mbit/s, until it is known */
    PACK_RATE_FIRST = 200000000, /* likewise; LZO1X does 200 to 800 MB/s */
    RATE_MIN = 1000,
    RATE_MAX = 2000000000,     /* of what is only supposed */
    SPEED_BYTES_MIN = 1 << 10, /* shorter pieces say more of the clock than of the speed */
    /* Packing and unpacking together cost 1.5 times what packing costs. */
    COST_NUMERATOR = 3,
    COST_DENOMINATOR = 2,
    SURE_SPANS = 50,
    MISSES_FREE = 2, /* samples that may fail before messages are skipped */
};

void mfs_pack_init(struct mfs_pack_policy *p, enum mfs_pack_mode mode)
{
    *p = (struct mfs_pack_policy){ .mode = mode,
                                   .wire_rate = WIRE_RATE_FIRST,
                                   .pack_rate = PACK_RATE_FIRST };
}

bool mfs_pack_wants(struct mfs_pack_policy *p, size_t len_bytes)
{
    if (p->mode == MFS_PACK_NO || len_bytes < MFS_PACK_FROM)
        return false;
    if (p->mode == MFS_PACK_YES || !p->skips)
        return true;
    p->skips--;
    return false;
}

/* bytes/pack_rate·1.5 < (bytes − packed)/wire_rate, without divisions. */
static bool pays(const struct mfs_pack_policy *p, size_t bytes, size_t packed_bytes)
{
    uint64_t saved = bytes - packed_bytes;
    return COST_NUMERATOR * (p->wire_rate >> 10) * (uint64_t)bytes <
           COST_DENOMINATOR * (p->pack_rate >> 10) * saved;
}

bool mfs_pack_judge(struct mfs_pack_policy *p, size_t bytes, size_t packed_bytes)
{
    bool is_shorter = packed_bytes + bytes / 16 < bytes;
    if (p->mode != MFS_PACK_AUTO)
        return p->mode == MFS_PACK_YES && is_shorter;
    if (is_shorter && pays(p, bytes, packed_bytes)) {
        p->misses = 0;
        return true;
    }
    if (p->misses < MISSES_FREE + 5)
        p->misses++;
    if (p->misses > MISSES_FREE)
        p->skips = 1u << (p->misses - MISSES_FREE);
    return false;
}

static void blend(uint64_t *rate, uint64_t measured)
{
    *rate = (3 * *rate + measured) / 4;
    if (*rate < RATE_MIN)
        *rate = RATE_MIN;
}

static void raise_to(uint64_t *rate, uint64_t least)
{
    if (*rate < least && least < RATE_MAX)
        *rate = least;
}

void mfs_pack_took(struct mfs_pack_policy *p, size_t bytes, uint64_t took_ns)
{
    if (bytes >= SPEED_BYTES_MIN)
        blend(&p->pack_rate, (uint64_t)bytes * 1000000000u / (took_ns ? took_ns : 1));
    p->span_pack_ns += took_ns;
}

void mfs_pack_sent(struct mfs_pack_policy *p, size_t bytes, uint64_t began_us,
                   uint64_t ended_us)
{
    bool was_idle = !p->last_us || began_us > p->last_us + MFS_PACK_IDLE_US;
    if (was_idle) { /* what goes now may go into empty buffers, and says little of the wire */
        p->span_start_us = began_us;
        p->span_bytes = p->span_busy_us = p->span_pack_ns = 0;
    }
    p->last_us = ended_us;
    p->span_bytes += bytes;
    p->span_busy_us += ended_us > began_us ? ended_us - began_us : 0;
    uint64_t span_us = ended_us - p->span_start_us;
    if (ended_us < p->span_start_us || span_us < MFS_PACK_SPAN_US)
        return;
    bool is_seen = span_us <= 2 * p->span_busy_us;
    if (!is_seen && p->span_bytes < MFS_PACK_BUFFERS)
        return;
    p->sure_spans = is_seen ? SURE_SPANS : p->sure_spans ? p->sure_spans - 1 : 0;
    if (is_seen)
        blend(&p->wire_rate, p->span_bytes * 1000000u / p->span_busy_us);
    else if (!p->sure_spans && span_us <= 2 * (p->span_pack_ns / 1000))
        raise_to(&p->wire_rate, 4 * p->wire_rate);
    else
        raise_to(&p->wire_rate, p->span_bytes * 1000000u / span_us);
    p->span_start_us = ended_us;
    p->span_bytes = p->span_busy_us = p->span_pack_ns = 0;
}
