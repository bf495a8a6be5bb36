/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fds.h: sets of a process's descriptors, and how often in a row some of them were used.
 * Must not know: what for. */
#ifndef MOSIX_CORE_DEPUTY_FDS_H
#define MOSIX_CORE_DEPUTY_FDS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    MX_FDS_MAX = 256, /* descriptors from there on are in no set */
    MX_RUNS = 4,      /* of so many it is counted how often */
};

/* All zero: none. */
struct mx_fds {
    uint8_t bits[MX_FDS_MAX / 8];
};
bool mx_fds_has(const struct mx_fds *s, int64_t fd);
/* Whether it is in it from now on. */
void mx_fds_put(struct mx_fds *s, int64_t fd, bool is_in);

/* All zero: none was used. */
struct mx_runs {
    struct mx_run {
        int fd;
        unsigned count;
    } list[MX_RUNS];
    unsigned next;
};
/* How often it was used in a row, to be counted. The one that was looked at first makes place.
 */
unsigned *mx_run_of(struct mx_runs *r, int fd);

#endif
