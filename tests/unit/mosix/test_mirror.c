/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_mirror.c: windows, calls and changes as bytes; and a stub whose call touches memory that
 * it has not: it comes, is wrong, is late, or the stub is killed while it waits. */
#include "tests/lib/unit.h"

#include "mosix-core/deputy/stub.h"
#include "mosix-core/image/maps.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = MX_MIRROR_PAGE, PAGES = 200, NOTHING_AT = 150, READ_ONLY_AT = 151 };

/* Where the body has memory: PAGES from here on, but for the page NOTHING_AT. */
static const uint64_t base = UINT64_C(0x300000000000);

/* ---- coding ---- */

static int take_windows(const struct mx_window *list, uint32_t count)
{
    static struct mx_window got[MX_MIRROR_WINDOWS_MAX];
    static uint8_t space[(MX_MIRROR_WINDOWS_MAX + 1) * 17];
    struct wr w = wr_of(space, sizeof space);
    uint32_t some = 0;
    mx_mirror_put_windows(&w, list, count);
    struct rd r = rd_of(space, wr_len(&w));
    int rc = mx_mirror_get_windows(&r, got, &some);
    if (rc == 0) {
        assert_int_equal(some, count);
        for (uint32_t i = 0; i < count; i++)
            assert_true(got[i].start == list[i].start && got[i].end == list[i].end &&
                        got[i].may == list[i].may);
    }
    return rc;
}

static void windows_are_checked(void **state)
{
    (void)state;
    static struct mx_window many[MX_MIRROR_WINDOWS_MAX + 1];
    const struct mx_window good[] = { { 0x1000, 0x3000, 1 }, { 0x3000, 0x4000, 3 } };
    const struct {
        struct mx_window list[2];
    } bad[] = {
        { { { 0x1000, 0x3000, 1 }, { 0x2000, 0x4000, 3 } } }, /* over each other */
        { { { 0x3000, 0x4000, 1 }, { 0x1000, 0x2000, 1 } } }, /* out of order */
        { { { 0x1000, 0x1000, 1 }, { 0x3000, 0x4000, 1 } } }, /* empty */
        { { { 0x1008, 0x2000, 1 }, { 0x3000, 0x4000, 1 } } },
        { { { 0x1000, 0x2001, 1 }, { 0x3000, 0x4000, 1 } } },
        { { { 0, 0x2000, 1 }, { 0x3000, 0x4000, 1 } } },
        { { { 0x1000, 0x2000, 1 }, { 0x3000, 0x7ffffffff000 + 0x1000, 1 } } },
        { { { 0x1000, 0x2000, 1 }, { 0x3000, 0xfffffffffffff000, 1 } } },
        { { { 0x1000, 0x2000, 0 }, { 0x3000, 0x4000, 1 } } },
        { { { 0x1000, 0x2000, 4 }, { 0x3000, 0x4000, 1 } } },
    };
    assert_int_equal(take_windows(good, 2), 0);
    assert_int_equal(take_windows(good, 0), 0);
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(take_windows(bad[i].list, 2), -EPROTO);
    for (unsigned i = 0; i < ARRAY_LEN(many); i++)
        many[i] = (struct mx_window){ (i + 1) * 0x2000, (i + 1) * 0x2000 + 0x1000, 1 };
    assert_int_equal(take_windows(many, MX_MIRROR_WINDOWS_MAX), 0);
    assert_int_equal(take_windows(many, MX_MIRROR_WINDOWS_MAX + 1), -EPROTO);
    for (unsigned i = 0; i < ARRAY_LEN(many); i++) {
        assert_ptr_equal(mx_mirror_find(many, ARRAY_LEN(many), many[i].start), &many[i]);
        assert_ptr_equal(mx_mirror_find(many, ARRAY_LEN(many), many[i].end - 1), &many[i]);
        assert_null(mx_mirror_find(many, ARRAY_LEN(many), many[i].end));
    }
}

