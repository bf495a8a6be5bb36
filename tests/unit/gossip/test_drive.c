/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_drive.c: nodes on real sockets of this computer, each with its own loop in turn: they
 * meet without a certificate of each other, learn what the others say of themselves, an epoch
 * and a revocation that one was given, and take a greater life when others know one. */
#include "gossip/drive.h"
#include "common/sys/clock.h"
#include "tests/lib/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { NODES = 4, IDS = 64, LONG_MS = 15000 };

static struct {
    uint8_t owner[KEYS_PUBLIC_BYTES], owner_secret[KEYS_SECRET_BYTES];
    struct node {
        struct loop *loop;
        struct gsp_drive *drive;
        struct gsp_drive_opts o;
        struct sockaddr_storage at;
        uint32_t life_kept;
        unsigned epochs_kept, revocations_kept;
    } n[NODES + 1];
} t;

static int keep_life(void *ctx, uint32_t life)
{
    ((struct node *)ctx)->life_kept = life;
    return 0;
}

static void keep_epoch(void *ctx, const uint8_t body[GSP_EPOCH_BODY_BYTES] UNUSED)
{
    ((struct node *)ctx)->epochs_kept++;
}

static void keep_revocation(void *ctx, const uint8_t body[GSP_REVOKE_BYTES] UNUSED)
{
    ((struct node *)ctx)->revocations_kept++;
}

static void epoch(uint8_t out[GSP_EPOCH_BODY_BYTES], unsigned number)
{
    uint8_t secret[KEYS_SHARED_BYTES] = { (uint8_t)number };
    gsp_epoch_sign(gsp_net_id(t.owner), (uint8_t)number, secret, t.owner_secret, out);
}

/* A port that nobody has. */
static void find_place(struct sockaddr_storage *a)
{
    struct sockaddr_in *four = (struct sockaddr_in *)a;
    socklen_t len = sizeof *four;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    *four = (struct sockaddr_in){ .sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    assert_int_equal(bind(fd, (struct sockaddr *)four, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)four, &len), 0);
    close(fd);
}

static void start(unsigned i, uint32_t life)
{
    struct node *n = &t.n[i];
    struct err e = { "" };
    char about[16];
    n->o.life = life;
    if (gsp_drive_new(&n->drive, &n->o, &e) < 0)
        fail_msg("%s", e.text);
    snprintf(about, sizeof about, "node %u", i);
    gsp_drive_about(n->drive, life << 8, about, sizeof about);
    struct gsp_facts f = { .load = (uint16_t)(100 * i) };
    gsp_drive_facts(n->drive, &f);
    for (unsigned k = 1; k <= NODES; k++)
        gsp_drive_map(n->drive, (uint16_t)k, 0, &t.n[k].at, sizeof(struct sockaddr_in));
    if (gsp_drive_start(n->drive, &n->at, sizeof(struct sockaddr_in), &e) < 0)
        fail_msg("%s", e.text);
}

static int setup(void **state UNUSED)
{
    assert_ok(keys_new(t.owner, t.owner_secret));
    for (unsigned i = 1; i <= NODES; i++) {
        struct node *n = &t.n[i];
        struct gsp_cert c = { .net_id = gsp_net_id(t.owner),
                              .node = (uint16_t)i,
                              .serial = 1,
                              .expires_s = UINT32_MAX };
        *n = (struct node){ .o = { .ids = IDS,
                                   .keep_life = keep_life,
                                   .keep_epoch = keep_epoch,
                                   .keep_revocation = keep_revocation,
                                   .ctx = n } };
        assert_ok(loop_new(&n->loop));
        n->o.loop = n->loop;
        memcpy(n->o.owner, t.owner, sizeof t.owner);
        assert_ok(keys_new(c.key, n->o.secret));
        gsp_cert_sign(&c, t.owner_secret, n->o.cert);
        epoch(n->o.epoch, 1);
        find_place(&n->at);
    }
    for (unsigned i = 1; i <= NODES; i++)
        start(i, 1000);
    return 0;
}

static int teardown(void **state UNUSED)
{
    for (unsigned i = 1; i <= NODES; i++) {
        gsp_drive_free(t.n[i].drive);
        loop_free(t.n[i].loop);
    }
    return 0;
}

