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

static _Noreturn void work(int from, int to, int notes)
{
    struct said said = { .notes = notes };
    struct err e = { "" };
    const struct mx_collect_how how = { .from = from,
                                        .to = to,
                                        .bytes_max = available_kib() / 2 << 10,
                                        .some = some,
                                        .ctx = &said };
    title_set("mosixd: an image that comes home");
    mx_be_prompt(0, true);
    if (mx_confine(MX_CONFINE_COLLECTOR) < 0)
        log_at(LOG_VERBOSE, "who collects an image keeps its rights");
    int rc = mx_collect(&how, &e);
    _exit(rc < 0 && mx_hands_say(notes, 0, rc, 0, &e) < 0);
}

int mx_collector_start(struct mx_conn *c, int from, struct err *e)
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
        const int kept[3] = { in, theirs, their_notes };
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
            _exit(1);
        fd_close_all_but(kept, 3);
        work(in, theirs, their_notes);
    }
    *c = (struct mx_conn){ pid, take_fd(&ours), take_fd(&our_notes) };
    return 0;
}
