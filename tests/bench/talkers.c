/* SPDX-License-Identifier: GPL-2.0-or-later */
/* talkers.c: thousands of synthetic nodes in one process that talk to one mosixd as nodes of a
 * cluster do: certified and sealed each for itself, they tell who they are, answer exchanges
 * and pings, and make exchanges with it as often as it makes them, with windows of the
 * freshest. usage: talkers OWNER NODE-CERT DAEMON-ADDRESS COUNT SECONDS OWNER: directory with
 * owner.key, owner.pub and epoch. The daemon is node 1 at port 7722; node i, 2 to COUNT, is at
 * 127.2.(i / 250).(i % 250 + 1) port 7799. Prints how many datagrams went each way. Must not
 * know: the daemon's state. */
#include "common/base/rng.h"
#include "common/sys/clock.h"
#include "gossip/core/gsp.h"
#include "gossip/keyfile.h"
#include "gossip/seal.h"
#include "mosix-core/mosixd/figures.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    DAEMON = 1,
    PORT = 7799,
    DAEMON_PORT = 7722,
    WINDOW = 64,
    INTRODUCED_PER_S = 400,
    NODES_MAX = 65534
};

struct talker {
    struct gsp_seal seal;
    struct gsp_seal_peer peers[DAEMON + 1]; /* of the others none is ever asked for */
    uint8_t secret[KEYS_SECRET_BYTES];
};

static struct {
    struct talker *list; /* by number */
    unsigned count;
    int sock;
    struct sockaddr_in daemon;
    uint32_t life;
    uint64_t sent, received, bodies;
    struct rng rng;
} t;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "talkers: %s: %s\n", what, strerror(errno));
    exit(1);
}

static in_addr_t address_of(unsigned i)
{
    return htonl(0x7f020000u | (i / 250) << 8 | (i % 250 + 1));
}

static unsigned number_of(in_addr_t a)
{
    uint32_t host = ntohl(a);
    return (host >> 8 & 255) * 250 + (host & 255) - 1;
}

static int64_t now_ms(void)
{
    return (int64_t)clock_mono_ms();
}

/* From the address of node i. */
static void post(unsigned i, const uint8_t *ptr, size_t len)
{
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(struct in_pktinfo))];
    } c;
    struct in_pktinfo info = { .ipi_spec_dst.s_addr = address_of(i) };
    struct iovec v = { (void *)(uintptr_t)ptr, len };
    struct msghdr m = { &t.daemon, sizeof t.daemon, &v, 1, &c, sizeof c.space, 0 };
    memset(&c, 0, sizeof c);
    c.head = (struct cmsghdr){ CMSG_LEN(sizeof info), IPPROTO_IP, IP_PKTINFO };
    memcpy(CMSG_DATA(&c.head), &info, sizeof info);
    if (sendmsg(t.sock, &m, 0) == (ssize_t)len)
        t.sent++;
}

static bool is_met(unsigned i)
{
    return t.list[i].seal.peers[DAEMON].boot != 0;
}

static void post_body(unsigned i, const uint8_t *body, size_t len)
{
    uint8_t out[GSP_SEALED_MAX];
    if (!is_met(i)) { /* as gossip/drive does */
        int c = gsp_seal_cert_out(&t.list[i].seal, DAEMON, out);
        if (c > 0)
            post(i, out, (size_t)c);
    }
    int n = gsp_seal_out(&t.list[i].seal, DAEMON, body, len, out);
    if (n > 0)
        post(i, out, (size_t)n);
}

static struct gsp_header head_of(unsigned i, unsigned type, uint32_t sequence)
{
    return (struct gsp_header){ .type = (uint8_t)type,
                                .your_state = GSP_ALIVE,
                                .from = (uint16_t)i,
                                .to = DAEMON,
                                .sequence = sequence,
                                .incarnation = (uint64_t)t.life << 32 | 1 };
}

/* Of itself, and of others what it could have heard of late. */
static void send_window(unsigned i, unsigned type, uint32_t sequence)
{
    uint8_t body[GSP_DATAGRAM_MAX];
    struct wr w = wr_of(body, sizeof body);
    struct gsp_header h = head_of(i, type, sequence);
    uint32_t version = (uint32_t)(now_ms() / 10);
    h.entry_count = WINDOW;
    gsp_header_put(&w, &h);
    for (unsigned k = 0; k < WINDOW; k++) {
        uint32_t age_ms = k ? rng_below(&t.rng, 4000) : 0;
        unsigned node = k ? 2 + rng_below(&t.rng, t.count - 1) : i;
        gsp_entry_put(&w, &(struct gsp_entry){
                              .node = (uint16_t)node,
                              .age_ms = age_ms,
                              .version = version - age_ms / 10,
                              .facts = { (uint16_t)rng_below(&t.rng, 300), 200, 2, 0, 0 } });
    }
    post_body(i, body, wr_len(&w));
}

