/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_net.c: the map, the key, and connections between two processes: with the same key, with
 * another, with somebody who makes no sense, whose bytes are changed, and that are cut. */
#include "common/base/wire.h"
#include "common/sys/fd.h"
#include "mosix-core/move/hello.h"
#include "mosix-core/net/confine.h"
#include "mosix-core/plan/admit.h"
#include "mosix-core/net/wire.h"
#include "tests/lib/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[] = "/tmp/mosix-test.XXXXXX";

static void write_file(const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

TEST(map)
{
    static struct mx_nodes n;
    struct err e = { "" };
    write_file("# a cluster\nn1 10.0.0.1\n\nn2 10.0.0.2 99 # a port\nsix fe80::1\n", 0644);
    assert_ok(mx_nodes_read(&n, path, &e));
    assert_int_equal(n.count, 3);
    assert_int_equal(n.list[0].port, MX_PORT);
    assert_int_equal(n.list[1].port, 99);
    assert_int_equal(mx_nodes_find(&n, "n2"), 1);
    assert_int_equal(mx_nodes_find(&n, "2"), 1);
    assert_int_equal(mx_nodes_find(&n, "10.0.0.2"), 1);
    assert_int_equal(mx_nodes_find(&n, "4"), -ENOENT);
    assert_int_equal(mx_nodes_find(&n, "0"), -ENOENT);
    assert_int_equal(mx_nodes_find(&n, ""), -ENOENT);
    static const char *const wrong[] = { "n1\n",
                                         "n1 host\n",
                                         "home 10.0.0.1\n",
                                         "7 10.0.0.1\n",
                                         "n1 10.0.0.1 0\n",
                                         "n1 10.0.0.1 70000\n",
                                         "n1 10.0.0.1 7 x\n",
                                         "a 1.1.1.1\na 1.1.1.2\n",
                                         "" };
    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
        write_file(wrong[i], 0644);
        assert_error(mx_nodes_read(&n, path, &e), EINVAL);
    }
}

/* What is wrong is said with its line. */
static void wrong_map(const char *text, const char *words)
{
    static struct mx_nodes n;
    struct err e = { "" };
    write_file(text, 0644);
    assert_error(mx_map_read(&n, path, &e), EINVAL);
    assert_has(e.text, words);
}

TEST(mosix_map)
{
    static struct mx_nodes n, old;
    struct err e = { "" };
    char text[MX_NODE_TEXT_MAX];
    write_file("1 ant 10.0.0.1\n5 bee 10.0.0.2 99 # a port\n\ncluster 3 far\n9 cat fe80::1\n",
               0644);
    assert_ok(mx_map_read(&n, path, &e));
    assert_int_equal(n.count, 3);
    assert_int_equal(n.cluster_count, 2);
    assert_int_equal(n.list[1].number, 5);
    assert_int_equal(n.list[1].cluster, 0);
    assert_int_equal(n.list[2].cluster, 3);
    assert_string_equal(mx_nodes_cluster(&n, 3)->name, "far");
    assert_null(mx_nodes_cluster(&n, 1));
    assert_int_equal(mx_nodes_find(&n, "5"), 1);
    assert_int_equal(mx_nodes_find(&n, "2"), -ENOENT);
    assert_int_equal(mx_nodes_find(&n, "cat"), 2);
    assert_int_equal(mx_nodes_find(&n, "fe80::1"), 2);
    wrong_map("1 ant 10.0.0.1\n0 bee 10.0.0.2\n", "line 2: '0' can't be");
    wrong_map("1 ant 10.0.0.1\n65535 bee 10.0.0.2\n", "line 2: '65535' can't be");
    wrong_map("2 ant 10.0.0.1\n\n2 bee 10.0.0.2\n", "line 3: numbers must ascend");
    wrong_map("1 ant 10.0.0.1\n2 ant 10.0.0.2\n", "line 2: node ant was named before");
    wrong_map("1 ant 10.0.0.1\n2 bee 10.0.0.1\n", "line 2: 10.0.0.1 port 7722 is node ant");
    wrong_map("1 ant host\n", "line 1: 'host' is no numeric address");
    wrong_map("1 ant\n", "line 1: should be a number");
    wrong_map("1 ant 10.0.0.1 7 8 9 10 11\n", "line 1: should be a number");
    wrong_map("cluster 256 far\n", "line 1: should be 'cluster'");
    wrong_map("1 ant 10.0.0.1\ncluster 0 far\n", "line 2: cluster 0 main was named before");
    wrong_map("# nothing\n", "names no node");
    /* A keeper with an older map learns. */
    write_file("1 ant 10.0.0.1\n5 bee 10.0.0.2\n", 0644);
    assert_ok(mx_map_read(&old, path, &e));
    mx_node_text(&n.list[2], text);
    assert_int_equal(mx_nodes_learn(&old, text), 2);
    assert_string_equal(old.list[2].name, "cat");
    n.list[1].revoked = 4;
    mx_node_text(&n.list[1], text);
    assert_int_equal(mx_nodes_learn(&old, text), 1);
    assert_int_equal(old.list[1].port, 99);
    assert_int_equal(old.list[1].revoked, 4);
    assert_error(mx_nodes_learn(&old, "bee"), EPROTO);
    assert_error(mx_nodes_learn(&old, "0 a 1.1.1.1 7 0 0"), EPROTO);
    assert_error(mx_nodes_learn(&old, "4 a 1.1.1.1 7 0 0 more"), EPROTO);
    assert_int_equal(old.count, 3);
}

