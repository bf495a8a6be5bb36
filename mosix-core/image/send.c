/* SPDX-License-Identifier: GPL-2.0-or-later */
/* send.c: rounds, and what is left after them.
 * Must not know: where to. */
#include "mosix-core/image/send.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "mosix-core/image/memory.h"
#include "mosix-core/image/parts.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    PAUSE_MS = 20,    /* when so little is left that it will be told to stand still */
    MAPS_TRIES = 100, /* to read mappings that change meanwhile */
    /* Reading attributes of mappings costs the kernel a walk through all pages. What takes
     * longer is read before the process stands still, not longer before than this, and when
     * the rest is this near. */
    ATTRIBUTES_US = 500,
    ATTRIBUTES_AGE_US = 2000 * 1000,
    NEAR_MS = 300,
};

struct mx_send {
    struct mx_send_how how;
    struct mx_image_writer w;
    struct mx_memory memory;
    struct mx_pack pack;
    uint32_t round;
    pthread_t thread;
    bool has_thread;
    atomic_bool is_ended;
    int ended; /* eventfd: the same, to be waited for */
    int rc;    /* of what the thread has done */
    struct err e;
    /* What is known of its pace. */
    uint64_t wire;    /* bytes of pages in a millisecond, at best */
    uint64_t last_us; /* of the round before */
    uint32_t left_ms;
    /* Attributes of the mappings that were sent: when they were read, how long that took, how
     * much was locked; are_old: the mappings were there a round before that. */
    uint64_t attributes_us, attributes_took_us, locked;
    bool are_old;
};

static int begin_round(struct mx_send *s, bool is_last, struct err *e)
{
    const struct mx_clocks now = mx_clocks_now();
    struct mx_sec r = { .number = MX_SEC_round,
                        .round = { ++s->round, is_last,
                                   (uint64_t)(now.mono_ns + s->how.ahead.mono_ns),
                                   (uint64_t)(now.boot_ns + s->how.ahead.boot_ns) } };
    return mx_image_write(&s->w, &r, e);
}

static int begin(struct mx_send *s, struct err *e)
{
    struct mx_maps maps = { 0 };
    struct mx_tracee t = { .pid = s->how.pid, .mem_fd = s->memory.mem };
    int rc = mx_image_writer_init(&s->w, s->how.fd, e);
    if (rc == 0)
        rc = mx_maps_read_places(&maps, s->how.pid, e);
    if (rc == 0)
        rc = mx_capture_process(&t, &s->how.ahead, &maps, &s->w, e);
    mx_maps_fini(&maps);
    return rc;
}

/* ---- rounds ---- */

/* Waits until the other side has come to round s->round. Returns 0; -ECANCELED. */
static int await_other(struct mx_send *s, struct err *e)
{
    for (uint32_t said = 0; said != s->round;) {
        uint8_t bytes[4];
        struct pollfd p[2] = { { s->how.fd, POLLIN, 0 }, { s->ended, POLLIN, 0 } };
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return err_set(e, errno, "wait for the other node");
        if (p[1].revents)
            return -ECANCELED;
        if (!p[0].revents)
            continue;
        ssize_t n = fd_read_full(s->how.fd, bytes, sizeof bytes);
        struct rd r = rd_of(bytes, sizeof bytes);
        if (n != (ssize_t)sizeof bytes || get_u32(&r, &said) < 0 || said > s->round)
            return err_say(e, n < 0 ? (int)-n : EPROTO,
                           "the other node has let go of the image");
    }
    return 0;
}

static void pause_ms(const struct mx_send *s, int ms)
{
    struct pollfd p = { s->ended, POLLIN, 0 };
    if (poll(&p, 1, ms) < 0)
        return; /* a signal: no harm in going on */
}

static uint32_t estimate(struct mx_send *s, uint64_t bytes, uint64_t took_us)
{
    uint64_t pace = bytes * 1000 / took_us, left_ms = UINT32_MAX;
    uint64_t last_us = s->last_us;
    if (pace > s->wire)
        s->wire = pace;
    s->last_us = took_us;
    if (last_us && s->wire) /* these bytes were changed in the round before */
        left_ms = bytes * took_us / last_us / s->wire;
    return left_ms < UINT32_MAX ? (uint32_t)left_ms : UINT32_MAX;
}

