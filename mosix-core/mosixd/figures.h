/* SPDX-License-Identifier: GPL-2.0-or-later */
/* figures.h: what texts of /proc say of a node, load that is smoothed, and what of it is told.
 * Must not know: files, clocks, who is told.
 * Load: 100 is one program that computes all the time, for each core (raw) of standard speed.
 * Source: docs/gossip.md, "Figures". */
#ifndef MOSIX_CORE_MOSIXD_FIGURES_H
#define MOSIX_CORE_MOSIXD_FIGURES_H

#include "common/base/wire.h"

enum {
    MX_SPEED_STANDARD = 10000,
    MX_MEMORY_STEP_MB = 16, /* of free memory as it is told */
    MX_ABOUT_TEXT_MAX = 39, /* bytes of a kernel's release and of a version */
    MX_PSI_CLASSES = 8,
};

/* Sums since the computer's start. */
struct mx_cpu_sums {
    uint64_t busy, all; /* in the same unit, of all cores */
    unsigned running;   /* processes that could run at that moment, the reader among them */
    unsigned cores;
};

struct mx_memory {
    uint64_t total_kb, available_kb, swap_kb, swap_free_kb;
};

struct mx_psi {
    bool has_some, has_full;
    unsigned some_centi, full_centi; /* percent of the last ten seconds, times 100 */
};

/* Each returns 0, or -EPROTO for a text that is not what it should be. */
MUST int mx_stat_parse(const char *text, struct mx_cpu_sums *s);
MUST int mx_meminfo_parse(const char *text, struct mx_memory *m);
MUST int mx_pressure_parse(const char *text, struct mx_psi *p);
MUST int mx_loadavg_parse(const char *text, unsigned *one_min_centi);

/* Hundredths of processes that ran or could have run on average between two readings: time that
 * was computed, and what waited at the second of them. */
unsigned mx_runnable_centi(const struct mx_cpu_sums *before, const struct mx_cpu_sums *now);

/* Two values with different inertia, as the original had them: by the own one a node judges
 * itself, it rises slowly and falls at once; the told one rises at once and falls slowly, so
 * that a node that has just become idle is not flooded. In hundredths, raw. */
struct mx_load {
    uint32_t own, told;
    bool is_begun;
};
void mx_load_step(struct mx_load *l, uint32_t raw_centi);
/* By speed. */
uint32_t mx_load_normal(uint32_t raw_centi, uint32_t speed);
uint32_t mx_load_raw(uint32_t normal_centi, uint32_t speed);

/* Of gossip's flags. */
struct mx_flags {
    unsigned psi_class;           /* of memory: 0 to 7 */
    unsigned swap_eighths;        /* used: 0 to 7 */
    bool is_blocked, is_freezing; /* takes no guests; has frozen processes */
};
uint8_t mx_flags_put(const struct mx_flags *f);
struct mx_flags mx_flags_get(uint8_t byte);
unsigned mx_psi_class(unsigned some_centi);
unsigned mx_psi_least_pct(unsigned psi_class);

/* What a node says of itself beside load. */
struct mx_about {
    uint16_t cores;
    uint32_t speed, memory_mb, swap_mb;
    uint8_t cpu_level; /* as of mx_cpu_level() */
    uint16_t guests_max; /* 0: no limit is set */
    char kernel[MX_ABOUT_TEXT_MAX + 1], version[MX_ABOUT_TEXT_MAX + 1];
    uint64_t cpu; /* as of mx_cpu_of(); 0: it does not say */
};
void mx_about_put(struct wr *w, const struct mx_about *a);
MUST int mx_about_get(struct rd *r, struct mx_about *a);

#endif