TEST(partitions)
{
    static struct mx_nodes n;
    struct err e = { "" };
    write_file(
        "1 ant 10.0.0.1\n2 bee 10.0.0.2\n3 cat 10.0.0.3\n4 dog 10.0.0.4\n5 elk 10.0.0.5\n"
        "cluster 3 far\n9 fox 10.0.0.9\n",
        0644);
    assert_ok(mx_map_read(&n, path, &e));
    assert_ok(mx_partitions_read(&n, "/nonexistent/partitions", 0, &e));
    assert_int_equal(mx_nodes_rank(&n, 0, 1), MX_RANK_PARTITION);
    write_file("blue 20 1-2 # theirs\nred refuse cat\nblue 20 10.0.0.4\n", 0644);
    assert_ok(mx_partitions_read(&n, path, 0, &e));
    assert_int_equal(n.partition_count, 2);
    assert_int_equal(mx_nodes_rank(&n, 0, 1), MX_RANK_PARTITION);
    assert_int_equal(mx_nodes_rank(&n, 0, 3), MX_RANK_PARTITION);
    assert_int_equal(mx_nodes_rank(&n, 0, 2), 20);
    assert_int_equal(mx_nodes_rank(&n, 2, 0), MX_RANK_NEVER);
    assert_int_equal(mx_nodes_rank(&n, 4, 0), MX_RANK_CLUSTER); /* elk is in none */
    /* Read anew, nothing is left of before. */
    write_file("red 5 1\n", 0644);
    assert_ok(mx_partitions_read(&n, path, 0, &e));
    assert_int_equal(mx_nodes_rank(&n, 1, 2), MX_RANK_PARTITION);
    assert_int_equal(mx_nodes_rank(&n, 0, 2), 5);
    static const char *const wrong[] = { "blue 20\n",
                                         "blue 1 ant\n",
                                         "blue x ant\n",
                                         "blue 5 gnu\n",
                                         "blue 5 9\n",
                                         "blue 5 7-8\n",
                                         "blue 5 1 ant\nred 5 1\n",
                                         "blue 5 2-x\n",
                                         "blue 5 1\nblue 6 2\n" };
    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
        write_file(wrong[i], 0644);
        assert_error(mx_partitions_read(&n, path, 0, &e), EINVAL);
        assert_has(e.text, ", line ");
    }
}

