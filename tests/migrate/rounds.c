/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rounds.c: a program that changes its memory in every way is sent in rounds while it does so,
 * and its copy compared with it, page by page, when both stand still; two of three times the
 * rounds are collected on their way: in a file, or in memory of a process that becomes the
 * copy. rounds [SEED [TIMES]] */
#include "common/sys/fd.h"
#include "mosix-core/image/capture.h"
#include "mosix-core/image/collect.h"
#include "mosix-core/image/maps.h"
#include "mosix-core/image/parts.h"
#include "mosix-core/image/restore.h"
#include "mosix-core/image/scan.h"
#include "mosix-core/image/send.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, REGIONS = 48, PAGES_MOST = 300, FILE_PAGES = 64, ROUNDS = 5 };

static uint64_t state;
static uint32_t rnd(uint32_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

static void broken(const char *what)
{
    fprintf(stderr, "rounds: %s: %s\n", what, strerror(errno));
    exit(99);
}

/* ---- the program ---- */

static struct region {
    char *at;
    size_t pages;
} regions[REGIONS];

static void map_one(struct region *r, int file)
{
    bool is_file = rnd(4) == 0;
    r->pages = 1 + rnd(is_file ? FILE_PAGES + 8 : PAGES_MOST);
    int flags =
        is_file ? MAP_PRIVATE : MAP_PRIVATE | MAP_ANONYMOUS | (rnd(4) ? 0 : MAP_NORESERVE);
    r->at = mmap(NULL, r->pages * PAGE, PROT_READ | PROT_WRITE, flags, is_file ? file : -1, 0);
    if (r->at == MAP_FAILED)
        broken("mmap");
}

/* Behind the end of the file nothing may be touched. */
static void touch(const struct region *r)
{
    size_t end = r->pages < FILE_PAGES ? r->pages : FILE_PAGES;
    for (unsigned i = 0; i < 8; i++)
        r->at[(size_t)rnd((uint32_t)end) * PAGE + rnd(PAGE)] = (char)rnd(3);
    if (rnd(8) == 0)
        memset(r->at + (size_t)rnd((uint32_t)end) * PAGE, 0, PAGE); /* zero again */
}

static void change(struct region *r, int file)
{
    size_t first, count;
    if (!r->at) {
        map_one(r, file);
        return;
    }
    first = rnd((uint32_t)r->pages);
    count = 1 + rnd((uint32_t)(r->pages - first));
    switch (rnd(12)) {
    case 0:
        munmap(r->at, r->pages * PAGE);
        r->at = NULL;
        break;
    case 1: madvise(r->at + first * PAGE, count * PAGE, MADV_DONTNEED); break;
    case 2: /* another in the same place */
        if (mmap(r->at, r->pages * PAGE, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
            broken("mmap again");
        break;
    case 3: {
        size_t pages = 1 + rnd(PAGES_MOST);
        char *at = mremap(r->at, r->pages * PAGE, pages * PAGE, MREMAP_MAYMOVE);
        if (at != MAP_FAILED)
            *r = (struct region){ at, pages };
        break;
    }
    case 4: /* protections that come and go */
        mprotect(r->at + first * PAGE, count * PAGE, rnd(2) ? PROT_READ : PROT_NONE);
        sched_yield();
        mprotect(r->at, r->pages * PAGE, PROT_READ | PROT_WRITE);
        break;
    case 5: /* a part of it ends */
        munmap(r->at + first * PAGE, (r->pages - first) * PAGE);
        r->pages = first;
        if (!first)
            r->at = NULL;
        break;
    default: touch(r); break;
    }
}

static _Noreturn void program(int ready)
{
    FILE *f = tmpfile();
    char page[PAGE];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (unsigned i = 0; f && i < FILE_PAGES; i++) {
        memset(page, 'a' + (int)(i % 26), sizeof page);
        if (fwrite(page, 1, sizeof page, f) != sizeof page)
            broken("fill a file");
    }
    if (!f || fflush(f) < 0)
        broken("make a file");
    for (unsigned i = 0; i < 4 * REGIONS; i++)
        change(&regions[rnd(REGIONS)], fileno(f));
    if (write(ready, "r", 1) != 1)
        _exit(1);
    for (;;) {
        change(&regions[rnd(REGIONS)], fileno(f));
        if (rnd(8) == 0) {
            struct timespec some = { 0, 20000 };
            nanosleep(&some, NULL);
        }
    }
}

/* ---- its copy ---- */

static int inside(void *ctx, struct err *e)
{
    (void)ctx;
    (void)e;
    return 0;
}

/* How rounds come to the copy. */
enum way { AS_THEY_COME, IN_A_FILE, PARKED, WAYS };

/* As on the way home: rounds are collected, and the copy is made of one image. */
static _Noreturn void collector(int from, int to, int memory)
{
    struct mx_collect_how how = { .from = from, .to = to, .bytes_max = 1 << 30 };
    struct err e = { "" };
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (memory >= 0) {
        how.park_start = MX_PARK_AT;
        how.park_end = MX_PARK_AT + MX_PARK_BYTES;
        how.park_memory = memory;
    }
    if (mx_collect(&how, &e) == 0)
        _exit(0);
    fprintf(stderr, "rounds: the collector: %s\n", e.text);
    _exit(1);
}

/* A process with memory of its own, and room for that of another. */
static int make_stub(struct mx_tracee *t, struct err *e)
{
    struct mx_maps maps = { 0 };
    struct mx_call park = { SYS_mmap,
                            { MX_PARK_AT, MX_PARK_BYTES, PROT_NONE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, UINT64_MAX,
                              0 } };
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    int rc = mx_tracee_seize(t, pid, true, e);
    if (rc == 0)
        rc = mx_maps_read_places(&maps, pid, e);
    if (rc == 0)
        rc = mx_capture_find_call(t, &maps, e);
    mx_maps_fini(&maps);
    return rc == 0 ? mx_tracee_must(t, &park, "mmap", e) : rc;
}

static int restore(int sock, enum way way, struct mx_restored *r, struct err *e)
{
    struct mx_restore_how how = { .is_body = true, .inside = inside };
    struct mx_park park = { .start = MX_PARK_AT, .end = MX_PARK_AT + MX_PARK_BYTES };
    struct mx_tracee stub = { .mem_fd = -1 };
    int further[2], pages;
    if (way == AS_THEY_COME)
        return mx_restore_as(sock, &how, r, e);
    if (fd_socketpair(further) < 0)
        broken("sockets");
    int rc = way == PARKED ? make_stub(&stub, e) : 0;
    if (rc < 0)
        return rc;
    if (fork() == 0)
        collector(sock, further[1], stub.mem_fd);
    close(further[1]);
    if (fd_receive(further[0], &pages) < 0)
        _exit(1);
    rc = mx_parked_get(further[0], &park, e);
    how.pages = &pages;
    if (way == PARKED)
        how = (struct mx_restore_how){ .stub = &stub, .pages = &pages, .park = &park };
    if (rc == 0 && way == PARKED && park.count == 0)
        rc = err_say(e, EPROTO, "nothing is parked");
    return rc < 0 ? rc : mx_restore_as(further[0], &how, r, e);
}

static _Noreturn void copy(int sock, enum way way, int report)
{
    struct mx_restored r;
    struct err e = { "" };
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (restore(sock, way, &r, &e) < 0) {
        fprintf(stderr, "rounds: the copy: %s\n", e.text);
        _exit(1);
    }
    if (write(report, &r.pid, sizeof r.pid) != (ssize_t)sizeof r.pid)
        _exit(1);
    for (;;)
        pause();
}

/* ---- comparing ---- */

static int open_mem(pid_t pid)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        broken(path);
    return fd;
}

/* The kernel writes there by itself, of each process what is so of it. */
static void mask_rseq(pid_t pid, uint64_t page, char *bytes)
{
    struct __ptrace_rseq_configuration r = { 0 };
    if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, pid, sizeof r, &r) < 0)
        broken("ask for the rseq area");
    if (r.rseq_abi_pointer - page < PAGE)
        memset(bytes + (r.rseq_abi_pointer - page), 0, r.rseq_abi_size);
}