static uint64_t locked_kib(const struct mx_send *s)
{
    uint64_t kib;
    return mx_status_number(s->how.pid, "VmLck", 10, &kib, NULL) < 0 ? UINT64_MAX : kib;
}

static int read_attributes(struct mx_send *s, struct mx_maps *maps, bool is_needed,
                           struct err *e)
{
    uint64_t start_us = clock_mono_us(), locked = locked_kib(s);
    int rc = is_needed ? mx_maps_read(maps, s->how.pid, true, e)
                       : mx_maps_read_again(maps, &s->memory.sent, s->how.pid, e);
    if (rc < 0 || (rc == 0 && !is_needed))
        return rc;
    s->attributes_us = start_us;
    s->attributes_took_us = clock_mono_us() - start_us;
    s->locked = locked;
    s->are_old = mx_maps_are_in_place(maps, &s->memory.sent);
    return 0;
}

static bool are_attributes_fresh(const struct mx_send *s)
{
    return s->are_old && clock_mono_us() - s->attributes_us < ATTRIBUTES_AGE_US;
}

static int read_maps(struct mx_send *s, struct mx_maps *maps, struct err *e)
{
    bool is_near = s->left_ms < NEAR_MS || s->round <= 2; /* the first of which has all */
    bool is_needed =
        is_near && s->attributes_took_us > ATTRIBUTES_US && !are_attributes_fresh(s);
    for (unsigned i = 0; i < MAPS_TRIES; i++) {
        int rc = read_attributes(s, maps, is_needed, e);
        if (rc < 0 || mx_maps_are_sorted(maps))
            return rc;
        mx_maps_fini(maps);
    }
    return err_say(e, EAGAIN, "process %d changes its mappings all the time", (int)s->how.pid);
}

/* Of a process that stands still. Where attributes were read a moment ago, of mappings that are
 * still the same and were not made just then, they are not read again: a process that has
 * changed one of them since, of a whole mapping and without moving its ends, is not seen to. */
static int read_last_maps(struct mx_send *s, struct mx_maps *maps, struct err *e)
{
    if (s->attributes_took_us <= ATTRIBUTES_US || !are_attributes_fresh(s) ||
        locked_kib(s) != s->locked)
        return mx_maps_read(maps, s->how.pid, true, e);
    int rc = mx_maps_read_again(maps, &s->memory.sent, s->how.pid, e);
    return rc < 0 ? rc : 0;
}

static int one_round(struct mx_send *s, uint32_t *left_ms, struct err *e)
{
    struct mx_maps maps = { 0 };
    uint64_t start_us = clock_mono_us(), before = s->memory.bytes,
             packed = s->pack.packed_bytes;
    int rc = read_maps(s, &maps, e);
    if (rc == 0)
        rc = mx_memory_send(&s->memory, &maps, false, e);
    mx_maps_fini(&maps);
    if (rc == 0)
        rc = begin_round(s, false, e);
    if (rc == 0)
        rc = await_other(s, e);
    if (rc < 0)
        return rc;
    uint64_t took_us = clock_mono_us() - start_us + 1;
    *left_ms = s->left_ms = estimate(s, s->memory.bytes - before, took_us);
    log_at(LOG_VERBOSE,
           "process %d: round %u had %llu KiB, packed %llu, and took %llu us; %u ms are left",
           (int)s->how.pid, s->round - 1, (unsigned long long)(s->memory.bytes - before) / 1024,
           (unsigned long long)(s->pack.packed_bytes - packed) / 1024,
           (unsigned long long)took_us, *left_ms);
    return rc;
}

static int send_rounds(struct mx_send *s, struct err *e)
{
    uint32_t left_ms = 0;
    int rc = begin(s, e);
    if (rc == 0)
        rc = begin_round(s, false, e);
    if (rc == 0)
        rc = await_other(s, e);
    if (rc == 0 && s->how.uffd < 0)
        s->how.round(s->how.ctx, 0, 0, e);
    while (rc == 0 && s->how.uffd >= 0 && !atomic_load(&s->is_ended)) {
        rc = one_round(s, &left_ms, e);
        if (rc < 0)
            break;
        s->how.round(s->how.ctx, 0, left_ms, e);
        if (left_ms <= s->how.little_ms)
            pause_ms(s, PAUSE_MS);
    }
    return rc == -ECANCELED ? 0 : rc;
}

