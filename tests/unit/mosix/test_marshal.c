/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_marshal.c: the table of calls; calls that are asked, taken, really made by this kernel,
 * answered and given back do what they do when they are made here; what neither side may do. */
#include "tests/lib/unit.h"

#include "mosix-core/abi/kept.h"
#include "mosix-core/abi/marshal.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static uint8_t message[MX_CALL_BYTES_MAX + 4096], answer[MX_CALL_BYTES_MAX + 4096];
static uint8_t arena[MX_CALL_ARENA_BYTES] __attribute__((aligned(8)));

/* The body's memory is ours, looked at as another process's is. */
static uint8_t pages[4 * 4096] __attribute__((aligned(4096)));

static int body_read(void *ctx UNUSED, uint64_t address, void *ptr, size_t len)
{
    struct iovec here = { ptr, len }, there = { (void *)(uintptr_t)address, len };
    return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == (ssize_t)len ? 0 : -EFAULT;
}

static int body_write(void *ctx UNUSED, uint64_t address, const void *ptr, size_t len)
{
    struct iovec here = { (void *)(uintptr_t)ptr, len },
                 there = { (void *)(uintptr_t)address, len };
    return process_vm_writev(getpid(), &here, 1, &there, 1, 0) == (ssize_t)len ? 0 : -EFAULT;
}

static const struct mx_call_memory body = { NULL, body_read, body_write };

static const struct {
    const char *name;
    long number;
} numbers[] = {
#define CALL(id, name, ...)    { #name, SYS_##name },
#define VARIANT(id, name, ...) { #name, SYS_##name },
#include "mosix-core/abi/calls.def"
#undef CALL
#undef VARIANT
};

static long number_of(const char *name)
{
    for (unsigned i = 0; i < ARRAY_LEN(numbers); i++)
        if (strcmp(numbers[i].name, name) == 0)
            return numbers[i].number;
    fail_msg("no call %s", name);
    return -1;
}

/* A call by way of bytes. */
static int64_t via(const char *name, const uint64_t args[MX_CALL_ARGS])
{
    struct mx_call_wait wait;
    struct mx_call_frame f;
    int64_t result;
    const struct mx_call_line *line = mx_call_pick(name, args);
    assert_non_null(line);
    struct wr w = wr_of(message, sizeof message);
    assert_ok(mx_call_ask(line, args, &body, &w, &wait));
    struct rd r = rd_of(message, wr_len(&w));
    assert_ok(mx_call_take(&r, arena, (uint64_t)(uintptr_t)arena, &f));
    assert_ptr_equal(f.line, line);
    long rc = syscall(number_of(name), f.args[0], f.args[1], f.args[2], f.args[3], f.args[4],
                      f.args[5]);
    w = wr_of(answer, sizeof answer);
    assert_ok(mx_call_answer(&f, arena, rc < 0 ? -errno : rc, &w));
    r = rd_of(answer, wr_len(&w));
    assert_ok(mx_call_give(&wait, &r, &body, &result));
    return result;
}
#define P(pointer)     (uint64_t)(uintptr_t)(pointer)
#define VIA(name, ...) via(name, (const uint64_t[MX_CALL_ARGS]){ __VA_ARGS__ })

TEST(the_table_makes_sense)
{
    unsigned count = 0;
    for (const struct mx_call_line *l; (l = mx_call_at(count)); count++) {
        assert_ptr_equal(mx_call_by_id(l->id), l); /* no id twice */
        assert_true(l->id < MX_CALL_IDS);
        assert_true(l->variant < (int)MX_CALL_ARGS);
        for (unsigned i = 0; i < l->arg_count; i++) {
            const struct mx_kind_line *k = mx_kind_line(l->args[i].kind);
            bool is_pointer = k->form != MX_FORM_VALUE;
            assert_true(is_pointer == (k->direction != MX_DIR_NONE));
            assert_true(l->args[i].n < l->arg_count);
            assert_false(!mx_call_travels(l) && is_pointer);
            assert_false(mx_call_travels(l) && l->args[i].kind == MX_KIND_ADDR);
            enum mx_form of_length = mx_kind_line(l->args[l->args[i].n].kind)->form;
            if (k->form == MX_FORM_COUNTED || k->form == MX_FORM_ARRAY ||
                k->form == MX_FORM_BITS)
                assert_int_equal(of_length, MX_FORM_VALUE);
            if (k->form == MX_FORM_ROOM)
                assert_int_equal(l->args[l->args[i].n].kind, MX_KIND_LENGTH);
            if (k->form == MX_FORM_FIXED || k->form == MX_FORM_ARRAY)
                assert_true(l->args[i].bytes > 0);
        }
    }
    assert_int_equal(count, ARRAY_LEN(numbers));
    assert_null(mx_call_by_id(0));
    assert_null(mx_call_pick("fcntl", (const uint64_t[MX_CALL_ARGS]){ 0, 999 }));
    assert_null(mx_call_pick("mount", (const uint64_t[MX_CALL_ARGS]){ 0 }));
}