/* Whatever the room, what is told makes of one the other, and touches nothing that is alike. */
static void changes_are_exact(void **state)
{
    (void)state;
    static uint8_t before[3 * PAGE], now[3 * PAGE], got[3 * PAGE], space[3 * PAGE * 13];
    unsigned seed = 7;
    for (unsigned turn = 0; turn < 60; turn++) {
        size_t room = turn % 3 == 0 ? sizeof space : 13 + turn * 31, at = 0;
        for (size_t i = 0; i < sizeof now; i++) {
            seed = seed * 1103515245 + 12345;
            before[i] = (uint8_t)(seed >> 16);
            now[i] = (seed >> 20) % 8 < turn % 8 ? (uint8_t)(seed >> 8) : before[i];
        }
        memcpy(got, before, sizeof got);
        for (bool is_all = false; !is_all;) {
            struct wr w = wr_of(space, room);
            is_all = mx_mirror_put_changes(&w, base, before, now, sizeof now, &at);
            assert_false(w.is_full);
            struct rd r = rd_of(space, wr_len(&w));
            uint64_t address;
            struct bytes run;
            int rc;
            while ((rc = mx_mirror_next_change(&r, &address, &run)) > 0)
                for (uint32_t i = 0; i < run.len; i++) {
                    size_t to = (size_t)(address - base) + i;
                    assert_true(to < sizeof got && before[to] != now[to]);
                    got[to] = run.ptr[i];
                }
            assert_int_equal(rc, 0);
        }
        assert_memory_equal(got, now, sizeof got);
    }
    struct rd cut = rd_of(space, 11);
    uint64_t address;
    struct bytes run;
    assert_int_equal(mx_mirror_next_change(&cut, &address, &run), -EPROTO);
}

static void which_calls(void **state)
{
    (void)state;
    const uint64_t none[MX_CALL_ARGS] = { 0 };
    static const uint32_t never[] = {
        SYS_mmap,
        SYS_munmap,
        SYS_mremap,
        SYS_mprotect,
        SYS_madvise,
        SYS_brk,
        SYS_clone,
        SYS_clone3,
        SYS_fork,
        SYS_vfork,
        SYS_futex,
        SYS_rseq,
        SYS_prctl,
        SYS_ptrace,
        SYS_seccomp,
        SYS_arch_prctl,
        SYS_io_submit,
        SYS_shmat,
        SYS_unshare,
        SYS_rt_sigreturn,
        SYS_set_tid_address,
        SYS_userfaultfd,
        SYS_rt_sigaction,
        SYS_rt_sigprocmask,
        SYS_process_vm_readv,
        SYS_io_uring_setup,
        SYS_sigaltstack,
        1000,
        0x40000000,
        UINT32_MAX,
    };
    for (unsigned i = 0; i < ARRAY_LEN(never); i++)
        assert_false(mx_mirror_may(never[i], none));
    assert_true(mx_mirror_may(SYS_mq_open, none));
    assert_true(mx_mirror_may(SYS_read, none));
    assert_true(mx_mirror_may(SYS_writev, none));
    assert_true(mx_mirror_may(SYS_name_to_handle_at, none));
}

/* ---- a stub ---- */

struct fixture {
    struct mx_stub s;
    uint8_t body[PAGES * PAGE], before[PAGES * PAGE];
    int pipe[2];
    bool has_answer, is_ended, is_refused;
    int64_t result;
    unsigned asked; /* for pages */
    pid_t holder;
};

static int tell(void *ctx, struct mx_stub *s, const struct mx_stub_out *out)
{
    struct fixture *f = ctx;
    (void)s;
    f->has_answer |= out->what == MX_STUB_ANSWER;
    f->is_refused |= out->what == MX_STUB_NOT_AWAY;
    f->is_ended |= out->what == MX_STUB_ENDED;
    f->result = out->result;
    return 0;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct mx_tracee t;
    struct mx_maps m = { 0 };
    struct err e = { "" };
    assert_non_null(f);
    assert_int_equal(pipe(f->pipe), 0);
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    assert_int_equal(mx_tracee_seize(&t, pid, true, &e), 0);
    assert_int_equal(mx_maps_read(&m, pid, false, &e), 0);
    const struct mx_sec_mapping *v = mx_maps_kind(&m, MX_MAP_VDSO);
    assert_non_null(v);
    assert_int_equal(mx_tracee_find_syscall(&t, v->start, v->end, &e), 0);
    mx_maps_fini(&m);
    assert_int_equal(mx_stub_init(&f->s, &t, &e), 0);
    f->s.is_paused = false;
    for (unsigned i = 0; i < sizeof f->body; i++)
        f->body[i] = (uint8_t)(i * 2654435761U >> 11);
    memcpy(f->before, f->body, sizeof f->body);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    mx_mirror_let_go(&f->holder);
    if (!f->is_ended) {
        kill(f->s.t.pid, SIGKILL);
        assert_int_equal(waitpid(f->s.t.pid, NULL, __WALL), f->s.t.pid);
    }
    mx_stub_fini(&f->s);
    close(f->pipe[0]);
    close(f->pipe[1]);
    free(f);
    return 0;
}

