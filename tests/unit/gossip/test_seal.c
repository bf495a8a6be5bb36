/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_seal.c: sealed datagrams between nodes, and what whoever hears, repeats, changes or
 * invents them can't do: strangers, former lives, members that lie about who they are, revoked
 * nodes. */
#include "gossip/seal.h"
#include "tests/lib/unit.h"

#include <stdio.h>
#include <stdlib.h>

enum { NODES = 5, NOW_S = 1000000, BOOT = 5000 };

static struct {
    uint8_t owner[KEYS_PUBLIC_BYTES], owner_secret[KEYS_SECRET_BYTES];
    struct node {
        struct gsp_seal s;
        void *memory;
        uint8_t secret[KEYS_SECRET_BYTES], public[KEYS_PUBLIC_BYTES];
        uint8_t cert[GSP_CERT_BYTES];
        struct gsp_seal_in in;
        uint8_t body[GSP_SEALED_MAX];
    } n[NODES];
    uint8_t epoch[8][GSP_EPOCH_BODY_BYTES];
    int64_t now_ms;
    bool are_strangers; /* who boots knows no certificate but its own */
} t;

struct datagram {
    uint8_t bytes[GSP_SEALED_MAX];
    size_t len;
};

static void certify(unsigned node, uint32_t serial)
{
    struct gsp_cert c = { .net_id = gsp_net_id(t.owner),
                          .node = (uint16_t)node,
                          .serial = serial,
                          .expires_s = NOW_S + 100 };
    memcpy(c.key, t.n[node].public, sizeof c.key);
    gsp_cert_sign(&c, t.owner_secret, t.n[node].cert);
}

/* A life of a node; it knows all certificates and an epoch. */
static void boot(unsigned node, uint32_t life, unsigned epoch)
{
    struct node *n = &t.n[node];
    struct gsp_seal_opts o = { .self = (uint16_t)node, .ids = NODES, .life = life };
    memcpy(o.owner, t.owner, sizeof o.owner);
    memcpy(o.secret, n->secret, sizeof o.secret);
    o.random = (uint32_t)rand() + 1;
    free(n->memory);
    n->memory = calloc(1, gsp_seal_memory_bytes(&o));
    assert_non_null(n->memory);
    assert_ok(gsp_seal_init(&n->s, &o, n->memory));
    memcpy(n->s.own_cert, n->cert, GSP_CERT_BYTES);
    for (unsigned i = 0; i < NODES && !t.are_strangers; i++)
        assert_ok(gsp_seal_certify(&n->s, t.n[i].cert, GSP_CERT_BYTES, NOW_S));
    assert_ok(gsp_seal_epoch(&n->s, t.epoch[epoch], GSP_EPOCH_BODY_BYTES));
}

static int setup(void **state UNUSED)
{
    uint8_t secret[KEYS_SHARED_BYTES];
    t.now_ms = 1000;
    assert_ok(keys_new(t.owner, t.owner_secret));
    for (unsigned i = 0; i < ARRAY_LEN(t.epoch); i++) {
        memset(secret, (int)i + 1, sizeof secret);
        gsp_epoch_sign(gsp_net_id(t.owner), (uint8_t)(250 + i), secret, t.owner_secret,
                       t.epoch[i]);
    }
    for (unsigned i = 0; i < NODES; i++) {
        assert_ok(keys_new(t.n[i].public, t.n[i].secret));
        certify(i, 1);
    }
    for (unsigned i = 0; i < NODES; i++)
        boot(i, BOOT, 0);
    return 0;
}

static int teardown(void **state UNUSED)
{
    for (unsigned i = 0; i < NODES; i++) {
        gsp_seal_fini(&t.n[i].s);
        free(t.n[i].memory);
        t.n[i].memory = NULL;
    }
    return 0;
}

static struct datagram out(unsigned from, unsigned to, const char *text)
{
    /* As long as an exchange of some nodes. */
    uint8_t body[120] = { 0 };
    struct datagram d;
    snprintf((char *)body, sizeof body, "%s", text);
    int n = gsp_seal_out(&t.n[from].s, (uint16_t)to, body, sizeof body, d.bytes);
    assert_ok(n);
    d.len = (size_t)n;
    return d;
}