TEST(partners)
{
    static struct mx_nodes n;
    struct err e = { "" };
    write_file("1 ant 10.0.0.1\ncluster 3 far\n9 cat 10.0.0.9\n", 0644);
    assert_ok(mx_map_read(&n, path, &e));
    assert_ok(mx_partners_read(&n, "/nonexistent/partners", &e));
    assert_false(mx_nodes_cluster(&n, 3)->takes);
    write_file("far take stay\n", 0644);
    assert_ok(mx_partners_read(&n, path, &e));
    assert_true(mx_nodes_cluster(&n, 3)->takes);
    assert_false(mx_nodes_cluster(&n, 3)->goes);
    write_file("# who\nfar refuse go\n", 0644);
    assert_ok(mx_partners_read(&n, path, &e));
    assert_false(mx_nodes_cluster(&n, 3)->takes);
    assert_true(mx_nodes_cluster(&n, 3)->goes);
    assert_int_equal(mx_nodes_cluster(&n, 3)->rank, MX_RANK_PARTNER);
    assert_int_equal(mx_nodes_rank(&n, 0, 1), MX_RANK_NEVER);
    write_file("far take stay 45\n", 0644);
    assert_ok(mx_partners_read(&n, path, &e));
    assert_int_equal(mx_nodes_rank(&n, 0, 1), 45);
    assert_int_equal(mx_nodes_rank(&n, 0, 0), MX_RANK_LOCAL);
    static const char *const wrong[] = { "far take\n",          "far go take\n",
                                         "near take go\n",      "far take go 1\n",
                                         "far take go 65535\n", "far take go x\n",
                                         "far take go 5 5\n" };
    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
        write_file(wrong[i], 0644);
        assert_error(mx_partners_read(&n, path, &e), EINVAL);
        assert_has(e.text, "line 1: ");
    }
}

TEST(key)
{
    uint8_t key[CRYPTO_KEY_BYTES];
    struct err e = { "" };
    const char *good = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";
    write_file(good, 0600);
    assert_ok(mx_key_read(key, path, &e));
    assert_int_equal(key[31], 0xff);
    write_file(good, 0644);
    assert_error(mx_key_read(key, path, &e), EPERM);
    write_file("0011\n", 0600);
    assert_error(mx_key_read(key, path, &e), EINVAL);
    write_file("g0112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n", 0600);
    assert_error(mx_key_read(key, path, &e), EINVAL);
}

TEST(hello)
{
    struct mx_hello h = { .stream = MX_STREAM_IMAGE,
                          .move = 3,
                          .pid = 7,
                          .now = { 5, 6 },
                          .cpu = UINT64_C(1) << 63,
                          .home = "n1",
                          .program = "a\nb" };
    struct mx_hello back;
    uint8_t bytes[MX_HELLO_MAX];
    memset(h.token, 9, sizeof h.token);
    struct wr w = wr_of(bytes, sizeof bytes);
    mx_hello_put(&w, &h);
    struct rd r = rd_of(bytes, wr_len(&w));
    assert_ok(mx_hello_get(&r, &back));
    assert_string_equal(back.program, "a?b");
    assert_int_equal(back.move, 3);
    assert_true(back.cpu == UINT64_C(1) << 63);
    assert_true(back.now.mono_ns == 5 && back.now.boot_ns == 6);
    for (size_t cut = 0; cut < wr_len(&w); cut++) {
        r = rd_of(bytes, cut);
        assert_error(mx_hello_get(&r, &back), EPROTO);
    }
    bytes[0]++;
    r = rd_of(bytes, wr_len(&w));
    assert_error(mx_hello_get(&r, &back), ENOTSUP);
}

/* ---- connections ---- */

static const struct mx_identity one = { .key = { 1 } }, other = { .key = { 2 } };

static int listen_here(struct mx_node *n)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 &&
                listen(fd, 4) == 0 && getsockname(fd, (struct sockaddr *)&a, &len) == 0);
    *n = (struct mx_node){ .name = "here", .address = "127.0.0.1", .port = ntohs(a.sin_port) };
    return fd;
}

/* A child that accepts one connection as id, answers rc, and sends back what it is sent;
 * status 0 when all was well. */
/* Whom an echo may know; and who has connected there was to be this one. */
static struct mx_nodes known;
static int expected = -1;