static void *work(void *arg)
{
    struct mx_send *s = arg;
    if (s->how.before)
        s->how.before(s->how.ctx);
    s->rc = send_rounds(s, &s->e);
    if (s->rc < 0 && !atomic_load(&s->is_ended))
        s->how.round(s->how.ctx, s->rc, 0, &s->e);
    return NULL;
}

/* ---- */

int mx_send_start(struct mx_send **out, const struct mx_send_how *how, struct err *e)
{
    struct mx_send *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, ENOMEM, "send process %d", (int)how->pid);
    s->how = *how;
    s->memory = (struct mx_memory){ .mem = -1, .scan.pagemap = -1, .uffd = how->uffd };
    s->memory.w = &s->w;
    s->memory.pack = &s->pack;
    s->memory.is_ended = &s->is_ended;
    s->left_ms = UINT32_MAX;
    s->ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = s->ended < 0 ? err_set(e, errno, "make an eventfd") : 0;
    if (rc == 0)
        rc = mx_memory_open(&s->memory, how->pid, false, e);
    if (rc == 0 && how->round) {
        rc = -pthread_create(&s->thread, NULL, work, s);
        s->has_thread = rc == 0;
        if (rc < 0)
            rc = err_set(e, -rc, "start a thread");
    }
    if (rc < 0) {
        mx_send_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

void mx_send_stop(struct mx_send *s)
{
    uint64_t one = 1;
    struct timespec until;
    if (!s->has_thread)
        return;
    atomic_store(&s->is_ended, true);
    bool is_woken = fd_write(s->ended, &one, sizeof one) == (ssize_t)sizeof one;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += MX_SEND_PATIENCE_MS / 1000;
    /* One that waits for a stream that nobody reads never looks up. */
    if (!is_woken || pthread_timedjoin_np(s->thread, NULL, &until) != 0) {
        shutdown(s->how.fd, SHUT_RDWR);
        pthread_join(s->thread, NULL);
    }
    s->has_thread = false;
}

int mx_send_rest(struct mx_send *s, struct mx_capture *c, struct err *e)
{
    struct mx_maps maps = { 0 };
    uint64_t start_us = clock_mono_us(), maps_us, pages_us, before = s->memory.bytes;
    if (s->rc < 0)
        return err_say(e, -s->rc, "%s", s->e.text);
    int rc = mx_capture_check(c, e);
    /* It may have executed another program since. */
    if (rc == 0)
        rc = mx_memory_open(&s->memory, c->t.pid, false, e);
    if (rc == 0 && s->round == 0)
        rc = begin(s, e);
    if (rc == 0)
        rc = read_last_maps(s, &maps, e);
    if (rc == 0)
        rc = mx_capture_find_call(&c->t, &maps, e);
    if (rc == 0)
        rc = mx_capture_leave_vdso(c, &maps, e);
    maps_us = clock_mono_us();
    if (rc == 0)
        rc = begin_round(s, true, e);
    if (rc == 0)
        rc = mx_memory_send(&s->memory, &maps, true, e);
    pages_us = clock_mono_us();
    if (rc == 0)
        rc = mx_capture_rest(c, &s->w, e);
    mx_maps_fini(&maps);
    if (rc == 0)
        rc = mx_image_write_end(&s->w, e);
    log_at(LOG_VERBOSE,
           "process %d: the rest: mappings %u us, %llu KiB of pages %u us, state %u us",
           (int)c->t.pid, (unsigned)(maps_us - start_us),
           (unsigned long long)(s->memory.bytes - before) / 1024,
           (unsigned)(pages_us - maps_us), (unsigned)(clock_mono_us() - pages_us));
    return rc;
}

void mx_send_free(struct mx_send *s)
{
    if (!s)
        return;
    mx_send_stop(s);
    fd_close(&s->ended);
    mx_image_writer_fini(&s->w);
    mx_memory_fini(&s->memory);
    mx_pack_fini(&s->pack);
    free(s);
}