static void begin(struct fixture *f, long number, uint64_t a, uint64_t b, uint64_t c)
{
    const struct mx_window windows[] = {
        { base, base + (uint64_t)NOTHING_AT * PAGE, MX_WINDOW_READ | MX_WINDOW_WRITE },
        { base + (uint64_t)READ_ONLY_AT * PAGE, base + (uint64_t)PAGES * PAGE, MX_WINDOW_READ },
    };
    static const struct mx_call_line line = { .id = MX_CALL_IDS, .name = "" };
    static uint8_t space[256];
    struct mx_mirror_call call = { (uint32_t)number, { a, b, c }, true };
    struct wr w = wr_of(space, sizeof space);
    struct err e = { "" };
    mx_mirror_put_call(&w, &call);
    mx_mirror_put_windows(&w, windows, ARRAY_LEN(windows));
    struct rd r = rd_of(space, wr_len(&w));
    assert_int_equal(mx_mirror_take(&f->s.mirror, &r), 0);
    assert_int_equal(mx_mirror_hold(&f->holder), 0);
    f->s.is_mirrored = true;
    f->s.call = (struct mx_call_frame){ .line = &line };
    f->has_answer = false;
    f->asked = 0;
    assert_int_equal(mx_stub_call(&f->s, tell, f, &e), 0);
    assert_string_equal(e.text, "");
    assert_false(f->is_refused);
}

/* As the deputy and a body's supervisor do. */
static void give(struct fixture *f, uint64_t at, uint32_t pages)
{
    static uint8_t space[8 + MX_MIRROR_WANT_MAX * PAGE];
    struct wr w = wr_of(space, sizeof space);
    put_u64(&w, at);
    put_raw(&w, f->body + (at - base), (size_t)pages * PAGE);
    struct rd r = rd_of(space, wr_len(&w));
    assert_int_equal(mx_mirror_pages(&f->s.mirror, &r), 0);
}

/* Until it has ended, or with has_pages false until it wants memory. */
static bool go_on(struct fixture *f, bool has_pages)
{
    struct mx_mirror *m = &f->s.mirror;
    struct err e = { "" };
    uint64_t at = 0;
    uint32_t pages = 0;
    for (unsigned turn = 0; turn < 5000 && !f->has_answer && !f->is_ended; turn++) {
        struct pollfd p = { mx_mirror_watch(m), POLLIN, 0 };
        assert_true(poll(&p, 1, 1) >= 0);
        int rc = mx_mirror_fault(m, 1000, &at, &pages);
        assert_true(rc >= 0);
        f->asked += rc > 0;
        if (rc > 0 && !has_pages)
            return false;
        if (rc > 0)
            give(f, at, pages);
        assert_int_equal(mx_stub_check(&f->s, tell, f, &e), 0);
    }
    return f->has_answer;
}

static void memory_follows(void **state)
{
    struct fixture *f = *state;
    static uint8_t got[64 << 10];
    size_t len = 40 * PAGE + 100;
    begin(f, SYS_write, (uint64_t)f->pipe[1], base + 3 * PAGE + 5, 4000);
    assert_true(go_on(f, true));
    assert_int_equal(f->result, 4000);
    assert_int_equal(read(f->pipe[0], got, sizeof got), 4000);
    assert_memory_equal(got, f->body + 3 * PAGE + 5, 4000);
    assert_int_equal(f->asked, 1);
    /* It comes anew for each call. */
    memset(f->body + 3 * PAGE, 'y', PAGE);
    begin(f, SYS_write, (uint64_t)f->pipe[1], base + 3 * PAGE, 10);
    assert_true(go_on(f, true));
    assert_int_equal(read(f->pipe[0], got, sizeof got), 10);
    assert_memory_equal(got, "yyyyyyyyyy", 10);
    /* More of it is asked for at a time while it goes on. */
    begin(f, SYS_getrandom, base + PAGE + 50, len, 0);
    assert_true(go_on(f, true));
    assert_true((size_t)f->result == len && f->asked < 8);
}

