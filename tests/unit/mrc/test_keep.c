/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_keep.c: who is let into a kept view, and what becomes of those who ask for what they may
 * not, say nonsense, or go. */
#include "mrc/agent/keep.h"

#include "common/sys/fd.h"
#include "common/sys/loop.h"
#include "tests/lib/mfs_client_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MARK = 5 };

static struct loop *loop;
static struct keep *keep;
static uint8_t id[JOB_KEEP_ID_BYTES];
static int over_fd; /* the other end: closed when it is over */

static int start(void **state UNUSED)
{
    int over[2];
    cx_start(&(struct cx_opts){ .lease_ms = 10000 });
    for (size_t i = 0; i < sizeof id; i++)
        id[i] = (uint8_t)(getpid() >> (i % 4 * 8)) ^ (uint8_t)(i * 37);
    assert_ok(loop_new(&loop));
    assert_ok(fd_pipe(over));
    over_fd = over[0];
    struct keep_opts o = {
        .loop = loop, .client = cx.client, .mark = MARK, .user_ns_fd = -1, .over_fd = over[1]
    };
    memcpy(o.id, id, sizeof id);
    assert_ok(keep_listen(id, &o.listen_fd));
    o.page_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    o.mount_ns_fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    assert_true(o.page_fd >= 0 && o.mount_ns_fd >= 0);
    assert_ok(keep_new(&o, &keep));
    return 0;
}

static int end(void **state)
{
    keep_free(keep);
    loop_free(loop);
    close(over_fd);
    return cx_end(state);
}

static void turn(void)
{
    for (int i = 0; i < 20; i++) {
        assert_ok(loop_turn(loop, 0));
        cx_turn();
    }
}

static int knock(void)
{
    struct sockaddr_un a;
    socklen_t len = keep_address(id, &a);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_return_code(connect(fd, (struct sockaddr *)&a, len), errno);
    return fd;
}

static struct keep_request request(enum keep_kind kind, uint64_t mark)
{
    struct keep_request q;
    memset(&q, 0, sizeof q);
    q.kind = kind;
    q.mark = mark;
    memcpy(q.id, id, sizeof id);
    return q;
}

static void ask(int fd, const void *ptr, size_t len)
{
    assert_int_equal(send(fd, ptr, len, MSG_NOSIGNAL), len);
    turn();
}

/* Descriptors that came with the answer, -1: there is none; -2: the other side hung up. */
static int answer(int fd, struct keep_answer *out)
{
    char space[CMSG_SPACE(8 * sizeof(int))];
    struct iovec iov = { out, sizeof *out };
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space
    };
    ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == EAGAIN)
        return -1;
    if (n <= 0)
        return -2;
    assert_int_equal(n, sizeof *out);
    const struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    int count = c ? (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int)) : 0;
    int fds[8];
    if (count)
        memcpy(fds, CMSG_DATA(c), (size_t)count * sizeof(int));
    for (int i = 0; i < count; i++)
        close(fds[i]);
    return count;
}

static int join(uint64_t mark)
{
    struct keep_request q = request(KEEP_JOIN, mark);
    int fd = knock();
    ask(fd, &q, sizeof q);
    return fd;
}

static int join_well(bool is_shared)
{
    struct keep_answer a;
    int fd = join(MARK);
    assert_int_equal(answer(fd, &a), 2);
    assert_int_equal(a.kind, KEEP_JOIN);
    assert_int_equal(a.is_shared, is_shared);
    return fd;
}

static void is_hung_up(int fd)
{
    struct keep_answer a;
    assert_int_equal(answer(fd, &a), -2);
    close(fd);
}

static bool is_over(void)
{
    struct pollfd p = { over_fd, 0, 0 };
    return poll(&p, 1, 0) == 1 && p.revents & POLLHUP;
}

TEST(test_let_in)
{
    struct keep_answer a;
    int one = join_well(false);
    struct keep_request q = request(KEEP_STATS, 0);
    ask(one, &q, sizeof q);
    assert_int_equal(answer(one, &a), 0);
    assert_int_equal(a.kind, KEEP_STATS);
    assert_false(a.is_shared);
    int two = join_well(true);
    ask(one, &q, sizeof q);
    assert_int_equal(answer(one, &a), 0);
    assert_true(a.is_shared);
    q = request(KEEP_BARRIER, 0);
    ask(one, &q, sizeof q);
    assert_int_equal(answer(one, &a), 0);
    assert_int_equal(a.kind, KEEP_BARRIER);
    assert_int_equal(a.lost_rc, 0);
    close(one);
    close(two);
    turn();
}

