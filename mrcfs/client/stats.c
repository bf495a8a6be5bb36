/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stats.c: what a client tells of itself. */
#include "mrcfs/client/chunks.h"
#include "mrcfs/client/client.h"

void mfs_client_stats(const struct mfs_client *c, struct mfs_stats *out)
{
    *out = c->stats;
    struct mfs_chunks_stats chunks = { 0 };
    if (c->chunks)
        mfs_chunks_stats(c->chunks, &chunks);
    out->chunks_used = chunks.used;
    out->chunk_bytes_used = chunks.used_bytes;
    out->chunks_missed = chunks.missed;
    out->chunks_kept = chunks.kept;
    out->chunks_left_out = chunks.left_out;
    out->round_trips_waited = c->depth_seen;
}

void mfs_client_cache_off(const struct mfs_client *c, char *text, size_t size_bytes)
{
    *text = 0;
    if (c->chunks)
        mfs_chunks_why_off(c->chunks, text, size_bytes);
}