static pid_t echo(int listener, const struct mx_identity *id, int answer)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    struct mx_wire w;
    struct err e = { "" };
    uint8_t hello[MX_HELLO_MAX];
    size_t len = sizeof hello;
    int pair[2], fd = accept(listener, NULL, NULL);
    int who, rc = mx_wire_accept(&w, fd, id, &known, &who, hello, &len, &e);
    if (rc < 0 || who != expected || len != 5 || memcmp(hello, "hello", 5) != 0)
        _exit(10);
    if (mx_wire_answer(&w, answer, "no room") < 0 || answer < 0 || fd_socketpair(pair) < 0)
        _exit(11);
    if (fork() == 0) {
        static char space[50000];
        ssize_t n;
        close(pair[0]);
        while ((n = read(pair[1], space, sizeof space)) > 0)
            if (fd_write_full(pair[1], space, (size_t)n) < 0)
                _exit(1);
        shutdown(pair[1], SHUT_WR);
        _exit(0);
    }
    close(pair[1]);
    rc = mx_wire_carry(&w, pair[0]);
    _exit(rc == 0 ? 0 : rc == -EPIPE ? 12 : 13);
}

static int end_of(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(same_key)
{
    struct mx_node n;
    struct mx_wire w;
    struct err e = { "" };
    int pair[2], listener = listen_here(&n);
    static uint8_t sent[300000], back[300000];
    pid_t pid = echo(listener, &one, 0);
    assert_ok(mx_wire_connect(&w, &n, &one, "hello", 5, &e));
    assert_ok(fd_socketpair(pair));
    pid_t carrier = fork();
    if (carrier == 0) {
        close(pair[1]);
        _exit(mx_wire_carry(&w, pair[0]) != 0);
    }
    close(w.fd);
    close(pair[0]);
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (uint8_t)(i * 7 / 3);
    pid_t writer = fork();
    if (writer == 0) {
        int rc = fd_write_full(pair[1], sent, sizeof sent);
        _exit(rc < 0 || shutdown(pair[1], SHUT_WR) < 0);
    }
    assert_int_equal(fd_read_full(pair[1], back, sizeof back), sizeof back);
    assert_memory_equal(sent, back, sizeof sent);
    assert_int_equal(read(pair[1], back, 1), 0);
    assert_int_equal(end_of(writer), 0);
    assert_int_equal(end_of(carrier), 0);
    assert_int_equal(end_of(pid), 0);
    close(pair[1]);
    close(listener);
}

TEST(another_key)
{
    struct mx_node n;
    struct mx_wire w;
    struct err e = { "" };
    int listener = listen_here(&n);
    pid_t pid = echo(listener, &other, 0);
    assert_error(mx_wire_connect(&w, &n, &one, "hello", 5, &e), EACCES);
    assert_non_null(strstr(e.text, "has not the same key"));
    assert_int_equal(end_of(pid), 10);
    close(listener);
}

/* ---- by certificates ---- */

static uint8_t owner[KEYS_PUBLIC_BYTES], owner_secret[KEYS_SECRET_BYTES];

static struct mx_identity certified(unsigned node, uint32_t serial, int64_t expires_s)
{
    struct mx_identity id = { .has_cert = true };
    struct gsp_cert c = { .net_id = gsp_net_id(owner),
                          .node = (uint16_t)node,
                          .serial = serial,
                          .expires_s = (uint32_t)expires_s };
    memcpy(id.owner, owner, sizeof id.owner);
    assert_ok(keys_new(c.key, id.secret));
    gsp_cert_sign(&c, owner_secret, id.cert);
    return id;
}

/* Node 7 connects as from, who should be at answers as to. Returns what it gets. */
static int try_certified(const struct mx_identity *from, const struct mx_identity *to,
                         uint32_t revoked, int *end, struct err *e)
{
    struct mx_node n;
    struct mx_wire w;
    int listener = listen_here(&n);
    n.number = 9;
    n.revoked = revoked;
    pid_t pid = echo(listener, to, 0);
    int rc = mx_wire_connect(&w, &n, from, "hello", 5, e);
    if (rc == 0) {
        /* The end of one direction ends both there. */
        shutdown(w.fd, SHUT_RDWR);
        close(w.fd);
    }
    *end = end_of(pid);
    close(listener);
    return rc;
}

TEST(certificates)
{
    struct err e = { "" };
    int end;
    assert_ok(keys_new(owner, owner_secret));
    struct mx_identity seven = certified(7, 2, 2000000000), nine = certified(9, 1, 2000000000);
    struct mx_identity eight = certified(8, 1, 2000000000), old = certified(9, 1, 1000);
    known.count = 2;
    known.list[0] = (struct mx_node){ .number = 3 };
    known.list[1] = (struct mx_node){ .number = 7 };
    expected = 1;
    assert_ok(try_certified(&seven, &nine, 0, &end, &e));
    assert_int_equal(end, 12);
    /* The other is not who it should be: another node, with the key of none, expired, revoked.
     */
    assert_error(try_certified(&seven, &eight, 0, &end, &e), EACCES);
    assert_non_null(strstr(e.text, "is not that node by a certificate"));
    assert_int_equal(end, 10);
    struct mx_identity thief = eight;
    memcpy(thief.cert, nine.cert, sizeof thief.cert);
    assert_error(try_certified(&seven, &thief, 0, &end, &e), EACCES);
    assert_int_equal(end, 10);
    assert_error(try_certified(&seven, &old, 0, &end, &e), ETIME);
    assert_error(try_certified(&seven, &nine, 1, &end, &e), EKEYREVOKED);
    /* And who connects: not in the map, revoked, of another owner, one who shares a key. */
    assert_error(try_certified(&eight, &nine, 0, &end, &e), EACCES);
    assert_int_equal(end, 10);
    known.list[1].revoked = 2;
    assert_error(try_certified(&seven, &nine, 0, &end, &e), EACCES);
    assert_int_equal(end, 10);
    known.list[1].revoked = 1;
    assert_ok(try_certified(&seven, &nine, 0, &end, &e));
    assert_int_equal(end, 12);
    struct mx_identity stranger = seven;
    assert_ok(keys_new(owner, owner_secret));
    struct mx_identity theirs = certified(7, 9, 2000000000);
    assert_error(try_certified(&theirs, &nine, 0, &end, &e), EACCES);
    assert_int_equal(end, 10);
    stranger.has_cert = false;
    assert_error(try_certified(&stranger, &nine, 0, &end, &e), EACCES);
    assert_int_equal(end, 10);
    expected = -1;
}

TEST(refused)
{
    struct mx_node n;
    struct mx_wire w;
    struct err e = { "" };
    int listener = listen_here(&n);
    pid_t pid = echo(listener, &one, -ENOSPC);
    assert_error(mx_wire_connect(&w, &n, &one, "hello", 5, &e), ENOSPC);
    assert_non_null(strstr(e.text, "no room"));
    assert_int_equal(end_of(pid), 11);
    close(listener);
}

static int dial(const struct mx_node *n)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons(n->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0);
    return fd;
}