static void send_short(unsigned i, unsigned type, uint32_t sequence, int node)
{
    uint8_t body[GSP_HEADER_BYTES + 2];
    struct wr w = wr_of(body, sizeof body);
    struct gsp_header h = head_of(i, type, sequence);
    gsp_header_put(&w, &h);
    if (node >= 0)
        put_u16(&w, (uint16_t)node);
    post_body(i, body, wr_len(&w));
}

/* ---- who they are ---- */

static void put_claim(struct wr *w, unsigned i, unsigned kind, const uint8_t *descriptor,
                      size_t len)
{
    static const uint8_t what[] = { 'M', 'X', 'k', '1' }; /* of gossip/drive.c */
    uint8_t text[sizeof what + GSP_SIGNED_MAX], signature[GSP_SIGNATURE_BYTES];
    struct gsp_claim c = { .kind = (uint8_t)kind,
                           .subject = (uint16_t)i,
                           .by = (uint16_t)i,
                           .incarnation = (uint64_t)t.life << 32 | 1,
                           .number = kind == GSP_CLAIM_DESCRIBE ? 1 << 8 : 0,
                           .descriptor_bytes = (uint8_t)len,
                           .descriptor = descriptor,
                           .signature = signature };
    memcpy(text, what, sizeof what);
    keys_sign(signature, text, sizeof what + gsp_claim_signed(&c, text + sizeof what),
              t.list[i].secret);
    gsp_claim_put(w, &c);
}

/* Node 2 tells of node i, as news from it. */
static void introduce(unsigned i)
{
    static const struct mx_about about = { .cores = 4,
                                           .speed = 10000,
                                           .memory_mb = 8192,
                                           .cpu_level = 3,
                                           .guests_max = 64,
                                           .kernel = "6.1.0",
                                           .version = "0" };
    uint8_t body[GSP_DATAGRAM_MAX], descriptor[GSP_DESCRIPTOR_MAX];
    struct wr d = wr_of(descriptor, sizeof descriptor), w = wr_of(body, sizeof body);
    struct gsp_header h = head_of(2, GSP_NEWS, 0);
    put_raw(&d, t.list[i].seal.own_cert, GSP_CERT_BYTES);
    mx_about_put(&d, &about);
    h.claim_count = 2;
    gsp_header_put(&w, &h);
    put_claim(&w, i, GSP_CLAIM_DESCRIBE, descriptor, wr_len(&d));
    put_claim(&w, i, GSP_CLAIM_ALIVE, NULL, 0);
    post_body(2, body, wr_len(&w));
}

static void begin(const char *owner_dir, const char *cert_path)
{
    char path[512];
    struct err e = { "" };
    uint8_t public[KEYS_PUBLIC_BYTES], secret[KEYS_SECRET_BYTES], epoch[GSP_EPOCH_BODY_BYTES],
        cert[GSP_CERT_BYTES];
    snprintf(path, sizeof path, "%.400s/owner.pub", owner_dir);
    int rc = gsp_keyfile_read_one(path, GSP_FILE_OWNER_PUBLIC, public, &e);
    snprintf(path, sizeof path, "%.400s/owner.key", owner_dir);
    if (rc == 0)
        rc = gsp_keyfile_read_one(path, GSP_FILE_OWNER, secret, &e);
    snprintf(path, sizeof path, "%.400s/epoch", owner_dir);
    if (rc == 0)
        rc = gsp_keyfile_read_one(path, GSP_FILE_EPOCH, epoch, &e);
    if (rc == 0)
        rc = gsp_keyfile_read_one(cert_path, GSP_FILE_CERTIFICATE, cert, &e);
    if (rc < 0) {
        fprintf(stderr, "talkers: %s\n", e.text);
        exit(1);
    }
    for (unsigned i = 2; i <= t.count; i++) {
        struct talker *who = &t.list[i];
        struct gsp_cert c = { .net_id = gsp_net_id(public),
                              .node = (uint16_t)i,
                              .serial = 1,
                              .expires_s = UINT32_MAX };
        struct gsp_seal_opts o = { .self = (uint16_t)i,
                                   .ids = t.count + 1,
                                   .life = t.life,
                                   .random = rng_below(&t.rng, UINT32_MAX) + 1 };
        memcpy(o.owner, public, sizeof o.owner);
        if (keys_new(c.key, who->secret) < 0)
            die("make keys");
        memcpy(o.secret, who->secret, sizeof o.secret);
        if (gsp_seal_init(&who->seal, &o, who->peers) < 0)
            die("begin");
        gsp_cert_sign(&c, secret, who->seal.own_cert);
        if (gsp_seal_certify(&who->seal, cert, sizeof cert, clock_wall_ms() / 1000) < 0 ||
            gsp_seal_epoch(&who->seal, epoch, sizeof epoch) < 0)
            die("take the daemon's certificate");
    }
}