/* No answer is longer than what it answers. */
static int in(unsigned at, const struct datagram *d)
{
    struct node *n = &t.n[at];
    int rc = gsp_seal_in(&n->s, 77, t.now_ms += 10, d->bytes, d->len, NOW_S, n->body, &n->in);
    assert_true(n->in.answer_bytes <= d->len);
    assert_true(rc == 0 || n->in.len_bytes == 0);
    return rc;
}

static struct datagram answer_of(unsigned at)
{
    struct datagram d = { .len = t.n[at].in.answer_bytes };
    assert_true(d.len > 0);
    memcpy(d.bytes, t.n[at].in.answer, d.len);
    return d;
}

/* Both know each other's lives then. */
static void greet(unsigned a, unsigned b)
{
    struct datagram d = out(a, b, "lost");
    assert_ok(in(b, &d));
    assert_int_equal(t.n[b].in.len_bytes, 0);
    d = answer_of(b);
    assert_ok(in(a, &d));
    assert_int_equal(t.n[a].in.answer_bytes, 0);
    d = out(a, b, "hello");
    assert_ok(in(b, &d));
    assert_string_equal((char *)t.n[b].body, "hello");
    assert_int_equal(t.n[b].in.from, a);
    d = out(b, a, "hello you");
    assert_ok(in(a, &d));
    assert_string_equal((char *)t.n[a].body, "hello you");
}

TEST(two_that_never_met)
{
    greet(0, 1);
    greet(3, 2);
}

TEST(nothing_is_taken_twice)
{
    struct datagram d[3000];
    greet(0, 1);
    for (unsigned i = 0; i < ARRAY_LEN(d); i++)
        d[i] = out(0, 1, "x");
    unsigned newest = ARRAY_LEN(d) - 1;
    assert_ok(in(1, &d[100]));
    assert_ok(in(1, &d[50])); /* late */
    assert_error(in(1, &d[50]), EALREADY);
    assert_error(in(1, &d[100]), EALREADY);
    assert_ok(in(1, &d[newest]));
    assert_error(in(1, &d[newest - GSP_REPLAY_BITS]), EALREADY); /* too late to know */
    for (unsigned back = 1; back < GSP_REPLAY_BITS; back++)
        assert_ok(in(1, &d[newest - back]));
    for (unsigned i = 0; i < ARRAY_LEN(d); i++)
        assert_error(in(1, &d[i]), EALREADY);
}

TEST(every_changed_bit_is_noticed)
{
    greet(0, 1);
    struct datagram good = out(0, 1, "x");
    for (size_t bit = 0; bit < good.len * 8; bit++) {
        struct datagram d = good;
        d.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(in(1, &d) < 0);
    }
    for (size_t len = 0; len < good.len; len++) {
        struct datagram d = { .len = len };
        memcpy(d.bytes, good.bytes, len);
        assert_error(in(1, &d), EPROTO);
    }
    assert_ok(in(1, &good));
}

TEST(it_is_for_one_receiver_only)
{
    greet(0, 1);
    greet(0, 2);
    struct datagram d = out(0, 1, "for one");
    assert_true(in(2, &d) < 0);
    assert_ok(in(1, &d));
    /* Nor does it come back to its sender. */
    assert_error(in(0, &d), EPROTO);
}

TEST(a_receivers_former_life_is_over)
{
    greet(0, 1);
    struct datagram old = out(0, 1, "old");
    boot(1, BOOT + 1, 0);
    assert_error(in(1, &old), ESTALE);
    /* Its answer tells the sender of the new life, if that is who asked. */
    struct datagram d = answer_of(1);
    assert_true(in(2, &d) < 0);
    assert_ok(in(0, &d));
    d = out(0, 1, "new");
    assert_ok(in(1, &d));
    assert_string_equal((char *)t.n[1].body, "new");
    assert_error(in(1, &old), ESTALE);
}