TEST(files)
{
    char path[] = "/tmp/marshal.XXXXXX", text[16] = "";
    struct stat by_path, by_fd, native;
    close(mkstemp(path));
    int64_t fd = VIA("openat", (uint64_t)AT_FDCWD, P(path), O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(VIA("write", (uint64_t)fd, P("hello, world"), 12), 12);
    assert_int_equal(VIA("lseek", (uint64_t)fd, 7, SEEK_SET), 7);
    assert_int_equal(VIA("read", (uint64_t)fd, P(text), 15), 5);
    assert_string_equal(text, "world"); /* and not a byte behind */
    assert_int_equal(VIA("pread64", (uint64_t)fd, P(text), 4, 1), 4);
    assert_string_equal(text, "ellod");
    assert_int_equal(VIA("stat", P(path), P(&by_path)), 0);
    assert_int_equal(VIA("fstat", (uint64_t)fd, P(&by_fd)), 0);
    assert_int_equal(stat(path, &native), 0);
    assert_memory_equal(&by_path, &native, sizeof native);
    assert_memory_equal(&by_fd, &native, sizeof native);
    assert_int_equal(VIA("unlink", P(path)), 0);
    assert_int_equal(VIA("stat", P(path), P(&by_path)), -ENOENT);
    assert_int_equal(VIA("fcntl", (uint64_t)fd, F_GETFL), fcntl((int)fd, F_GETFL));
    assert_int_equal(VIA("close", (uint64_t)fd), 0);
    assert_int_equal(VIA("write", (uint64_t)fd, P("x"), 1), -EBADF);
}

TEST(answers_in_memory)
{
    char cwd[256], native[256];
    struct utsname a, b;
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    assert_non_null(getcwd(native, sizeof native));
    assert_int_equal(VIA("getcwd", P(cwd), sizeof cwd), strlen(native) + 1);
    assert_string_equal(cwd, native);
    assert_int_equal(VIA("getcwd", P(cwd), 1), -ERANGE);
    assert_int_equal(VIA("uname", P(&a)), 0);
    assert_int_equal(uname(&b), 0);
    assert_memory_equal(&a, &b, sizeof a);
    assert_int_equal(VIA("getppid"), getppid());
}

TEST(arrays_and_waits)
{
    int pair[2], count = 0;
    assert_int_equal(VIA("pipe2", P(pair), O_CLOEXEC), 0);
    struct pollfd p[2] = { { pair[0], POLLIN, 9 }, { pair[1], POLLOUT, 9 } };
    assert_int_equal(VIA("poll", P(p), 2, 0), 1);
    assert_int_equal(p[0].revents, 0);
    assert_int_equal(p[1].revents, POLLOUT);
    assert_int_equal(VIA("write", (uint64_t)pair[1], P("abc"), 3), 3);
    assert_int_equal(VIA("ioctl", (uint64_t)pair[0], FIONREAD, P(&count)), 0);
    assert_int_equal(count, 3);
    int64_t ep = VIA("epoll_create1", 0);
    struct epoll_event e = { EPOLLIN, { .u64 = 42 } }, got[3];
    memset(got, 0xee, sizeof got);
    assert_int_equal(VIA("epoll_ctl", (uint64_t)ep, EPOLL_CTL_ADD, (uint64_t)pair[0], P(&e)),
                     0);
    assert_int_equal(VIA("epoll_wait", (uint64_t)ep, P(got), 3, 0), 1);
    assert_int_equal(got[0].data.u64, 42);
    assert_int_equal(*(uint8_t *)&got[1], 0xee); /* only what came */
    fd_set set;
    struct timeval t = { 0, 0 };
    FD_ZERO(&set);
    FD_SET(pair[0], &set);
    FD_SET(pair[1], &set);
    assert_int_equal(VIA("select", (uint64_t)pair[1] + 1, P(&set), 0, 0, P(&t)), 1);
    assert_true(FD_ISSET(pair[0], &set) && !FD_ISSET(pair[1], &set));
    for (int i = 0; i < 2; i++)
        close(pair[i]);
    close((int)ep);
}

TEST(lengths_that_the_caller_has)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
    int type = 0;
    socklen_t len = sizeof type;
    assert_int_equal(
        VIA("getsockopt", (uint64_t)pair[0], SOL_SOCKET, SO_TYPE, P(&type), P(&len)), 0);
    assert_int_equal(type, SOCK_DGRAM);
    assert_int_equal(len, 4);
    uint8_t name[32];
    memset(name, 0xee, sizeof name);
    len = 1; /* less than there is: only that much is written, and the real length told */
    assert_int_equal(VIA("getsockname", (uint64_t)pair[0], P(name), P(&len)), 0);
    assert_int_equal(len, 2);
    assert_int_equal(name[1], 0xee);
    assert_int_equal(VIA("sendto", (uint64_t)pair[0], P("letter"), 6, 0, 0, 0), 6);
    char text[3] = "";
    assert_int_equal(VIA("recvfrom", (uint64_t)pair[1], P(text), 2, MSG_TRUNC, 0, 0), 6);
    assert_string_equal(text, "le");
    close(pair[0]);
    close(pair[1]);
}

