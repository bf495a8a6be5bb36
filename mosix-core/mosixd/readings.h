/* SPDX-License-Identifier: GPL-2.0-or-later */
/* readings.h: the figures of this node, read from /proc, and its speed.
 * Must not know: who wants them. */
#ifndef MOSIX_CORE_MOSIXD_READINGS_H
#define MOSIX_CORE_MOSIXD_READINGS_H

#include "common/base/err.h"
#include "mosix-core/mosixd/figures.h"

enum mx_pressure { MX_PSI_CPU, MX_PSI_MEMORY, MX_PSI_IO, MX_PSI_KINDS };

struct mx_readings {
    int stat, meminfo, loadavg,
        pressure[MX_PSI_KINDS]; /* files, kept open; -1: there is none */
    bool has_psi, has_sums;
    struct mx_cpu_sums sums;
    struct mx_memory memory;
    struct mx_psi psi[MX_PSI_KINDS];
    unsigned runnable_centi, one_min_centi, raw_centi; /* raw: runnable for each core */
    struct mx_load load;
    struct mx_about about;
    uint32_t idle_cores;
};

/* Opens, measures the speed (some 30 ms of computing), reads for the first time. Returns 0 or
 * -errno. */
MUST int mx_readings_open(struct mx_readings *r, struct err *e);
/* Reads anew; once a second. What can't be read stays as it was. */
void mx_readings_step(struct mx_readings *r);
void mx_readings_close(struct mx_readings *r);

/* Of one core: MX_SPEED_STANDARD is one that makes 200 million steps a second of the loop in
 * speed.c, which multiplies, shifts and looks up in 32 KiB. The best of several runs, by the
 * time that this thread computed, so that a busy computer is measured right. */
uint32_t mx_speed_measure(void);

#endif