/* ---- talking ---- */

static void take_body(unsigned i, const uint8_t *body, size_t len)
{
    struct rd r = rd_of(body, len);
    struct gsp_header h;
    uint16_t node;
    if (gsp_header_get(&r, &h) < 0)
        return;
    t.bodies++;
    if (h.type == GSP_EXCHANGE)
        send_window(i, GSP_WINDOW, h.sequence);
    else if (h.type == GSP_PING)
        send_short(i, GSP_ACK, h.sequence, -1);
    else if (h.type == GSP_ASK && get_u16(&r, &node) == 0)
        send_short(i, GSP_TOLD, h.sequence, node);
}

static bool take_one(void)
{
    uint8_t in[2048], body[GSP_SEALED_MAX];
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(struct in_pktinfo))];
    } c;
    struct iovec v = { in, sizeof in };
    struct msghdr m = { NULL, 0, &v, 1, &c, sizeof c.space, 0 };
    struct gsp_seal_in got;
    ssize_t n = recvmsg(t.sock, &m, MSG_DONTWAIT);
    struct cmsghdr *h = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    if (!h)
        return n > 0;
    struct in_pktinfo info;
    memcpy(&info, CMSG_DATA(h), sizeof info);
    unsigned i = number_of(info.ipi_addr.s_addr);
    if (i < 2 || i > t.count)
        return true;
    t.received++;
    int rc = gsp_seal_in(&t.list[i].seal, 1, now_ms(), in, (size_t)n, clock_wall_ms() / 1000,
                         body, &got);
    if (got.answer_bytes)
        post(i, got.answer, got.answer_bytes);
    if (rc == 0 && got.len_bytes)
        take_body(i, body, got.len_bytes);
    return true;
}

/* Mostly one that has talked with it before: of a first datagram only the greeting arrives. */
static unsigned pick(void)
{
    unsigned i = 2 + rng_below(&t.rng, t.count - 1);
    for (unsigned tries = 0; tries < 1000 && !is_met(i); tries++)
        i = 2 + rng_below(&t.rng, t.count - 1);
    return i;
}

static void talk(int64_t end_ms)
{
    int64_t begun_ms = 0, at_ms, exchange_ms = now_ms();
    unsigned introduced = 2;
    while ((at_ms = now_ms()) < end_ms) {
        struct pollfd p = { t.sock, POLLIN, 0 };
        if (poll(&p, 1, 5) < 0 && errno != EINTR)
            die("wait");
        for (unsigned k = 0; k < 64 && take_one(); k++)
            ;
        if (!begun_ms && is_met(2))
            begun_ms = at_ms;
        if (!begun_ms)
            send_short(2, GSP_PING, 0, -1);
        for (; begun_ms && introduced <= t.count &&
               introduced < 2 + (at_ms - begun_ms) * INTRODUCED_PER_S / 1000;
             introduced++)
            introduce(introduced);
        for (; exchange_ms < at_ms; exchange_ms += GSP_PERIOD_MS) /* one for each of its own */
            send_window(pick(), GSP_EXCHANGE, 0);
    }
}

int main(int argc, char **argv)
{
    int on = 1;
    if (argc != 6) {
        fputs("usage: talkers OWNER NODE-CERT DAEMON-ADDRESS COUNT SECONDS\n", stderr);
        return 2;
    }
    t.count = (unsigned)strtoul(argv[4], NULL, 10);
    t.daemon = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(DAEMON_PORT) };
    if (t.count < 2 || t.count > NODES_MAX ||
        inet_pton(AF_INET, argv[3], &t.daemon.sin_addr) != 1)
        return 2;
    t.rng = rng_of(1130);
    t.life = (uint32_t)(clock_wall_ms() / 1000);
    t.list = calloc(t.count + 1, sizeof *t.list);
    t.sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(PORT) };
    if (!t.list || t.sock < 0 ||
        setsockopt(t.sock, IPPROTO_IP, IP_PKTINFO, &on, sizeof on) < 0 ||
        bind(t.sock, (struct sockaddr *)&any, sizeof any) < 0)
        die("listen");
    begin(argv[1], argv[2]);
    puts("ready");
    fflush(stdout);
    talk(now_ms() + strtol(argv[5], NULL, 10) * 1000);
    printf("sent %llu received %llu bodies %llu\n", (unsigned long long)t.sent,
           (unsigned long long)t.received, (unsigned long long)t.bodies);
    return 0;
}
