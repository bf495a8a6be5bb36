/* SPDX-License-Identifier: GPL-2.0-or-later */
/* figures.c: texts of /proc, smoothing, coding. Source: proc(5), psi in the kernel's
 * Documentation/accounting.
 * Must not know: files, clocks. */
#include "mosix-core/mosixd/figures.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where a line that begins with these words begins, or NULL. */
static const char *find_line(const char *text, const char *begin)
{
    size_t len = strlen(begin);
    for (const char *line = text; line && *line;) {
        if (strncmp(line, begin, len) == 0)
            return line + len;
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    return NULL;
}

/* Numbers in a row, at most max. Returns how many there are. */
static unsigned take_numbers(const char *at, uint64_t *out, unsigned max)
{
    unsigned count = 0;
    while (at && count < max) {
        char *end;
        while (*at == ' ' || *at == '\t')
            at++;
        if (!isdigit((unsigned char)*at))
            break;
        out[count++] = strtoull(at, &end, 10);
        at = end;
    }
    return count;
}

/* cpu: user nice system idle iowait irq softirq steal (guest is in user already). Time that was
 * stolen is time that somebody here wanted to compute. */
int mx_stat_parse(const char *text, struct mx_cpu_sums *s)
{
    uint64_t t[8] = { 0 }, running;
    if (take_numbers(find_line(text, "cpu "), t, 8) < 4 ||
        take_numbers(find_line(text, "procs_running "), &running, 1) != 1 || running > 1 << 20)
        return -EPROTO;
    s->busy = t[0] + t[1] + t[2] + t[5] + t[6] + t[7];
    s->all = s->busy + t[3] + t[4];
    s->running = (unsigned)running;
    s->cores = 0;
    for (const char *at = text; (at = find_line(at, "cpu"));
         s->cores += isdigit((unsigned char)*at) != 0)
        ;
    return s->cores ? 0 : -EPROTO;
}

int mx_meminfo_parse(const char *text, struct mx_memory *m)
{
    if (take_numbers(find_line(text, "MemTotal:"), &m->total_kb, 1) != 1 ||
        take_numbers(find_line(text, "MemAvailable:"), &m->available_kb, 1) != 1 ||
        take_numbers(find_line(text, "SwapTotal:"), &m->swap_kb, 1) != 1 ||
        take_numbers(find_line(text, "SwapFree:"), &m->swap_free_kb, 1) != 1)
        return -EPROTO;
    if (m->available_kb > m->total_kb)
        m->available_kb = m->total_kb;
    if (m->swap_free_kb > m->swap_kb)
        m->swap_free_kb = m->swap_kb;
    return 0;
}

/* "12.34" in hundredths. */
static int take_centi(const char *at, unsigned *out)
{
    char *end;
    if (!at || !isdigit((unsigned char)*at))
        return -EPROTO;
    unsigned long whole = strtoul(at, &end, 10);
    if (end[0] != '.' || !isdigit((unsigned char)end[1]) || !isdigit((unsigned char)end[2]) ||
        whole > 1000000)
        return -EPROTO;
    *out = (unsigned)whole * 100 + (unsigned)(end[1] - '0') * 10 + (unsigned)(end[2] - '0');
    return 0;
}

int mx_pressure_parse(const char *text, struct mx_psi *p)
{
    *p = (struct mx_psi){ .has_some = false };
    p->has_some = take_centi(find_line(text, "some avg10="), &p->some_centi) == 0;
    p->has_full = take_centi(find_line(text, "full avg10="), &p->full_centi) == 0;
    return p->has_some ? 0 : -EPROTO;
}

int mx_loadavg_parse(const char *text, unsigned *one_min_centi)
{
    return take_centi(text, one_min_centi);
}

/* ---- load ---- */

unsigned mx_runnable_centi(const struct mx_cpu_sums *before, const struct mx_cpu_sums *now)
{
    uint64_t all = now->all - before->all, busy = now->busy - before->busy;
    if (now->all <= before->all || now->busy < before->busy || busy > all)
        return 0;
    uint64_t computed = busy * 100 * now->cores / all;
    unsigned waiting = now->running > now->cores ? now->running - now->cores : 0;
    return (unsigned)computed + waiting * 100;
}

void mx_load_step(struct mx_load *l, uint32_t raw_centi)
{
    if (!l->is_begun)
        *l = (struct mx_load){ raw_centi, raw_centi, true };
    l->own = raw_centi > l->own ? (5 * l->own + 3 * raw_centi + 7) / 8 : raw_centi;
    l->told = raw_centi >= l->told ? raw_centi : (7 * l->told + raw_centi) / 8;
}

uint32_t mx_load_normal(uint32_t raw_centi, uint32_t speed)
{
    return speed ? (uint32_t)((uint64_t)raw_centi * MX_SPEED_STANDARD / speed) : 0;
}

uint32_t mx_load_raw(uint32_t normal_centi, uint32_t speed)
{
    return (uint32_t)((uint64_t)normal_centi * speed / MX_SPEED_STANDARD);
}

/* ---- what is told ---- */

static const uint8_t psi_least[MX_PSI_CLASSES] = { 0, 1, 5, 10, 20, 40, 60, 80 };

unsigned mx_psi_class(unsigned some_centi)
{
    unsigned class = MX_PSI_CLASSES - 1;
    while (class && some_centi < psi_least[class] * 100u)
        class --;
    return class;
}

unsigned mx_psi_least_pct(unsigned psi_class)
{
    return psi_least[psi_class % MX_PSI_CLASSES];
}

uint8_t mx_flags_put(const struct mx_flags *f)
{
    return (uint8_t)((f->psi_class & 7) | (f->swap_eighths & 7) << 3 | f->is_blocked << 6 |
                     f->is_freezing << 7);
}

struct mx_flags mx_flags_get(uint8_t byte)
{
    return (struct mx_flags){ .psi_class = byte & 7,
                              .swap_eighths = byte >> 3 & 7,
                              .is_blocked = byte >> 6 & 1,
                              .is_freezing = byte >> 7 };
}

enum { ABOUT_VERSION = 1 };

void mx_about_put(struct wr *w, const struct mx_about *a)
{
    put_u8(w, ABOUT_VERSION);
    put_u16(w, a->cores);
    put_u32(w, a->speed);
    put_u32(w, a->memory_mb);
    put_u32(w, a->swap_mb);
    put_u8(w, a->cpu_level);
    put_u16(w, a->guests_max);
    put_bytes(w, bytes_of(a->kernel));
    put_bytes(w, bytes_of(a->version));
    put_u64(w, a->cpu);
}

/* It is shown to people, and comes from elsewhere. */
static int take_text(struct rd *r, char out[MX_ABOUT_TEXT_MAX + 1])
{
    struct bytes v;
    if (get_bytes(r, &v) < 0 || bytes_to_text(v, out, MX_ABOUT_TEXT_MAX + 1) < 0)
        return -EPROTO;
    for (char *at = out; *at; at++)
        if (*at < ' ' || *at > '~')
            *at = '?';
    return 0;
}

int mx_about_get(struct rd *r, struct mx_about *a)
{
    struct mx_about v = { .cores = 0 };
    uint8_t version;
    if (get_u8(r, &version) < 0 || version != ABOUT_VERSION || get_u16(r, &v.cores) < 0 ||
        get_u32(r, &v.speed) < 0 || get_u32(r, &v.memory_mb) < 0 ||
        get_u32(r, &v.swap_mb) < 0 || get_u8(r, &v.cpu_level) < 0 ||
        get_u16(r, &v.guests_max) < 0 || take_text(r, v.kernel) < 0 ||
        take_text(r, v.version) < 0)
        return -EPROTO;
    if (rd_left(r) && get_u64(r, &v.cpu) < 0)
        return -EPROTO;
    *a = v; /* what a later version adds is behind */
    return 0;
}