TEST(messages)
{
    int pair[2], fd = open("/dev/null", O_RDONLY), got = -1;
    char control[64] = "", a[4] = "", b[20] = "", name[32];
    char first[] = "first ", second[] = "second";
    struct iovec out[2] = { { first, 6 }, { second, 6 } }, in[2] = { { a, 3 }, { b, 19 } };
    struct msghdr m = { .msg_iov = out,
                        .msg_iovlen = 2,
                        .msg_control = control,
                        .msg_controllen = CMSG_SPACE(sizeof fd) };
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){ CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS };
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    assert_int_equal(VIA("sendmsg", (uint64_t)pair[0], P(&m), 0), 12);
    memset(control, 0, sizeof control);
    m = (struct msghdr){ .msg_iov = in,
                         .msg_iovlen = 2,
                         .msg_control = control,
                         .msg_controllen = sizeof control,
                         .msg_name = name,
                         .msg_namelen = sizeof name };
    assert_int_equal(VIA("recvmsg", (uint64_t)pair[1], P(&m), MSG_CMSG_CLOEXEC), 12);
    assert_string_equal(a, "fir");
    assert_string_equal(b, "st second");
    assert_int_equal(m.msg_controllen, CMSG_SPACE(sizeof fd));
    assert_int_equal(m.msg_flags, MSG_CMSG_CLOEXEC);
    memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof got);
    assert_true(fcntl(got, F_GETFD) == FD_CLOEXEC);
    assert_int_equal(VIA("recvmsg", (uint64_t)pair[1], 8, MSG_DONTWAIT), -EFAULT);
    assert_int_equal(VIA("recvmsg", (uint64_t)pair[1], P(&m), MSG_DONTWAIT), -EAGAIN);
    for (int i = 0; i < 2; i++)
        close(pair[i]);
    close(fd);
    close(got);
}

/* What a program is given is what it was started with: by way of a child. */
TEST(texts)
{
    char zero[] = "sh", one[] = "-c", two[] = "test \"$1$A\" = \"x yz\" && exit 5",
         three[] = "name", four[] = "x y", env[] = "A=z";
    char *args[] = { zero, one, two, three, four, NULL }, *envs[] = { env, NULL };
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        VIA("execve", P("/bin/sh"), P(args), P(envs));
        _exit(99);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 5);
    assert_int_equal(VIA("execve", P("/no/such"), P(args), P(envs)), -ENOENT);
    assert_int_equal(VIA("execve", P("/bin/sh"), 8, P(envs)), -EFAULT);
}

