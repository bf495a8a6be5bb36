/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_parcel.c: an image in frames over a real socket, plain and sealed: whole, given up at
 * either end, cut, and with a frame in it that doesn't belong there; what comes behind it is
 * not lost. */
#include "tests/lib/unit.h"

#include "common/sys/fd.h"
#include "mosix-core/deputy/parcel.h"
#include "tests/unit/mosix/sealed_fixture.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WHO = 7, LENGTH = 3 << 20, FIRST = 700 * 1000 };

static uint8_t image[LENGTH], read_image[LENGTH];

enum how { WHOLE, FAILS, KILLED, INTERRUPTED };
struct writer {
    enum how how;
};

static int write_image(void *ctx, int fd, struct err *e)
{
    const struct writer *w = ctx;
    size_t len = w->how == WHOLE ? LENGTH : FIRST;
    if (fd_write_full(fd, image, len) < 0)
        return err_say(e, EPIPE, "nobody takes it");
    if (w->how == KILLED)
        raise(SIGKILL);
    return w->how == FAILS ? err_say(e, ENOTSUP, "it shares memory") : 0;
}

/* Another process sends an image, and then a frame. */
static pid_t start_sender(int fd, struct mx_sealed *sealed, enum how how)
{
    pid_t pid = fork();
    if (pid)
        return pid;
    struct writer w = { how };
    struct mx_link l;
    struct err e = { "" };
    int wrote, rc = mx_link_init(&l, fd, sealed);
    if (rc == 0 && how == INTERRUPTED) {
        put_raw(mx_link_begin(&l, MX_TALK_IMAGE, WHO), image, 1000);
        rc = mx_link_send(&l);
    } else if (rc == 0) {
        rc = mx_parcel_send(&l, WHO, "starts threads", write_image, &w, &wrote, &e);
    }
    put_u64(mx_link_begin(&l, MX_TALK_MASK, 3), 99);
    if (rc == 0)
        rc = mx_link_send(&l);
    while (rc == 0 && mx_link_wants(&l) & POLLOUT)
        rc = mx_link_flush(&l);
    _exit(rc < 0);
}

/* Reads to the end, or gives up after some of it. */
struct reader {
    size_t most, got;
};

static int read_it(void *ctx, int fd, struct err *e)
{
    struct reader *r = ctx;
    ssize_t n = fd_read_full(fd, read_image, r->most);
    r->got = n < 0 ? 0 : (size_t)n;
    if (r->most < LENGTH)
        return err_say(e, ENOMEM, "no room for it");
    return r->got == LENGTH ? 0 : err_say(e, EPROTO, "it ends too early");
}

static int next(struct mx_link *l, struct mx_talk_frame *f)
{
    int rc;
    while ((rc = mx_link_next(l, f)) == 0) {
        struct pollfd p = { l->fd, POLLIN, 0 };
        if (poll(&p, 1, 5000) != 1 || (rc = mx_link_fill(l)) < 0)
            return rc < 0 ? rc : -ETIMEDOUT;
    }
    return rc;
}

struct taken {
    int rc, got;
    struct reader r;
    char text[MX_TALK_TEXT_MAX];
    bool has_next;
};

static struct taken take_over(enum how how, size_t most, bool is_sealed)
{
    int pair[2], status;
    struct sealed_pair p = { .ends = { NULL } };
    struct mx_link l;
    struct mx_talk_frame f;
    struct err e = { "" };
    struct taken t = { .r.most = most };
    if (is_sealed)
        sealed_pair_make(&p);
    else
        assert_ok(fd_socketpair(pair));
    pid_t pid = start_sender(is_sealed ? p.watch[1] : pair[1], p.ends[1], how);
    if (is_sealed)
        close(p.ends[1]->fd); /* the child sees what is written there */
    else
        close(pair[1]);
    assert_ok(mx_link_init(&l, is_sealed ? p.watch[0] : pair[0], p.ends[0]));
    assert_int_equal(next(&l, &f), 1);
    assert_int_equal(f.kind, MX_TALK_IMAGE);
    t.rc = mx_parcel_take(&l, &f, read_it, &t.r, &t.got, t.text, &e);
    t.has_next = t.rc == 0 && next(&l, &f) == 1 && f.kind == MX_TALK_MASK && f.who == 3;
    mx_link_fini(&l);
    if (is_sealed)
        fd_close(&p.ends[0]->fd);
    else
        close(pair[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (is_sealed)
        p.ends[1]->fd = -1;
    if (is_sealed)
        sealed_pair_end(&p);
    return t;
}

static struct taken take(enum how how, size_t most)
{
    struct taken plain = take_over(how, most, false), sealed = take_over(how, most, true);
    assert_int_equal(plain.rc, sealed.rc);
    assert_int_equal(plain.got, sealed.got);
    assert_int_equal(plain.has_next, sealed.has_next);
    return sealed;
}

TEST(whole)
{
    struct taken t = take(WHOLE, LENGTH);
    assert_ok(t.rc);
    assert_ok(t.got);
    assert_memory_equal(image, read_image, LENGTH);
    assert_string_equal(t.text, "starts threads");
    assert_true(t.has_next);
}

TEST(given_up_by_who_sends)
{
    struct taken t = take(FAILS, LENGTH);
    assert_ok(t.rc);
    assert_error(t.got, EPROTO);
    assert_int_equal(t.r.got, FIRST);
    assert_string_equal(t.text, "it shares memory");
    assert_true(t.has_next);
}

TEST(given_up_by_who_takes)
{
    struct taken t = take(WHOLE, 5000);
    assert_ok(t.rc);
    assert_error(t.got, ENOMEM);
    assert_true(t.has_next); /* the rest of it was passed over */
}

TEST(cut)
{
    struct taken t = take(KILLED, LENGTH);
    assert_true(t.rc == -EPIPE || t.rc == -ECONNRESET);
    assert_true(t.got < 0);
}

TEST(another_frame_in_it)
{
    struct taken t = take(INTERRUPTED, LENGTH);
    assert_error(t.rc, EPROTO);
    assert_int_equal(t.r.got, 1000);
}

int main(void)
{
    for (size_t i = 0; i < LENGTH; i++)
        image[i] = (uint8_t)(i * 40503u >> 8);
    const struct CMUnitTest tests[] = { cmocka_unit_test(whole),
                                        cmocka_unit_test(given_up_by_who_sends),
                                        cmocka_unit_test(given_up_by_who_takes),
                                        cmocka_unit_test(cut),
                                        cmocka_unit_test(another_frame_in_it) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