static unsigned compare(pid_t a, pid_t b, unsigned *pages)
{
    struct mx_maps maps = { 0 }, copies = { 0 };
    struct err e = { "" };
    unsigned wrong = 0;
    AUTO_FD first = open_mem(a), second = open_mem(b);
    if (mx_maps_read(&maps, a, true, &e) < 0 || mx_maps_read(&copies, b, false, &e) < 0)
        broken(e.text);
    for (uint32_t i = 0; i < maps.count; i++) {
        const struct mx_sec_mapping *m = &maps.list[i];
        for (uint64_t at = m->start; m->kind == MX_MAP_MEMORY && at < m->end; at += PAGE) {
            const struct mx_sec_mapping *c =
                mx_mapping_find(copies.list, copies.count, at, at + PAGE);
            char x[PAGE], y[PAGE];
            if (pread(first, x, PAGE, (off_t)at) != PAGE)
                memset(x, 0, PAGE); /* behind the end of a file */
            bool is_same = c && c->prot == m->prot && pread(second, y, PAGE, (off_t)at) == PAGE;
            if (is_same) {
                mask_rseq(a, at, x);
                mask_rseq(a, at, y);
                is_same = memcmp(x, y, PAGE) == 0;
            }
            if (!is_same && wrong++ < 5)
                fprintf(stderr,
                        "rounds: page %#llx of %#llx-%#llx %s: %02x is %02x in the copy: %s\n",
                        (unsigned long long)at, (unsigned long long)m->start,
                        (unsigned long long)m->end,
                        m->path.len ? (const char *)m->path.ptr : "memory", x[8], c ? y[8] : 0,
                        !c                   ? "not mapped"
                        : c->prot != m->prot ? "protection"
                                             : "contents");
            (*pages)++;
        }
    }
    for (uint32_t i = 0; i < copies.count; i++) /* nothing is left over */
        if (copies.list[i].kind == MX_MAP_MEMORY)
            for (uint64_t at = copies.list[i].start; at < copies.list[i].end; at += PAGE)
                wrong += !mx_mapping_find(maps.list, maps.count, at, at + PAGE);
    mx_maps_fini(&maps);
    mx_maps_fini(&copies);
    return wrong;
}

