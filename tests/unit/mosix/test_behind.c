/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_behind.c: what home promises of writes, and what it makes of those that come. The
 * process whose descriptors these are is this one. */
#include "tests/lib/unit.h"

#include "mosix-core/deputy/behind.h"
#include "mosix-core/deputy/files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WHO = 7 };

static struct mx_writers writers;
static struct mx_link link_, far_;
static char path[] = "/tmp/test-behind-XXXXXX";
static int fd;

static int start(void **state UNUSED)
{
    int pair[2];
    struct stat st;
    memcpy(path + strlen(path) - 6, "XXXXXX", 6);
    assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), errno);
    assert_ok(mx_link_init(&link_, pair[0], NULL));
    assert_ok(mx_link_init(&far_, pair[1], NULL));
    writers = (struct mx_writers){ 0 };
    fd = mkstemp(path);
    assert_return_code(fd, errno);
    assert_true(mx_file_is_local(fd, &st));
    return 0;
}

static int stop(void **state UNUSED)
{
    close(fd);
    unlink(path);
    close(link_.fd);
    close(far_.fd);
    mx_link_fini(&link_);
    mx_link_fini(&far_);
    return 0;
}

/* The next frame that was sent; 0: there is none. */
static unsigned sent(struct mx_talk_frame *f)
{
    assert_ok(mx_link_fill(&far_));
    int more = mx_link_next(&far_, f);
    assert_true(more >= 0);
    return more ? f->kind : 0;
}

/* A call is made, and gives result. Returns what is sent. */
static unsigned call_on(const char *name, int on, uint64_t len_bytes, int64_t result)
{
    struct mx_talk_frame f;
    uint64_t args[MX_CALL_ARGS] = { (uint64_t)on, 0, len_bytes };
    const struct mx_call_line *line = mx_call_pick(name, args);
    mx_writers_before(&writers, WHO, line, args);
    assert_ok(mx_writers_after(&writers, WHO, getpid(), &link_, line, args, result));
    return sent(&f);
}

static void is_waited_for(int on)
{
    writers = (struct mx_writers){ 0 };
    for (int i = 0; i < 4; i++)
        assert_int_equal(call_on("write", on, 10, 10), 0);
}

static void is_promised(void)
{
    writers = (struct mx_writers){ 0 };
    assert_int_equal(call_on("write", fd, 10, 10), 0);
    assert_int_equal(call_on("write", fd, 10, 10), MX_TALK_BEHIND_OPEN);
}

static int bytes(int on, uint64_t at, const char *text, bool is_dead)
{
    uint8_t space[200];
    struct err e = { "" };
    struct wr w = wr_of(space, sizeof space);
    put_u32(&w, (uint32_t)on);
    put_u64(&w, at);
    put_raw(&w, text, strlen(text));
    struct mx_talk_frame f = { MX_TALK_BEHIND_BYTES, WHO, rd_of(space, wr_len(&w)) };
    int rc = mx_writers_frame(&writers, &f, getpid(), is_dead, &e);
    assert_true(rc == 0 || rc == -EPROTO || e.text[0]);
    return rc;
}

static void file_is(const char *text)
{
    char space[200] = "";
    assert_return_code(pread(fd, space, sizeof space - 1, 0), errno);
    assert_string_equal(space, text);
}

TEST(promised)
{
    struct mx_talk_frame f;
    uint64_t done;
    uint8_t may;
    is_promised();
    assert_ok(bytes(fd, mx_behind_nowhere, "abc", false));
    assert_ok(bytes(fd, mx_behind_nowhere, "def", false));
    assert_ok(bytes(fd, 1, "B", false));
    file_is("aBcdef");
    assert_ok(mx_writers_tell(&writers, &link_));
    assert_int_equal(sent(&f), MX_TALK_BEHIND_DONE);
    assert_ok(get_u64(&f.body, &done));
    assert_ok(get_u8(&f.body, &may));
    assert_int_equal(done, 7);
    assert_int_equal(may, 1);
    assert_ok(mx_writers_tell(&writers, &link_)); /* once */
    assert_int_equal(sent(&f), 0);
    assert_int_equal(call_on("fsync", fd, 0, 0), 0); /* does not end it */
    assert_ok(bytes(fd, mx_behind_nowhere, "g", false));
    assert_ok(mx_writers_pause(&writers, WHO, &link_)); /* tells what is untold */
    assert_int_equal(sent(&f), MX_TALK_BEHIND_DONE);
    assert_error(bytes(fd, mx_behind_nowhere, "h", false), EPROTO);
    file_is("aBcdefg");
}

