/* SPDX-License-Identifier: GPL-2.0-or-later */
/* readings.c: files of /proc, kept open and read again.
 * Must not know: who wants them. */
#include "mosix-core/mosixd/readings.h"

#include "common/base/err.h"
#include "common/sys/fd.h"
#include "common/sys/mem.h"
#include "mosix-core/mosixd/processor.h"

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { TEXT_BYTES = 256 << 10 }; /* /proc/stat has a long line of interrupts */

static int open_file(const char *path)
{
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* Returns the text, which the next call overwrites, or NULL. */
static const char *again(int fd)
{
    static char text[TEXT_BYTES];
    size_t done = 0;
    while (fd >= 0 && done < sizeof text - 1) {
        ssize_t n = pread(fd, text + done, sizeof text - 1 - done, (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    text[done] = 0;
    return done ? text : NULL;
}

void mx_readings_step(struct mx_readings *r)
{
    struct mx_cpu_sums sums;
    const char *text = again(r->stat);
    if (text && mx_stat_parse(text, &sums) == 0) {
        sums.running -= sums.running > 0; /* we who read */
        if (r->has_sums)
            r->runnable_centi = mx_runnable_centi(&r->sums, &sums);
        r->sums = sums;
        r->raw_centi = r->runnable_centi / sums.cores;
        if (r->has_sums)
            mx_load_step(&r->load, r->raw_centi);
        r->has_sums = true;
        r->about.cores = (uint16_t)(sums.cores < UINT16_MAX ? sums.cores : UINT16_MAX);
        unsigned used = (r->runnable_centi + 50) / 100;
        r->idle_cores = used < sums.cores ? sums.cores - used : 0;
    }
    struct mx_memory memory;
    text = again(r->meminfo);
    if (text && mx_meminfo_parse(text, &memory) == 0) {
        r->memory = memory;
        r->about.memory_mb = (uint32_t)(memory.total_kb >> 10);
        r->about.swap_mb = (uint32_t)(memory.swap_kb >> 10);
    }
    r->has_psi = false;
    for (unsigned i = 0; i < MX_PSI_KINDS; i++)
        if ((text = again(r->pressure[i])) && mx_pressure_parse(text, &r->psi[i]) == 0)
            r->has_psi = true;
    unsigned one_min;
    if ((text = again(r->loadavg)) && mx_loadavg_parse(text, &one_min) == 0)
        r->one_min_centi = one_min;
}

int mx_readings_open(struct mx_readings *r, struct err *e)
{
    static const char *const pressures[MX_PSI_KINDS] = { "/proc/pressure/cpu",
                                                         "/proc/pressure/memory",
                                                         "/proc/pressure/io" };
    struct utsname u;
    *r = (struct mx_readings){ .stat = open_file("/proc/stat"),
                               .meminfo = open_file("/proc/meminfo"),
                               .loadavg = open_file("/proc/loadavg") };
    for (unsigned i = 0; i < MX_PSI_KINDS; i++)
        r->pressure[i] = open_file(pressures[i]);
    AUTO_FD info = open_file("/proc/cpuinfo");
    if (r->stat < 0 || r->meminfo < 0 || info < 0 || uname(&u) < 0)
        return err_set(e, errno, "read /proc");
    const char *text = again(info);
    r->about.cpu = text ? mx_cpu_of(text) : 0;
    r->about.cpu_level = (uint8_t)mx_cpu_level(r->about.cpu);
    snprintf(r->about.kernel, sizeof r->about.kernel, "%.39s", u.release);
    snprintf(r->about.version, sizeof r->about.version, "%.39s", PACKAGE_VERSION);
    r->about.speed = mx_speed_measure();
    mx_readings_step(r);
    return r->has_sums && r->memory.total_kb ? 0
                                             : err_say(e, EPROTO, "/proc says nothing of use");
}

void mx_readings_close(struct mx_readings *r)
{
    fd_close(&r->stat);
    fd_close(&r->meminfo);
    fd_close(&r->loadavg);
    for (unsigned i = 0; i < MX_PSI_KINDS; i++)
        fd_close(&r->pressure[i]);
}