TEST(a_senders_former_life_is_over)
{
    greet(0, 1);
    struct datagram old = out(0, 1, "old");
    boot(0, BOOT + 1, 0);
    greet(0, 1);
    assert_error(in(1, &old), ESTALE);
    /* One that lost both its disk and its clock is told. */
    boot(0, BOOT - 1000, 0);
    struct datagram d = out(0, 1, "lost");
    assert_ok(in(1, &d));
    d = answer_of(1);
    assert_ok(in(0, &d));
    d = out(0, 1, "who am I");
    assert_error(in(1, &d), ESTALE);
    d = answer_of(1);
    assert_ok(in(0, &d));
    assert_int_equal(t.n[0].in.life_needed, BOOT + 2);
    boot(0, BOOT + 2, 0);
    greet(0, 1);
}

TEST(a_member_can_speak_for_itself_only)
{
    greet(0, 1);
    greet(2, 1);
    /* Node 2 says that it is node 0. */
    struct gsp_seal liar = t.n[2].s;
    struct gsp_seal_peer peers[NODES];
    memcpy(peers, t.n[2].memory, sizeof peers);
    liar.peers = peers;
    liar.o.self = 0;
    liar.boot = t.n[0].s.boot;
    liar.counter = 1000;
    struct datagram d;
    int n = gsp_seal_out(&liar, 1, "x", 1, d.bytes);
    assert_ok(n);
    d.len = (size_t)n;
    assert_error(in(1, &d), EBADMSG);
    assert_int_equal(t.n[1].s.counts.forged, 1);
}

TEST(only_the_owner_makes_members)
{
    struct gsp_seal *s = &t.n[1].s;
    struct gsp_cert c = {
        .net_id = gsp_net_id(t.owner), .node = 4, .serial = 9, .expires_s = NOW_S + 100
    };
    uint8_t cert[GSP_CERT_BYTES], other[KEYS_PUBLIC_BYTES], other_secret[KEYS_SECRET_BYTES];
    memcpy(c.key, t.n[2].public, sizeof c.key);
    gsp_cert_sign(&c, t.n[2].secret, cert); /* a stolen node's key */
    assert_error(gsp_seal_certify(s, cert, sizeof cert, NOW_S), EACCES);
    assert_ok(keys_new(other, other_secret));
    c.net_id = gsp_net_id(other);
    gsp_cert_sign(&c, other_secret, cert);
    assert_error(gsp_seal_certify(s, cert, sizeof cert, NOW_S), EACCES);
    c.net_id = gsp_net_id(t.owner);
    gsp_cert_sign(&c, t.owner_secret, cert);
    assert_error(gsp_seal_certify(s, cert, sizeof cert, NOW_S + 100), ETIME);
    assert_error(gsp_seal_certify(s, cert, sizeof cert - 1, NOW_S), EPROTO);
    for (size_t i = 4; i < sizeof cert; i++) {
        cert[i] ^= 1;
        assert_error(gsp_seal_certify(s, cert, sizeof cert, NOW_S), EACCES);
        cert[i] ^= 1;
    }
    assert_ok(gsp_seal_certify(s, cert, sizeof cert, NOW_S));
    assert_error(gsp_seal_certify(s, t.n[4].cert, GSP_CERT_BYTES, NOW_S), ESTALE);
    /* A revocation or an epoch is no certificate, and the other way round. */
    assert_error(gsp_seal_revoke(s, cert, sizeof cert), EPROTO);
}

TEST(a_revoked_node_is_out)
{
    uint8_t revoke[GSP_REVOKE_BYTES];
    greet(0, 1);
    gsp_revoke_sign(
        &(struct gsp_revoke){ .net_id = gsp_net_id(t.owner), .node = 0, .serial = 1 },
        t.n[2].secret, revoke);
    assert_error(gsp_seal_revoke(&t.n[1].s, revoke, sizeof revoke), EACCES);
    gsp_revoke_sign(
        &(struct gsp_revoke){ .net_id = gsp_net_id(t.owner), .node = 0, .serial = 1 },
        t.owner_secret, revoke);
    struct datagram d = out(0, 1, "x");
    assert_ok(gsp_seal_revoke(&t.n[1].s, revoke, sizeof revoke));
    assert_error(in(1, &d), EKEYREVOKED);
    assert_int_equal(t.n[1].in.answer_bytes, 0);
    assert_error(gsp_seal_out(&t.n[1].s, 0, "x", 1, d.bytes), EKEYREVOKED);
    assert_error(gsp_seal_certify(&t.n[1].s, t.n[0].cert, GSP_CERT_BYTES, NOW_S), EKEYREVOKED);
    /* With a new key and certificate it may come back. */
    assert_ok(keys_new(t.n[0].public, t.n[0].secret));
    certify(0, 2);
    assert_ok(gsp_seal_certify(&t.n[1].s, t.n[0].cert, GSP_CERT_BYTES, NOW_S));
    boot(0, BOOT + 1, 0);
    greet(0, 1);
}