static void wrong_addresses(void **state)
{
    struct fixture *f = *state;
    begin(f, SYS_getrandom, base + (uint64_t)NOTHING_AT * PAGE, 16, 0);
    assert_true(go_on(f, true));
    assert_int_equal(f->result, -EFAULT);
    begin(f, SYS_getrandom, base + (uint64_t)READ_ONLY_AT * PAGE, 16, 0);
    assert_true(go_on(f, true));
    assert_int_equal(f->result, -EFAULT);
    assert_int_equal(f->asked, 0);
    begin(f, SYS_getrandom, base + (uint64_t)(NOTHING_AT - 1) * PAGE, 2 * PAGE, 0);
    assert_true(go_on(f, true));
    assert_true(f->result == PAGE || f->result == -EFAULT);
    begin(f, SYS_write, (uint64_t)f->pipe[1], base + (uint64_t)READ_ONLY_AT * PAGE, 16);
    assert_true(go_on(f, true));
    assert_int_equal(f->result, 16);
}

/* The body has it no more; it does not come in time; what comes then is too late, or was not
 * asked for. */
static void what_does_not_come(void **state)
{
    struct fixture *f = *state;
    uint8_t space[8 + PAGE] = { 0 };
    struct wr w = wr_of(space, sizeof space);
    begin(f, SYS_getrandom, base + PAGE, 16, 0);
    assert_false(go_on(f, false));
    put_u64(&w, base + PAGE);
    struct rd none = rd_of(space, 8), other = rd_of(space, sizeof space);
    space[1] ^= 0x40;
    assert_int_equal(mx_mirror_pages(&f->s.mirror, &other), -EPROTO);
    space[1] ^= 0x40;
    assert_int_equal(mx_mirror_pages(&f->s.mirror, &none), 0);
    assert_true(go_on(f, true));
    assert_int_equal(f->result, -EFAULT);
    begin(f, SYS_getrandom, base + PAGE, 16, 0);
    assert_false(go_on(f, false));
    mx_mirror_late(&f->s.mirror, 1000 + MX_MIRROR_WANT_MS - 1);
    assert_int_not_equal(f->s.mirror.want_at, 0);
    mx_mirror_late(&f->s.mirror, 1000 + MX_MIRROR_WANT_MS);
    assert_true(go_on(f, true));
    assert_int_equal(f->result, -EFAULT);
    other = rd_of(space, sizeof space);
    assert_int_equal(mx_mirror_pages(&f->s.mirror, &other), 0);
    /* And a wrong address is none for ever. */
    begin(f, SYS_getrandom, base + PAGE, 16, 0);
    assert_true(go_on(f, true));
    assert_int_equal(f->result, 16);
}

/* Who has to have it stand still does not wait for memory. */
static void standing_still(void **state)
{
    struct fixture *f = *state;
    struct err e = { "" };
    begin(f, SYS_getrandom, base, 50 * PAGE, 0);
    assert_false(go_on(f, false));
    assert_int_equal(mx_stub_rest(&f->s, tell, f, &e), 0);
    assert_int_equal(f->s.state, MX_STUB_RESTING);
}

static void killed_while_it_waits(void **state)
{
    struct fixture *f = *state;
    begin(f, SYS_getrandom, base, 16, 0);
    assert_false(go_on(f, false));
    assert_int_equal(kill(f->s.t.pid, SIGKILL), 0);
    go_on(f, false);
    assert_true(f->is_ended);
}

int main(void)
{
    const struct CMUnitTest coding[] = {
        cmocka_unit_test(windows_are_checked),
        cmocka_unit_test(changes_are_exact),
        cmocka_unit_test(which_calls),
    };
    const struct CMUnitTest stubs[] = {
        cmocka_unit_test_setup_teardown(memory_follows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_addresses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_does_not_come, set_up, tear_down),
        cmocka_unit_test_setup_teardown(standing_still, set_up, tear_down),
        cmocka_unit_test_setup_teardown(killed_while_it_waits, set_up, tear_down),
    };
    int failed = cmocka_run_group_tests(coding, NULL, NULL);
    /* Where there is no mirror, programs come home, which mirror.sh tests. */
    if (access("/dev/userfaultfd", R_OK | W_OK) < 0)
        return failed;
    return failed + cmocka_run_group_tests(stubs, NULL, NULL);
}