TEST(wrong_pointers_are_the_kernels_business)
{
    int fd = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDONLY);
    assert_int_equal(VIA("openat", (uint64_t)AT_FDCWD, 8, O_RDONLY), -EFAULT);
    assert_int_equal(VIA("openat", (uint64_t)AT_FDCWD, 0, O_RDONLY), -EFAULT);
    assert_int_equal(VIA("bind", UINT64_MAX, 8, 16), -EBADF); /* in the kernel's order */
    assert_int_equal(VIA("read", (uint64_t)zero, 8, 4), -EFAULT);
    /* Text may end right before a page that is not there. */
    assert_int_equal(mprotect(pages + 4096, 4096, PROT_NONE), 0);
    memcpy(pages + 4096 - 10, "/dev/null", 10);
    int64_t again = VIA("open", P(pages + 4096 - 10), O_RDONLY);
    assert_true(again >= 0);
    close((int)again);
    pages[4095] = 'x'; /* but not behind it */
    assert_int_equal(VIA("open", P(pages + 4096 - 4), O_RDONLY), -EFAULT);
    assert_int_equal(mprotect(pages + 4096, 4096, PROT_READ | PROT_WRITE), 0);
    memset(pages, 'x', sizeof pages);
    assert_int_equal(VIA("open", P(pages), O_RDONLY), -ENAMETOOLONG);
    close(fd);
    close(zero);
}

TEST(too_much_is_refused)
{
    struct mx_call_wait wait;
    struct wr w = wr_of(message, sizeof message);
    const uint64_t args[MX_CALL_ARGS] = { 1, P(pages), MX_CALL_BYTES_MAX + 1 };
    assert_error(mx_call_ask(mx_call_pick("write", args), args, &body, &w, &wait), E2BIG);
    const uint64_t negative[MX_CALL_ARGS] = { 1, P(pages), UINT64_MAX };
    assert_error(mx_call_ask(mx_call_pick("poll", negative),
                             (const uint64_t[]){ P(pages), UINT64_MAX, 0, 0, 0, 0 }, &body, &w,
                             &wait),
                 E2BIG);
    const uint64_t little[MX_CALL_ARGS] = { 1, P(pages), 1000 };
    w = wr_of(message, 100);
    assert_error(mx_call_ask(mx_call_pick("write", little), little, &body, &w, &wait), ENOSPC);
}

TEST(a_hostile_host_gets_nowhere)
{
    struct mx_call_frame f;
    uint8_t bytes[64];
    struct wr w = wr_of(bytes, sizeof bytes);
    /* write of 100 bytes with 3 */
    put_u16(&w, 2);
    put_u64(&w, 1);
    put_u64(&w, MX_POINTER_THERE);
    put_bytes(&w, bytes_of("abc"));
    put_u64(&w, 100);
    struct rd r = rd_of(bytes, wr_len(&w));
    assert_error(mx_call_take(&r, arena, 0x1000, &f), EPROTO);
    /* a call that is made where the body is */
    w = wr_of(bytes, sizeof bytes);
    put_u16(&w, 132);
    put_u64(&w, 0);
    r = rd_of(bytes, wr_len(&w));
    assert_error(mx_call_take(&r, arena, 0x1000, &f), EPROTO);
    /* a variant with another's value */
    w = wr_of(bytes, sizeof bytes);
    put_u16(&w, 63);
    put_u64(&w, 1);
    put_u64(&w, F_SETOWN);
    r = rd_of(bytes, wr_len(&w));
    assert_error(mx_call_take(&r, arena, 0x1000, &f), EPROTO);
}

TEST(a_hostile_home_writes_nothing_that_was_not_asked_for)
{
    struct mx_call_wait wait;
    uint8_t text[8] = "1234567";
    int64_t result;
    const uint64_t args[MX_CALL_ARGS] = { 1, P(text), 4 };
    struct wr w = wr_of(message, sizeof message);
    assert_ok(mx_call_ask(mx_call_pick("read", args), args, &body, &w, &wait));
    uint8_t bytes[64];
    w = wr_of(bytes, sizeof bytes);
    put_i64(&w, 5);
    put_bytes(&w, bytes_of("abcde"));
    struct rd r = rd_of(bytes, wr_len(&w));
    assert_error(mx_call_give(&wait, &r, &body, &result), EPROTO);
    assert_string_equal((char *)text, "1234567");
}