TEST(epochs_change_while_one_sleeps)
{
    greet(0, 1);
    greet(2, 1);
    assert_ok(gsp_seal_epoch(&t.n[1].s, t.epoch[1], GSP_EPOCH_BODY_BYTES));
    struct datagram d = out(0, 1, "epoch before");
    assert_ok(in(1, &d));
    assert_string_equal((char *)t.n[1].body, "epoch before");
    assert_true(t.n[1].in.answer_bytes > 0); /* the new one; lost */
    d = out(1, 2, "can't read it");
    assert_error(in(2, &d), ESTALE);
    d = answer_of(2); /* the epoch that it has: it gets the newer one */
    assert_ok(in(1, &d));
    d = answer_of(1);
    assert_ok(in(2, &d));
    assert_true(t.n[2].in.has_new_epoch);
    d = out(2, 1, "now");
    assert_ok(in(1, &d));
    assert_int_equal(t.n[1].in.answer_bytes, 0);
    assert_ok(gsp_seal_epoch(&t.n[1].s, t.epoch[6], GSP_EPOCH_BODY_BYTES)); /* past 255 */
    assert_error(gsp_seal_epoch(&t.n[1].s, t.epoch[6], GSP_EPOCH_BODY_BYTES), EALREADY);
    assert_error(gsp_seal_epoch(&t.n[1].s, t.epoch[1], GSP_EPOCH_BODY_BYTES), EALREADY);
    d = out(0, 1, "two epochs ago");
    assert_error(in(1, &d), ESTALE);
    struct datagram news = answer_of(1);
    assert_true(in(2, &news) < 0); /* not for it */
    assert_ok(in(0, &news));
    assert_true(t.n[0].in.has_new_epoch);
    d = out(0, 1, "now");
    assert_ok(in(1, &d));
    assert_string_equal((char *)t.n[1].body, "now");
    /* A member can make no epoch. */
    uint8_t own[GSP_EPOCH_BODY_BYTES], secret[KEYS_SHARED_BYTES] = { 1 };
    gsp_epoch_sign(gsp_net_id(t.owner), 3, secret, t.n[0].secret, own);
    assert_error(gsp_seal_epoch(&t.n[1].s, own, sizeof own), EACCES);
    /* One that is revoked is not told of the new one. */
    uint8_t revoke[GSP_REVOKE_BYTES];
    gsp_revoke_sign(
        &(struct gsp_revoke){ .net_id = gsp_net_id(t.owner), .node = 2, .serial = 1 },
        t.owner_secret, revoke);
    assert_ok(gsp_seal_revoke(&t.n[1].s, revoke, sizeof revoke));
    d = out(2, 1, "x");
    assert_error(in(1, &d), EKEYREVOKED);
    assert_int_equal(t.n[1].in.answer_bytes, 0);
}

/* Every node speaks to every other at random; one in five datagrams is lost, answers too; two
 * epochs come in at one node only, the second while one sleeps. All get on, with bodies of all
 * to all. */