/* Nothing, a little, and much of anything; a public part that is no point of the curve's. */
TEST(strangers)
{
    struct mx_node n;
    int listener = listen_here(&n);
    static uint8_t noise[4000];
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)(i * 31 + 7);
    for (unsigned how = 0; how < 4; how++) {
        pid_t pid = echo(listener, &one, 0);
        int fd = dial(&n);
        if (how == 3) {
            memset(noise, 0, sizeof noise);
            memcpy(noise, MX_WIRE_MAGIC, MX_WIRE_MAGIC_BYTES);
        }
        size_t len = how == 0 ? 0 : how == 1 ? 10 : sizeof noise;
        assert_ok(fd_write_full(fd, noise, len));
        shutdown(fd, SHUT_WR);
        assert_int_equal(end_of(pid), 10);
        close(fd);
    }
    close(listener);
}

/* Between the two sits somebody who changes byte number at of what the first says, or cuts
 * there. */
static pid_t meddler(int listener, const struct mx_node *to, size_t at, bool is_cut)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    int in = accept(listener, NULL, NULL), out = dial(to);
    if (fork() == 0) {
        uint8_t byte;
        for (size_t i = 0; read(in, &byte, 1) == 1; i++) {
            if (i == at && is_cut)
                break;
            byte ^= i == at;
            if (write(out, &byte, 1) != 1)
                break;
        }
        shutdown(out, SHUT_WR);
        _exit(0);
    }
    uint8_t byte;
    while (read(out, &byte, 1) == 1)
        if (write(in, &byte, 1) != 1)
            break;
    shutdown(in, SHUT_RDWR);
    _exit(0);
}