/* Its name can be seen by all; the rest of the id can't. */
TEST(test_wrong_id)
{
    for (size_t i = 0; i < sizeof id; i++) {
        struct keep_request q = request(KEEP_JOIN, MARK);
        q.id[i] ^= 1;
        int fd = knock();
        ask(fd, &q, sizeof q);
        is_hung_up(fd);
    }
    close(join_well(false));
}

TEST(test_before_and_twice)
{
    static const enum keep_kind early[] = { KEEP_BARRIER, KEEP_STATS, (enum keep_kind)77 };
    for (size_t i = 0; i < ARRAY_LEN(early); i++) {
        struct keep_request q = request(early[i], MARK);
        int fd = knock();
        ask(fd, &q, sizeof q);
        is_hung_up(fd);
    }
    struct keep_request q = request(KEEP_JOIN, MARK);
    int fd = join_well(false);
    ask(fd, &q, sizeof q);
    is_hung_up(fd);
    fd = join(MARK + 1); /* and waits */
    ask(fd, &q, sizeof q);
    is_hung_up(fd);
    /* A second barrier before the first is over. */
    q = request(KEEP_BARRIER, 0);
    fd = join_well(false);
    assert_int_equal(send(fd, &q, sizeof q, MSG_NOSIGNAL), sizeof q);
    assert_int_equal(send(fd, &q, sizeof q, MSG_NOSIGNAL), sizeof q);
    turn();
    struct keep_answer a;
    int last;
    while ((last = answer(fd, &a)) >= 0)
        assert_int_equal(a.kind, KEEP_BARRIER);
    close(fd);
    turn();
    close(join_well(false));
}

/* Packets of any length and bytes. */
TEST(test_nonsense)
{
    uint8_t bytes[2 * sizeof(struct keep_request)];
    srand(4711);
    for (int i = 0; i < 3000; i++) {
        struct keep_request q = request((enum keep_kind)(rand() % 5 - 1), (uint64_t)rand() % 9);
        for (size_t k = 0; k < sizeof bytes; k++)
            bytes[k] = (uint8_t)rand();
        size_t len = (size_t)rand() % sizeof bytes;
        if (i % 3 == 0) {
            memcpy(bytes, &q, sizeof q);
            bytes[(size_t)rand() % sizeof q] ^= (uint8_t)rand();
            len = sizeof q;
        }
        int fd = i % 2 ? knock() : join_well(false);
        if (len)
            assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), len);
        if (i % 5)
            turn();
        close(fd);
        turn();
    }
    close(join_well(false));
}

TEST(test_mark)
{
    struct keep_answer a;
    int soon = join(MARK + 1), late = join(MARK + 2);
    assert_int_equal(answer(soon, &a), -1);
    keep_mark(keep, MARK + 1);
    assert_int_equal(answer(soon, &a), 2);
    assert_int_equal(answer(late, &a), -1);
    close(late); /* goes while it waits */
    turn();
    keep_mark(keep, MARK + 2);
    close(soon);
    turn();
}

TEST(test_many)
{
    static int fds[KEEP_JOINS_MAX];
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = join_well(i > 0);
    struct keep_request q = request(KEEP_JOIN, MARK);
    int more = knock();
    turn();
    (void)!send(more, &q, sizeof q, MSG_NOSIGNAL);
    turn();
    is_hung_up(more);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    turn();
    close(join_well(false));
}

/* It is over with the last job; one that goes within its barrier too. */
TEST(test_finish)
{
    int one = join_well(false), two = join_well(true);
    keep_finish(keep);
    struct sockaddr_un a;
    socklen_t len = keep_address(id, &a);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, len), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(fd);
    close(one);
    turn();
    assert_false(is_over());
    struct keep_request q = request(KEEP_BARRIER, 0);
    assert_int_equal(send(two, &q, sizeof q, MSG_NOSIGNAL), sizeof q);
    assert_ok(loop_turn(loop, 0));
    close(two);
    turn();
    assert_true(is_over());
}

#define KEEP_TEST(fn) cmocka_unit_test_setup_teardown(fn, start, end)
UNIT_MAIN(KEEP_TEST(test_let_in), KEEP_TEST(test_wrong_id), KEEP_TEST(test_before_and_twice),
          KEEP_TEST(test_nonsense), KEEP_TEST(test_mark), KEEP_TEST(test_many),
          KEEP_TEST(test_finish))
