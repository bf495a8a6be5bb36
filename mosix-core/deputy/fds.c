/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fds.c: descriptors by their numbers. Must not know: what for. */
#include "mosix-core/deputy/fds.h"

bool mx_fds_has(const struct mx_fds *s, int64_t fd)
{
    return fd >= 0 && fd < MX_FDS_MAX && s->bits[fd / 8] >> fd % 8 & 1;
}

void mx_fds_put(struct mx_fds *s, int64_t fd, bool is_in)
{
    if (fd < 0 || fd >= MX_FDS_MAX)
        return;
    uint8_t bit = (uint8_t)(1 << fd % 8), *byte = &s->bits[fd / 8];
    *byte = (uint8_t)(is_in ? *byte | bit : *byte & ~bit);
}

unsigned *mx_run_of(struct mx_runs *r, int fd)
{
    for (unsigned i = 0; i < MX_RUNS; i++)
        if (r->list[i].count && r->list[i].fd == fd)
            return &r->list[i].count;
    struct mx_run *run = &r->list[r->next++ % MX_RUNS];
    *run = (struct mx_run){ .fd = fd };
    return &run->count;
}