/* All loops in turn until it is so. */
static void run_until(bool (*is_so)(void), const char *what)
{
    uint64_t until = clock_mono_ms() + LONG_MS;
    while (!is_so()) {
        if (clock_mono_ms() > until)
            fail_msg("not within %d s: %s", LONG_MS / 1000, what);
        for (unsigned i = 1; i <= NODES; i++)
            if (t.n[i].drive)
                assert_ok(loop_turn(t.n[i].loop, 2));
    }
}

static bool all_know_all(void)
{
    for (unsigned i = 1; i <= NODES; i++)
        for (unsigned k = 1; k <= NODES; k++) {
            const struct gsp *g = gsp_drive_core(t.n[i].drive);
            size_t len;
            const uint8_t *about = gsp_drive_about_of(t.n[i].drive, (uint16_t)k, &len);
            if (g->peers[k].state != GSP_ALIVE || !about || about[5] != '0' + k ||
                (k != i && (!g->peers[k].has_entry || g->peers[k].facts.load != 100 * k)))
                return false;
        }
    return true;
}

TEST(they_meet)
{
    run_until(all_know_all, "all know all");
    assert_true(gsp_drive_is_heard(t.n[1].drive, 2));
    assert_false(gsp_drive_is_heard(t.n[1].drive, 9));
    assert_int_equal(gsp_drive_seal(t.n[1].drive)->counts.forged, 0);
    assert_true(gsp_drive_traffic(t.n[1].drive)->sent > 0);
}

static bool all_have_both(void)
{
    for (unsigned i = 1; i < NODES; i++)
        if (gsp_drive_seal(t.n[i].drive)->epochs[0].number != 2 ||
            gsp_drive_seal(t.n[i].drive)->peers[NODES].revoked != 1)
            return false;
    return true;
}

TEST(what_the_owner_gives_spreads)
{
    uint8_t body[GSP_EPOCH_BODY_BYTES], revocation[GSP_REVOKE_BYTES];
    struct gsp_revoke v = { .net_id = gsp_net_id(t.owner), .node = NODES, .serial = 1 };
    run_until(all_know_all, "all know all");
    epoch(body, 2);
    gsp_revoke_sign(&v, t.owner_secret, revocation);
    assert_ok(gsp_drive_epoch(t.n[1].drive, body, sizeof body));
    assert_int_equal(gsp_drive_epoch(t.n[1].drive, body, sizeof body), 1);
    assert_ok(gsp_drive_revoke(t.n[1].drive, revocation, sizeof revocation));
    assert_int_equal(gsp_drive_revoke(t.n[1].drive, revocation, sizeof revocation), 1);
    revocation[20] ^= 1;
    assert_error(gsp_drive_revoke(t.n[1].drive, revocation, sizeof revocation), EACCES);
    run_until(all_have_both, "all have the epoch and the revocation");
    for (unsigned i = 1; i < NODES; i++) {
        assert_int_equal(t.n[i].epochs_kept, 1);
        assert_int_equal(t.n[i].revocations_kept, 1);
    }
}

static bool is_in_greater_life(void)
{
    return t.n[2].life_kept > 1000 && all_know_all();
}

/* Its disk and its clock are lost: it starts in a life that was before. */
TEST(a_life_that_is_too_small)
{
    run_until(all_know_all, "all know all");
    gsp_drive_free(t.n[2].drive);
    start(2, 900);
    /* Its descriptor's number must grow as well: by the calendar, in mosixd. */
    gsp_drive_about(t.n[2].drive, 2000 << 8, "node 2", 7);
    run_until(is_in_greater_life, "node 2 is known in a greater life");
}

TEST(what_is_not_ours)
{
    struct gsp_drive *d = NULL;
    struct err e = { "" };
    struct gsp_drive_opts o = t.n[1].o;
    memcpy(o.cert, t.n[2].o.cert, sizeof o.cert);
    assert_error(gsp_drive_new(&d, &o, &e), EACCES);
    assert_has(e.text, "for another key");
    o = t.n[1].o;
    o.owner[0] ^= 1;
    assert_true(gsp_drive_new(&d, &o, &e) < 0);
    o = t.n[1].o;
    o.epoch[5] ^= 1;
    assert_error(gsp_drive_new(&d, &o, &e), EACCES);
    o = t.n[1].o;
    o.ids = 1;
    assert_error(gsp_drive_new(&d, &o, &e), EINVAL);
}

#define DRIVEN(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
UNIT_MAIN(DRIVEN(they_meet), DRIVEN(what_the_owner_gives_spreads),
          DRIVEN(a_life_that_is_too_small), DRIVEN(what_is_not_ours))
