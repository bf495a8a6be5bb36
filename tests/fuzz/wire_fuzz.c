/* SPDX-License-Identifier: GPL-2.0-or-later */
/* wire_fuzz.c: any bytes on a connection between two nodes, before, within and after their
 * greeting: who can't be the node that its certificate names is refused with words, what was
 * not sealed never comes out, and what two real ones say to each other arrives as it was. */
#include "mosix-core/net/wire.h"

#include "common/sys/clock.h"
#include "common/sys/fd.h"

#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes);

enum { SLOW_MS = MX_HANDSHAKE_MS / 3 };

static struct mx_identity ids[2];
static struct mx_nodes nodes;
static int listener = -1;

static void must(bool is_so)
{
    if (!is_so)
        abort();
}

static void begin(void)
{
    uint8_t owner[KEYS_PUBLIC_BYTES], owner_secret[KEYS_SECRET_BYTES];
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    must(keys_new(owner, owner_secret) == 0);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(listener >= 0 && bind(listener, (struct sockaddr *)&a, len) == 0 &&
         listen(listener, 8) == 0 && getsockname(listener, (struct sockaddr *)&a, &len) == 0);
    nodes.count = 2;
    nodes.cluster_count = 1;
    for (uint16_t i = 0; i < 2; i++) {
        struct gsp_cert c = { .net_id = gsp_net_id(owner),
                              .node = (uint16_t)(i + 1),
                              .serial = 1,
                              .expires_s = UINT32_MAX };
        must(keys_new(c.key, ids[i].secret) == 0);
        gsp_cert_sign(&c, owner_secret, ids[i].cert);
        memcpy(ids[i].owner, owner, sizeof owner);
        ids[i].has_cert = true;
        nodes.list[i] = (struct mx_node){ .number = c.node, .port = ntohs(a.sin_port) };
        snprintf(nodes.list[i].name, sizeof nodes.list[i].name, "n%u", i + 1);
        snprintf(nodes.list[i].address, sizeof nodes.list[i].address, "127.0.0.1");
    }
}

/* The other side, in a thread of its own: what it is to do, and what came of it. */
struct other {
    const uint8_t *ptr;
    size_t len;
    int rc;
    struct mx_wire wire;
    struct err e;
};

/* A real node: says hello, and when it was taken sends what nobody has sealed. */
static void *connect_as_node(void *ctx)
{
    struct other *o = ctx;
    sigset_t all;
    sigfillset(&all); /* the fuzzer's alarms are for its own thread */
    must(pthread_sigmask(SIG_BLOCK, &all, NULL) == 0);
    size_t hello = o->len < MX_HELLO_MAX ? o->len : MX_HELLO_MAX;
    o->rc = mx_wire_connect(&o->wire, &nodes.list[1], &ids[0], o->ptr, hello, &o->e);
    if (o->rc < 0)
        return NULL;
    (void)send(o->wire.fd, o->ptr, o->len, MSG_NOSIGNAL);
    close(o->wire.fd);
    return NULL;
}

