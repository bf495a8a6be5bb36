/* SPDX-License-Identifier: GPL-2.0-or-later */
/* naming.c: see naming.h.
 * Must not know: how chunks are read and named. */
#include "mrcfs/chunks/naming.h"

enum { MOST = 768 }; /* misses in 1024 above which it is only tried now and then */

enum mfs_naming_choice mfs_naming_choose(struct mfs_naming *n, uint64_t wire_rate, bool has_any)
{
    if (wire_rate < MFS_NAMING_FAST)
        return MFS_NAME_ALL;
    bool is_tried = n->misses_1024 <= MOST || n->turn++ % MFS_NAMING_TRIES == 0;
    return has_any && is_tried ? MFS_NAME_KNOWN : MFS_NAME_NONE;
}

void mfs_naming_saw(struct mfs_naming *n, unsigned known, unsigned count)
{
    if (count)
        n->misses_1024 = (3 * n->misses_1024 + 1024 * (count - known) / count) / 4;
}
