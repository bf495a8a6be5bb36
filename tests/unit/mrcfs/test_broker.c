/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_broker.c: the broker as a process: started once however many need it at once, ends by
 * itself, and bears members that send garbage or do not answer. */
#include "tests/lib/unit.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "mrcfs/broker/broker.h"
#include "mrcfs/lease/message.h"
#include "mrcfs/mrcfs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SOON_MS = 15000, PATIENCE_MS = 300 };

static char dir[64];

static int make_dir(void **state UNUSED)
{
    snprintf(dir, sizeof dir, "/tmp/mfs-broker-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state UNUSED)
{
    char path[128];
    snprintf(path, sizeof path, "%s/leases.sock", dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/leases.lock", dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/log", dir);
    unlink(path);
    return rmdir(dir);
}

static void say(int fd, uint8_t kind, uint8_t mode, uint64_t ino)
{
    uint8_t memory[MFS_LEASE_MESSAGE_BYTES];
    struct wr w = wr_of(memory, sizeof memory);
    mfs_lease_message_put(&w, &(struct mfs_lease_message){ kind, mode, { 1, ino } });
    assert_ok(fd_write_full(fd, memory, sizeof memory));
}

/* The next message, or kind 0 when the broker hung up. */
static struct mfs_lease_message hear(int fd)
{
    uint8_t memory[MFS_LEASE_MESSAGE_BYTES];
    struct mfs_lease_message m = { 0 };
    struct pollfd pf = { .fd = fd, .events = POLLIN };
    assert_int_equal(poll(&pf, 1, SOON_MS), 1);
    ssize_t n = fd_read_full(fd, memory, sizeof memory);
    if (n <= 0)
        return m;
    assert_int_equal(n, sizeof memory);
    struct rd r = rd_of(memory, sizeof memory);
    assert_ok(mfs_lease_message_get(&r, &m));
    return m;
}

static pid_t peer_of(int fd)
{
    struct ucred who;
    socklen_t len = sizeof who;
    assert_return_code(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len), errno);
    return who.pid;
}

TEST(test_started_once_and_ends)
{
    enum { MANY = 12 };
    pid_t pids[MANY];
    for (int i = 0; i < MANY; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            int fd;
            if (mfs_broker_connect(dir, &fd, NULL) < 0)
                _exit(1);
            /* All wait for the same token: one after the other gets it, so they have met. */
            say(fd, MFS_LEASE_ACQUIRE, MFS_LEASE_EXCLUSIVE, 7);
            _exit(hear(fd).kind != MFS_LEASE_GRANT);
        }
    }
    for (int i = 0; i < MANY; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    /* Late comers meet the same one; it ends when they have gone. */
    int a, b;
    assert_ok(mfs_broker_connect(dir, &a, NULL));
    assert_ok(mfs_broker_connect(dir, &b, NULL));
    pid_t broker = peer_of(a);
    assert_int_equal(peer_of(b), broker);
    close(a);
    close(b);
    char path[128];
    snprintf(path, sizeof path, "%s/leases.sock", dir);
    uint64_t begun = clock_mono_ms();
    while (access(path, F_OK) == 0) {
        assert_in_range(clock_mono_ms() - begun, 0, MFS_BROKER_LINGER_MS + SOON_MS);
        poll(NULL, 0, 50);
    }
    /* And the next one starts another. */
    assert_ok(mfs_broker_connect(dir, &a, NULL));
    close(a);
}

TEST(test_directory_of_others)
{
    int fd;
    assert_return_code(chmod(dir, 0755), errno);
    assert_int_equal(mfs_broker_connect(dir, &fd, NULL), -EPERM);
    assert_return_code(chmod(dir, 0700), errno);
    if (geteuid() == 0) {
        assert_return_code(chown(dir, 1234, 1234), errno);
        assert_int_equal(mfs_broker_connect(dir, &fd, NULL), -EPERM);
        assert_return_code(chown(dir, 0, 0), errno);
    }
}

TEST(test_garbage)
{
    int good, bad;
    assert_ok(mfs_broker_connect(dir, &good, NULL));
    assert_ok(mfs_broker_connect(dir, &bad, NULL));
    say(bad, MFS_LEASE_ACQUIRE, MFS_LEASE_EXCLUSIVE, 1);
    assert_int_equal(hear(bad).kind, MFS_LEASE_GRANT);
    say(good, MFS_LEASE_ACQUIRE, MFS_LEASE_SHARED, 1);
    struct mfs_lease_message m = hear(bad);
    assert_int_equal(m.kind, MFS_LEASE_REVOKE);
    assert_int_equal(m.mode, MFS_LEASE_SHARED);
    uint8_t garbage[100];
    memset(garbage, 0xee, sizeof garbage);
    assert_ok(fd_write_full(bad, garbage, sizeof garbage));
    assert_int_equal(hear(bad).kind, 0);
    /* What it had is free. */
    assert_int_equal(hear(good).kind, MFS_LEASE_GRANT);
    close(bad);
    close(good);
}

static int join(const struct sockaddr_un *at)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_return_code(connect(fd, (const struct sockaddr *)at, sizeof *at), errno);
    assert_int_equal(hear(fd).kind, MFS_LEASE_WELCOME);
    return fd;
}

TEST(test_silent_member)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    snprintf(at.sun_path, sizeof at.sun_path, "%s/leases.sock", dir);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_return_code(bind(listener, (struct sockaddr *)&at, sizeof at), errno);
    assert_return_code(listen(listener, 8), errno);
    fflush(NULL);
    pid_t broker = fork();
    if (broker == 0) {
        int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        mfs_broker_run(&(struct mfs_broker_opts){ listener, dir_fd, 100, PATIENCE_MS });
        _exit(0);
    }
    close(listener);
    int silent = join(&at), other = join(&at);
    say(silent, MFS_LEASE_ACQUIRE, MFS_LEASE_EXCLUSIVE, 1);
    assert_int_equal(hear(silent).kind, MFS_LEASE_GRANT);
    uint64_t begun = clock_mono_ms();
    say(other, MFS_LEASE_TRY, MFS_LEASE_EXCLUSIVE, 1);
    assert_int_equal(hear(other).kind, MFS_LEASE_REFUSE);
    say(other, MFS_LEASE_ACQUIRE, MFS_LEASE_EXCLUSIVE, 1);
    assert_int_equal(hear(other).kind, MFS_LEASE_GRANT);
    assert_in_range(clock_mono_ms() - begun, PATIENCE_MS - 10, PATIENCE_MS + SOON_MS);
    assert_int_equal(hear(silent).kind, MFS_LEASE_REVOKE);
    assert_int_equal(hear(silent).kind, 0);
    close(silent);
    close(other);
    int status;
    assert_int_equal(waitpid(broker, &status, 0), broker);
    assert_int_equal(status, 0);
    assert_int_not_equal(access(at.sun_path, F_OK), 0);
}

int main(void)
{
#define BROKER_TEST(fn) cmocka_unit_test_setup_teardown(fn, make_dir, remove_dir)
    const struct CMUnitTest tests[] = {
        BROKER_TEST(test_started_once_and_ends),
        BROKER_TEST(test_directory_of_others),
        BROKER_TEST(test_garbage),
        BROKER_TEST(test_silent_member),
    };
    return cmocka_run_group_tests_name("broker", tests, NULL, NULL);
}