TEST(changed_and_cut)
{
    /* magic, public part, header, length, hello, and the first piece behind it */
    static const size_t places[] = { 3, 20, 45, 64, 70, 90, 94, 110 };
    for (unsigned i = 0; i < 2 * ARRAY_LEN(places); i++) {
        struct mx_node behind, before;
        struct mx_wire w;
        struct err e = { "" };
        int pair[2], far = listen_here(&behind), near = listen_here(&before);
        pid_t pid = echo(far, &one, 0);
        pid_t third = meddler(near, &behind, places[i / 2], i % 2);
        int rc = mx_wire_connect(&w, &before, &one, "hello", 5, &e);
        if (rc == 0) {
            assert_ok(fd_socketpair(pair));
            assert_ok(fd_write_full(pair[1], "0123456789012345678901234567890123456789", 40));
            shutdown(pair[1], SHUT_WR);
            assert_true(mx_wire_carry(&w, pair[0]) != 0);
            close(pair[1]);
        }
        int ended = end_of(pid);
        assert_true(ended == 10 || ended == 12 || ended == 13);
        assert_true(kill(third, SIGKILL) == 0);
        assert_true(end_of(third) <= 0);
        close(far);
        close(near);
    }
}

/* What is tried by a process that has given it up; the exit status is the first that is wrong.
 */
static int try(enum mx_confine what)
{
    bool is_supervisor = what == MX_CONFINE_SUPERVISOR;
    int pair[2], fd;
    uint8_t byte = 1;
    if (fd_socketpair(pair) < 0 || mx_confine(what) < 0)
        return 1;
    if (fd_write_full(pair[0], &byte, 1) < 0 || fd_read(pair[1], &byte, 1) != 1)
        return 2;
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    return 0; /* there are no filters then: other calls are made than the program's */
#endif
    if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != EPERM)
        return 3;
    execl("/bin/true", "true", (char *)NULL);
    if (errno != EPERM)
        return 4;
    if (unshare(CLONE_NEWUSER) == 0 || errno != EPERM)
        return 5;
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (is_supervisor != (fd >= 0))
        return 6;
    fd = memfd_create("x", MFD_CLOEXEC);
    if ((what == MX_CONFINE_COLLECTOR || is_supervisor) != (fd >= 0))
        return 7;
    if ((unlink("/nowhere/at/all") < 0 && errno == EPERM) !=
        (what == MX_CONFINE_CARRIER || what == MX_CONFINE_COLLECTOR))
        return 8;
    if (!is_supervisor && (kill(getppid(), 0) == 0 || errno != EPERM))
        return 9;
    return 0;
}

TEST(confined)
{
    for (int what = MX_CONFINE_CARRIER; what <= MX_CONFINE_SUPERVISOR; what++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(try((enum mx_confine)what));
        assert_int_equal(end_of(pid), 0);
    }
}

static int set_up(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(map),         cmocka_unit_test(key),
        cmocka_unit_test(mosix_map),   cmocka_unit_test(partitions),
        cmocka_unit_test(partners),    cmocka_unit_test(certificates),
        cmocka_unit_test(hello),       cmocka_unit_test(same_key),
        cmocka_unit_test(another_key), cmocka_unit_test(refused),
        cmocka_unit_test(strangers),   cmocka_unit_test(changed_and_cut),
        cmocka_unit_test(confined),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
