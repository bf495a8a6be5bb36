/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cachecommand.c: what users see and do of the cache of contents.
 * Must not know: who asks. */
#include "mrcfs/mrcfs.h"

#include "mrcfs/chunkstore.h"

#include <errno.h>
#include <stdio.h>

static int show(struct mfs_store *s, const char *dir, char *text, size_t size_bytes)
{
    struct mfs_store_usage u;
    int rc = mfs_store_scan(s, NULL, NULL, &u);
    if (rc < 0)
        return rc;
    return snprintf(text, size_bytes,
                    "%s/chunks: %llu bytes in %llu chunks; at most %llu bytes\n", dir,
                    (unsigned long long)u.bytes, (unsigned long long)u.chunks,
                    (unsigned long long)u.limit_bytes);
}

static int clear(struct mfs_store *s, const char *dir, char *text, size_t size_bytes)
{
    uint64_t removed_bytes;
    int rc = mfs_store_clear(s, &removed_bytes, NULL);
    if (rc < 0)
        return rc;
    return snprintf(text, size_bytes, "%s/chunks: %llu bytes removed\n", dir,
                    (unsigned long long)removed_bytes);
}

int mfs_cache_command(const char *dir, bool is_clearing, char *text, size_t size_bytes)
{
    struct mfs_store *s;
    int rc = mfs_store_open_existing(&(struct mfs_store_opts){ .dir = dir }, &s, NULL);
    if (rc == -ENOENT)
        return snprintf(text, size_bytes, "%s/chunks: there is no cache\n", dir);
    if (rc < 0)
        return rc;
    rc = (is_clearing ? clear : show)(s, dir, text, size_bytes);
    mfs_store_close(s);
    return rc >= 0 && (size_t)rc >= size_bytes ? -ENAMETOOLONG : rc;
}