TEST(rotation_under_loss)
{
    unsigned heard[NODES][NODES] = { { 0 } };
    srand(7);
    for (unsigned round = 0; round < 6000; round++) {
        unsigned a = (unsigned)rand() % NODES, b = (unsigned)rand() % NODES;
        if (round == 1000)
            assert_ok(gsp_seal_epoch(&t.n[0].s, t.epoch[1], GSP_EPOCH_BODY_BYTES));
        if (round == 2500)
            assert_ok(gsp_seal_epoch(&t.n[1].s, t.epoch[2], GSP_EPOCH_BODY_BYTES));
        if (round == 4000)
            memset(heard, 0, sizeof heard);
        bool is_asleep = round > 900 && round < 3900 && (a == 4 || b == 4);
        if (a == b || is_asleep)
            continue;
        struct datagram d = out(a, b, "x");
        if (rand() % 5 == 0)
            continue;
        if (in(b, &d) == 0)
            heard[a][b] += t.n[b].in.len_bytes > 0;
        if (!t.n[b].in.answer_bytes || rand() % 5 == 0)
            continue;
        d = answer_of(b);
        (void)in(a, &d);
    }
    for (unsigned a = 0; a < NODES; a++) {
        assert_int_equal(t.n[a].s.epochs[0].number, 252);
        for (unsigned b = 0; b < NODES; b++)
            assert_true(a == b || heard[a][b] > 20);
    }
}

TEST(a_source_is_counted_before_anything_costs)
{
    struct node *n = &t.n[1];
    greet(0, 1);
    struct datagram bad = out(0, 1, "x");
    bad.bytes[bad.len - 1] ^= 1;
    unsigned looked_at = 0;
    for (unsigned i = 0; i < 5000; i++)
        looked_at += gsp_seal_in(&n->s, 99, t.now_ms + i / 5, bad.bytes, bad.len, NOW_S,
                                 n->body, &n->in) != -EBUSY;
    assert_in_range(looked_at, GSP_SOURCE_BURST_MAX,
                    GSP_SOURCE_BURST_MAX + GSP_SOURCE_PER_S + 1);
    assert_int_equal(n->s.counts.limited, 5000 - looked_at);
    struct datagram d = out(0, 1, "another source");
    t.now_ms += 1000;
    assert_ok(in(1, &d));
    /* A stranger's costs not even that. */
    bad.bytes[4] ^= 1;
    for (unsigned i = 0; i < 5000; i++)
        assert_error(
            gsp_seal_in(&n->s, 100, t.now_ms, bad.bytes, bad.len, NOW_S, n->body, &n->in),
            EPROTO);
    assert_int_equal(n->s.counts.limited, 5000 - looked_at);
}

static struct datagram introduction(unsigned from, unsigned to)
{
    struct datagram d;
    int n = gsp_seal_cert_out(&t.n[from].s, (uint16_t)to, d.bytes);
    assert_ok(n);
    d.len = (size_t)n;
    return d;
}

/* Two that have no certificate of each other: one introduces itself, and they can talk. */
TEST(nodes_introduce_themselves)
{
    uint8_t nothing[GSP_SEALED_MAX];
    t.are_strangers = true;
    boot(0, BOOT + 1, 0);
    boot(1, BOOT + 1, 0);
    t.are_strangers = false;
    assert_error(gsp_seal_out(&t.n[0].s, 1, "x", 1, nothing), ENOENT);
    struct datagram first = introduction(0, 1), d;
    assert_ok(in(1, &first));
    assert_true(t.n[1].in.is_new_node);
    d = answer_of(1);
    assert_ok(in(0, &d));
    assert_true(t.n[0].in.is_new_node);
    assert_int_equal(t.n[0].in.answer_bytes, 0); /* it does not go on for ever */
    greet(0, 1);
    /* Again it is nothing new, and costs no signature. */
    uint16_t left = t.n[1].s.certs.left;
    assert_ok(in(1, &first));
    assert_false(t.n[1].in.is_new_node);
    assert_int_equal(t.n[1].s.certs.left, left);
    /* One that is known does not ask. */
    d = introduction(0, 1);
    assert_ok(in(1, &d));
    assert_int_equal(t.n[1].in.answer_bytes, 0);
    /* A newer certificate takes the place of the older one, not the other way. */
    certify(0, 2);
    memcpy(t.n[0].s.own_cert, t.n[0].cert, GSP_CERT_BYTES);
    d = introduction(0, 1);
    assert_ok(in(1, &d));
    assert_true(t.n[1].in.is_new_node);
    assert_ok(in(1, &first));
    assert_int_equal(t.n[1].s.peers[0].serial, 2);
}