TEST(not_promised)
{
    int pair[2];
    struct rlimit was, less;
    writers = (struct mx_writers){ 0 };
    assert_int_equal(call_on("write", fd, 10, 10), 0);
    assert_int_equal(call_on("write", fd, 10, 9), 0); /* the file system was full */
    assert_int_equal(call_on("write", fd, 10, 10), 0);
    assert_int_equal(call_on("lseek", fd, 0, 0), 0);
    assert_int_equal(call_on("write", fd, 10, 10), 0);
    assert_return_code(pipe(pair), errno);
    is_waited_for(pair[1]);
    is_waited_for(1000);
    int synced = open(path, O_WRONLY | O_SYNC), read_only = open(path, O_RDONLY);
    is_waited_for(synced);
    is_waited_for(read_only);
    assert_return_code(fchmod(fd, 04755), errno);
    is_waited_for(fd);
    assert_return_code(fchmod(fd, 0644), errno);
    assert_return_code(getrlimit(RLIMIT_FSIZE, &was), errno);
    less = (struct rlimit){ 1 << 20, was.rlim_max };
    assert_return_code(setrlimit(RLIMIT_FSIZE, &less), errno);
    is_waited_for(fd);
    assert_return_code(setrlimit(RLIMIT_FSIZE, &was), errno);
    is_promised();
    close(pair[0]);
    close(pair[1]);
    close(synced);
    close(read_only);
}

/* What no guest of ours sends. */
TEST(hostile)
{
    is_promised();
    assert_error(bytes(fd + 1, mx_behind_nowhere, "x", false), EPROTO);
    assert_error(bytes(-1, mx_behind_nowhere, "x", false), EPROTO);
    assert_error(bytes(1 << 20, mx_behind_nowhere, "x", false), EPROTO);
    assert_error(bytes(fd, UINT64_MAX - 1, "x", false), EPROTO);
    assert_error(bytes(fd, mx_behind_nowhere, "", false), EPROTO);
    static const char *const enders[] = { "close", "dup",       "lseek", "ftruncate", "fcntl",
                                          "clone", "setrlimit", "chmod", "mmap" };
    for (unsigned i = 0; i < ARRAY_LEN(enders); i++) {
        is_promised();
        assert_int_equal(call_on(enders[i], fd, 0, 0), 0);
        assert_error(bytes(fd, mx_behind_nowhere, "x", false), EPROTO);
    }
    is_promised();
    mx_writers_before(&writers, WHO, NULL, NULL);
    assert_error(bytes(fd, mx_behind_nowhere, "x", false), EPROTO);
    file_is("");
}

/* What others do to the file meanwhile lets nothing fail. */
TEST(changed)
{
    struct stat st;
    is_promised();
    assert_return_code(fchmod(fd, 06755), errno);
    assert_ok(bytes(fd, mx_behind_nowhere, "abc", false));
    assert_return_code(fstat(fd, &st), errno);
    assert_int_equal(st.st_mode & 07777, 0755); /* as by the process's own write */
    assert_return_code(unlink(path), errno);
    assert_ok(bytes(fd, mx_behind_nowhere, "def", false));
    assert_return_code(ftruncate(fd, 1), errno);
    assert_ok(bytes(fd, 1, "x", false));
    file_is("ax");
}

/* What was promised can't be kept: an error with words, never silence. */
TEST(broken)
{
    int pair[2];
    struct rlimit was, less;
    is_promised();
    assert_ok(bytes(fd, mx_behind_nowhere, "x", true)); /* whose process is dead */
    file_is("");
    signal(SIGXFSZ, SIG_IGN);
    assert_return_code(getrlimit(RLIMIT_FSIZE, &was), errno);
    less = (struct rlimit){ 2, was.rlim_max };
    assert_return_code(setrlimit(RLIMIT_FSIZE, &less), errno);
    int rc = bytes(fd, mx_behind_nowhere, "abc", false);
    assert_return_code(setrlimit(RLIMIT_FSIZE, &was), errno);
    assert_error(rc, EFBIG);
    file_is("ab");
    assert_return_code(pipe(pair), errno);
    int kept = dup(fd);
    assert_return_code(dup2(pair[1], fd), errno);
    rc = bytes(fd, mx_behind_nowhere, "abc", false);
    assert_return_code(dup2(kept, fd), errno);
    assert_error(rc, EIO);
    close(kept);
    close(pair[0]);
    close(pair[1]);
}

UNIT_MAIN(cmocka_unit_test_setup_teardown(promised, start, stop),
          cmocka_unit_test_setup_teardown(not_promised, start, stop),
          cmocka_unit_test_setup_teardown(hostile, start, stop),
          cmocka_unit_test_setup_teardown(changed, start, stop),
          cmocka_unit_test_setup_teardown(broken, start, stop))