static atomic_uint rounds;
static atomic_bool has_failed;
static void on_round(void *ctx, int rc, uint32_t left_ms, const struct err *e)
{
    (void)ctx;
    (void)left_ms;
    if (rc < 0) {
        fprintf(stderr, "rounds: %s\n", e->text);
        atomic_store(&has_failed, true);
    }
    atomic_fetch_add(&rounds, 1);
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
        ;
}

static unsigned once(enum way way, unsigned *pages)
{
    int pair[2], ready[2], report[2], uffd = -1;
    char word;
    pid_t copied;
    struct err e = { "" };
    struct mx_send *s;
    if (fd_socketpair(pair) < 0 || fd_pipe(ready) < 0 || fd_pipe(report) < 0)
        broken("sockets");
    pid_t pid = fork();
    if (pid == 0)
        program(ready[1]);
    pid_t other = fork();
    if (other == 0) {
        close(pair[0]);
        copy(pair[1], way, report[1]);
    }
    close(pair[1]);
    close(report[1]);
    if (read(ready[0], &word, 1) != 1 || mx_capture_watch(pid, &uffd, &e) < 0) {
        fprintf(stderr, "rounds: %s\n", e.text);
        exit(e.text[0] ? 77 : 99);
    }
    atomic_store(&rounds, 0);
    struct mx_send_how how = {
        .pid = pid, .what_for = MX_CAPTURE_MOVE, .fd = pair[0], .uffd = uffd, .round = on_round
    };
    if (mx_send_start(&s, &how, &e) < 0)
        broken(e.text);
    unsigned want = rnd(ROUNDS);
    for (unsigned i = 0; i < 5000 && atomic_load(&rounds) < want && !atomic_load(&has_failed);
         i++) {
        struct timespec some = { 0, 1000000 };
        nanosleep(&some, NULL);
    }
    mx_send_stop(s);
    struct mx_capture c = { .what_for = MX_CAPTURE_MOVE };
    if (mx_capture_stop(&c, pid, &e) < 0 || mx_send_rest(s, &c, &e) < 0)
        broken(e.text);
    mx_send_free(s);
    if (read(report[0], &copied, sizeof copied) != (ssize_t)sizeof copied)
        broken("the copy was not made");
    unsigned wrong = compare(pid, copied, pages);
    end(other);
    end(pid);
    close(pair[0]);
    close(ready[0]);
    close(ready[1]);
    close(report[0]);
    close(uffd);
    return wrong;
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    unsigned times = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 15, wrong = 0, pages = 0;
    for (unsigned i = 0; i < times && !wrong; i++) {
        state = seed + i;
        wrong = once((enum way)(i % WAYS), &pages);
        if (wrong)
            fprintf(stderr, "rounds: %u pages are wrong: seed %llu\n", wrong,
                    (unsigned long long)(seed + i));
    }
    printf("%u times, %u pages\n", times, pages);
    return wrong || atomic_load(&has_failed);
}
