/* SPDX-License-Identifier: GPL-2.0-or-later */
/* collector.c: mx_collect as a process.
 * Must not know: who decides. */
#include "mosix-core/move/collector.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/title.h"
#include "mosix-core/image/collect.h"
#include "mosix-core/image/parts.h"
#include "mosix-core/move/hands.h"
#include "mosix-core/net/confine.h"
#include "mosix-core/net/prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SPARE_KIB = 64 << 10, /* what has to be left beside two images */
};

static uint64_t available_kib(void)
{
    char line[128];
    unsigned long long kib = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && fgets(line, sizeof line, f) && sscanf(line, "MemAvailable: %llu", &kib) != 1)
        ;
    if (f)
        fclose(f);
    return kib;
}

bool mx_collector_has_room(pid_t stub)
{
    uint64_t kib;
    return mx_status_number(stub, "VmRSS", 10, &kib, NULL) == 0 &&
           available_kib() > 2 * kib + SPARE_KIB;
}

struct said {
    int notes;
    uint64_t ms;
};

static void some(void *ctx)
{
    struct said *s = ctx;
    mx_hands_get_on(s->notes, &s->ms);
}

static void parks(void *ctx, uint64_t end)
{
    const struct said *s = ctx;
    struct mx_note n = { .what = MX_HANDS_PARK, .big = (int64_t)end };
    if (mx_note_send(s->notes, &n, -1) < 0)
        _exit(1);
}

/* Without it, or when nothing can be written there, images are kept in a file. */
static int open_park(pid_t stub, const struct mx_range *park)
{
    static const uint8_t zeros[4096];
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/mem", (int)stub);
    int fd = park && park->end ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd >= 0 && pwrite(fd, zeros, sizeof zeros, (off_t)(park->end - sizeof zeros)) !=
                       (ssize_t)sizeof zeros)
        fd_close(&fd);
    return fd;
}

static _Noreturn void work(int from, int to, int notes, int stub_memory,
                           const struct mx_range *park)
{
    struct said said = { .notes = notes };
    struct err e = { "" };
    const struct mx_collect_how how = { .from = from,
                                        .to = to,
                                        .bytes_max = available_kib() / 2 << 10,
                                        .park_start = stub_memory < 0 ? 0 : park->start,
                                        .park_end = stub_memory < 0 ? 0 : park->end,
                                        .park_memory = stub_memory,
                                        .some = some,
                                        .parks = parks,
                                        .ctx = &said };
    title_set("mosixd: an image that comes home");
    mx_be_prompt(0, true);
    if (mx_confine(MX_CONFINE_COLLECTOR) < 0)
        log_at(LOG_VERBOSE, "who collects an image keeps its rights");
    int rc = mx_collect(&how, &e);
    _exit(rc < 0 && mx_hands_say(notes, 0, rc, 0, &e) < 0);
}

int mx_collector_start(struct mx_conn *c, int from, pid_t stub, const struct mx_range *park,
                       struct err *e)
{
    int plain[2], notes[2], rc = fd_socketpair(plain);
    pid_t parent = getpid();
    AUTO_FD in = from;
    if (rc < 0)
        return err_set(e, -rc, "make a pair of sockets");
    AUTO_FD ours = plain[0], theirs = plain[1];
    rc = mx_note_pair(notes);
    if (rc < 0)
        return err_set(e, -rc, "make a pair of sockets");
    AUTO_FD our_notes = notes[0], their_notes = notes[1];
    pid_t pid = fork();
    if (pid < 0)
        return err_set(e, errno, "start a process");
    if (pid == 0) {
        int memory = open_park(stub, park);
        const int kept[4] = { in, theirs, their_notes, memory };
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
            _exit(1);
        fd_close_all_but(kept, memory < 0 ? 3 : 4);
        work(in, theirs, their_notes, memory, park);
    }
    *c = (struct mx_conn){ pid, take_fd(&ours), take_fd(&our_notes) };
    return 0;
}