/* What a stranger, or a member for another one, can't introduce; and what trying costs. */
TEST(false_introductions)
{
    t.are_strangers = true;
    boot(1, BOOT + 1, 0);
    t.are_strangers = false;
    struct datagram good = introduction(0, 1), d;
    for (size_t bit = 0; bit < good.len * 8; bit += 7) {
        d = good;
        d.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        t.now_ms += 1000;
        int rc = in(1, &d);
        /* Of the clear head its life, counter and tag say nothing yet. */
        assert_true(rc < 0 ||
                    (bit / 8 >= 16 && bit / 8 < GSP_SEAL_CLEAR_BYTES + KEYS_NONCE_BYTES));
        t.n[1].s.peers[0].has_key = false;
    }
    boot(1, BOOT + 2, 0);
    struct node *n = &t.n[1];
    n->s.peers[0].has_key = false;
    d = good;
    d.bytes[good.len - 1] ^= 1;
    unsigned verified = 0;
    for (unsigned i = 0; i < 5000; i++) { /* each from another address */
        int rc = gsp_seal_in(&n->s, i, t.now_ms, d.bytes, d.len, NOW_S, n->body, &n->in);
        assert_true(rc == -EACCES || rc == -EBUSY);
        verified += rc == -EACCES;
    }
    assert_in_range(verified, 1, GSP_CERT_BURST_MAX);
    /* One that has expired, and one that was revoked. */
    t.now_ms += 10000;
    assert_error(
        gsp_seal_in(&n->s, 7, t.now_ms, good.bytes, good.len, NOW_S + 1000, n->body, &n->in),
        ETIME);
    uint8_t revocation[GSP_REVOKE_BYTES];
    struct gsp_revoke v = { .net_id = gsp_net_id(t.owner), .node = 0, .serial = 1 };
    gsp_revoke_sign(&v, t.owner_secret, revocation);
    assert_ok(gsp_seal_revoke(&n->s, revocation, sizeof revocation));
    assert_error(in(1, &good), EKEYREVOKED);
}

TEST(a_certificate_ends)
{
    greet(0, 1);
    struct datagram d = out(0, 1, "x");
    struct node *n = &t.n[1];
    assert_error(gsp_seal_in(&n->s, 77, t.now_ms, d.bytes, d.len, NOW_S + 100, n->body, &n->in),
                 ETIME);
    assert_ok(in(1, &d));
}

TEST(revocations_travel_sealed)
{
    uint8_t revocation[GSP_REVOKE_BYTES];
    struct gsp_revoke v = { .net_id = gsp_net_id(t.owner), .node = 3, .serial = 1 };
    struct datagram d;
    gsp_revoke_sign(&v, t.owner_secret, revocation);
    assert_error(gsp_seal_revoke_out(&t.n[0].s, 1, revocation, d.bytes), ENOENT); /* no life */
    greet(0, 1);
    int n = gsp_seal_revoke_out(&t.n[0].s, 1, revocation, d.bytes);
    assert_ok(n);
    d.len = (size_t)n;
    assert_ok(in(1, &d));
    assert_true(t.n[1].in.has_revocation && !t.n[1].in.len_bytes);
    assert_memory_equal(t.n[1].body, revocation, sizeof revocation);
    assert_error(in(1, &d), EALREADY);
}

#define SEALED(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
UNIT_MAIN(SEALED(two_that_never_met), SEALED(nothing_is_taken_twice),
          SEALED(every_changed_bit_is_noticed), SEALED(it_is_for_one_receiver_only),
          SEALED(a_receivers_former_life_is_over), SEALED(a_senders_former_life_is_over),
          SEALED(a_member_can_speak_for_itself_only), SEALED(only_the_owner_makes_members),
          SEALED(a_revoked_node_is_out), SEALED(epochs_change_while_one_sleeps),
          SEALED(nodes_introduce_themselves), SEALED(false_introductions),
          SEALED(a_certificate_ends), SEALED(revocations_travel_sealed),
          SEALED(rotation_under_loss), SEALED(a_source_is_counted_before_anything_costs))