/* Whoever is at the node's address answers what it likes. */
static void *answer_anything(void *ctx)
{
    struct other *o = ctx;
    AUTO_FD fd = accept(listener, NULL, NULL);
    must(fd >= 0);
    (void)send(fd, o->ptr, o->len, MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    return NULL;
}

static int connect_raw(void)
{
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(fd >= 0 && getsockname(listener, (struct sockaddr *)&a, &len) == 0 &&
         connect(fd, (struct sockaddr *)&a, len) == 0);
    return fd;
}

static int take(struct mx_wire *w, int *who, uint8_t *hello, size_t *len, struct err *e)
{
    int fd = accept(listener, NULL, NULL);
    must(fd >= 0);
    return mx_wire_accept(w, fd, &ids[1], &nodes, who, hello, len, e);
}

/* A stranger that connects; with a greeting of a real node's in front, changed or not. */
static void stranger(const uint8_t *ptr, size_t len, bool is_greeting)
{
    struct mx_wire w;
    struct err e = { "" };
    uint8_t hello[MX_HELLO_MAX];
    size_t hello_len = sizeof hello;
    struct crypto_exchange x;
    int who = -1;
    AUTO_FD fd = connect_raw();
    if (is_greeting && len >= 2) {
        uint8_t greeting[MX_WIRE_MAGIC_BYTES + CRYPTO_PUBLIC_BYTES + GSP_CERT_BYTES];
        must(crypto_exchange_new(&x) == 0);
        memcpy(greeting, MX_WIRE_MAGIC_CERT, MX_WIRE_MAGIC_BYTES);
        memcpy(greeting + MX_WIRE_MAGIC_BYTES, x.public, CRYPTO_PUBLIC_BYTES);
        memcpy(greeting + MX_WIRE_MAGIC_BYTES + CRYPTO_PUBLIC_BYTES, ids[0].cert,
               GSP_CERT_BYTES);
        greeting[ptr[0] % sizeof greeting] ^= ptr[1];
        (void)send(fd, greeting, sizeof greeting, MSG_NOSIGNAL);
    }
    (void)send(fd, ptr, len, MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    must(take(&w, &who, hello, &hello_len, &e) < 0 && e.text[0] && w.fd < 0);
}

/* The bytes of a real node's connection, once it is there. Returns whether all was as it must
 * be. */
static bool talk(struct mx_wire *w, int said, const char *words)
{
    uint8_t byte;
    int pair[2];
    bool is_right = mx_wire_answer(w, said, words) == 0;
    if (said != 0) {
        close(w->fd);
        return is_right;
    }
    must(fd_socketpair(pair) == 0);
    is_right &= mx_wire_carry(w, pair[0]) < 0 && read(pair[1], &byte, 1) <= 0;
    close(pair[1]);
    return is_right;
}

/* A real node; what comes after the greeting without a seal is nothing. */
static void member(const uint8_t *ptr, size_t len)
{
    struct other o = { .ptr = ptr, .len = len };
    struct mx_wire w;
    struct err e = { "" };
    uint8_t hello[MX_HELLO_MAX];
    size_t hello_len = sizeof hello;
    char words[16] = "";
    pthread_t thread;
    int who = -1, said = len ? -(int)ptr[0] : 0;
    uint64_t began_ms = clock_mono_ms();
    for (size_t i = 0; i + 1 < sizeof words && i < len; i++)
        words[i] = (char)(ptr[i] % 95 + ' ');
    must(pthread_create(&thread, NULL, connect_as_node, &o) == 0);
    bool is_right = take(&w, &who, hello, &hello_len, &e) == 0;
    if (is_right)
        is_right = who == 0 && hello_len == (len < MX_HELLO_MAX ? len : MX_HELLO_MAX) &&
                   memcmp(hello, ptr, hello_len) == 0 && talk(&w, said, words);
    must(pthread_join(thread, NULL) == 0);
    is_right &= o.rc == said && (said == 0 || strstr(o.e.text, words));
    /* On a computer that has a lot to do each side gives up after a time. */
    must(is_right || clock_mono_ms() - began_ms > SLOW_MS);
}

/* We connect, and somebody who is not that node answers. */
static void impostor(const uint8_t *ptr, size_t len)
{
    struct other o = { .ptr = ptr, .len = len };
    struct mx_wire w;
    struct err e = { "" };
    pthread_t thread;
    must(pthread_create(&thread, NULL, answer_anything, &o) == 0);
    must(mx_wire_connect(&w, &nodes.list[0], &ids[1], "hello", 5, &e) < 0 && e.text[0]);
    must(pthread_join(thread, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes)
{
    if (listener < 0)
        begin();
    if (len_bytes == 0)
        return 0;
    switch (ptr[0] % 4) {
    case 0: stranger(ptr + 1, len_bytes - 1, false); break;
    case 1: stranger(ptr + 1, len_bytes - 1, true); break;
    case 2: member(ptr + 1, len_bytes - 1); break;
    default: impostor(ptr + 1, len_bytes - 1); break;
    }
    return 0;
}