/* As home would answer it. */
static void note(struct mx_answers *k, int64_t of, const char *name, const uint64_t *args,
                 int64_t result, const void *out, uint32_t out_bytes)
{
    uint8_t bytes[1024];
    struct wr w = wr_of(bytes, sizeof bytes);
    put_i64(&w, result);
    if (out)
        put_bytes(&w, (struct bytes){ out, out_bytes });
    struct rd r = rd_of(bytes, wr_len(&w));
    mx_kept_note(k, of, mx_call_pick(name, args), args, &r);
    assert_int_equal(rd_left(&r), wr_len(&w));
}

static int64_t kept(struct mx_answers *k, int64_t of, const char *name, const uint64_t *args)
{
    int64_t result = -1;
    return mx_kept_give(k, of, mx_call_pick(name, args), args, &body, &result) ? result : -1;
}

TEST(answers_that_are_kept)
{
    static struct mx_answers k;
    static uint32_t many[100];
    uint32_t ids[3] = { 0 }, groups[2] = { 5, 6 };
    const uint64_t none[MX_CALL_ARGS] = { 0 }, other[MX_CALL_ARGS] = { 7 };
    const uint64_t asked[MX_CALL_ARGS] = { 2, P(ids) }, count[MX_CALL_ARGS] = { 0, 0 };
    const uint64_t all[MX_CALL_ARGS] = { 100, P(many) };
    note(&k, 1, "getuid", none, 8, NULL, 0);
    assert_int_equal(kept(&k, 1, "getuid", none), -1); /* home has not said so */
    k.may = MX_KEEP_IDS | MX_KEEP_SESSION;
    note(&k, 1, "getuid", none, 8, NULL, 0);
    note(&k, 1, "getgid", none, -EPERM, NULL, 0);
    note(&k, 1, "getgroups", asked, 2, groups, sizeof groups);
    note(&k, 1, "getgroups", all, 100, many, sizeof many);
    note(&k, 1, "getpgrp", none, 44, NULL, 0);
    note(&k, 1, "getsid", other, 7, NULL, 0);
    note(&k, 1, "getsid", none, 9, NULL, 0);
    note(&k, 1, "getppid", none, 1, NULL, 0);
    assert_int_equal(kept(&k, 1, "getuid", none), 8);
    assert_int_equal(kept(&k, 1, "getgid", none), -1);
    assert_int_equal(kept(&k, 1, "getgroups", asked), 2);
    assert_int_equal(ids[0] * 10 + ids[1], 56);
    assert_int_equal(kept(&k, 1, "getgroups", count), -1);
    assert_int_equal(kept(&k, 1, "getgroups", all), -1);
    assert_int_equal(kept(&k, 1, "getpgrp", none), -1);
    assert_int_equal(kept(&k, 1, "getsid", other), -1);
    assert_int_equal(kept(&k, 1, "getsid", none), 9);
    assert_int_equal(kept(&k, 1, "getppid", none), -1);
    mx_kept_forget(&k, mx_kept_ends("setgid"));
    assert_int_equal(kept(&k, 1, "getuid", none), -1);
    assert_int_equal(kept(&k, 1, "getsid", none), 9);
    assert_int_equal(kept(&k, 2, "getsid", none), -1); /* another thread */
    for (unsigned i = 0; i < 2 * MX_KEPT_SLOTS; i++)
        note(&k, 2, "getuid", none, (int64_t)i, NULL, 0);
    assert_int_equal(mx_kept_ends("setsid"), MX_KEEP_SESSION | MX_KEEP_GROUP);
    assert_int_equal(mx_kept_ends("getuid"), 0);
}

UNIT_MAIN(cmocka_unit_test(the_table_makes_sense), cmocka_unit_test(files),
          cmocka_unit_test(answers_in_memory), cmocka_unit_test(arrays_and_waits),
          cmocka_unit_test(lengths_that_the_caller_has), cmocka_unit_test(messages),
          cmocka_unit_test(texts), cmocka_unit_test(wrong_pointers_are_the_kernels_business),
          cmocka_unit_test(too_much_is_refused), cmocka_unit_test(answers_that_are_kept),
          cmocka_unit_test(a_hostile_host_gets_nowhere),
          cmocka_unit_test(a_hostile_home_writes_nothing_that_was_not_asked_for))
