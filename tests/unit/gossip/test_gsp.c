/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_gsp.c: one node among others that the test plays: what it takes for true of them, what
 * it answers, and what liars can't do. */
#include "gossip/core/gsp.h"
#include "tests/lib/unit.h"

#include <stdlib.h>

enum { SELF = 0, NODES = 6, SENT_MAX = 4096, BOOT = 1000 };

#define INC(life, n) ((uint64_t)(life) << 32 | (n))

static struct {
    struct gsp g;
    void *memory;
    int64_t now_ms;
    unsigned sent_count;
    struct sent {
        struct gsp_header h;
        struct gsp_claim claims[GSP_DATAGRAM_CLAIMS_MAX];
        uint16_t node;
    } sent[SENT_MAX];
    unsigned changes[GSP_STATES];
    bool was_new_life;
} t;

static void on_send(void *ctx UNUSED, uint16_t to, const uint8_t *ptr, size_t len)
{
    assert_true(t.sent_count < SENT_MAX);
    assert_ok(gsp_datagram_check(ptr, len));
    struct sent *s = &t.sent[t.sent_count++];
    struct rd r = rd_of(ptr, len);
    assert_ok(gsp_header_get(&r, &s->h));
    assert_int_equal(s->h.to, to);
    if (s->h.type == GSP_EXCHANGE || s->h.type == GSP_WINDOW)
        r.at += s->h.entry_count * GSP_ENTRY_BYTES;
    for (unsigned i = 0; i < s->h.claim_count; i++)
        assert_ok(gsp_claim_get(&r, &s->claims[i]));
    if (s->h.type == GSP_ASK)
        assert_ok(get_u16(&r, &s->node));
}

static void on_tell(void *ctx UNUSED, const struct gsp_change *c)
{
    t.changes[c->state]++;
    t.was_new_life = c->is_new_life;
}

/* The signature of node n is n everywhere. */
static void on_sign(void *ctx UNUSED, const struct gsp_claim *c UNUSED,
                    uint8_t out[GSP_SIGNATURE_BYTES])
{
    memset(out, SELF, GSP_SIGNATURE_BYTES);
}

static bool on_verify(void *ctx UNUSED, const struct gsp_claim *c)
{
    return c->signature[0] == gsp_claim_signer(c);
}

static void step(const struct gsp_event *e)
{
    struct gsp_event copy = *e;
    copy.now_ms = t.now_ms;
    assert_ok(gsp_step(&t.g, &copy));
    assert_null(gsp_check(&t.g));
}

static int setup(void **state UNUSED)
{
    free(t.memory);
    memset(&t, 0, sizeof t);
    struct gsp_opts o = { .ids = NODES,
                          .self = SELF,
                          .descriptor_max = 32,
                          .period_ms = GSP_PERIOD_MS,
                          .window = 16,
                          .life = BOOT,
                          .is_quiet = true,
                          .seed = 1,
                          .now_ms = t.now_ms = 1000,
                          .send = on_send,
                          .tell = on_tell,
                          .sign = on_sign,
                          .verify = on_verify };
    t.memory = calloc(1, gsp_memory_bytes(&o));
    assert_non_null(t.memory);
    assert_ok(gsp_init(&t.g, &o, t.memory));
    for (uint16_t i = 1; i < NODES; i++)
        step(&(struct gsp_event){ .what = GSP_KNOW, .node = i, .incarnation = INC(BOOT, 1) });
    memset(t.changes, 0, sizeof t.changes);
    return 0;
}

static int teardown(void **state UNUSED)
{
    free(t.memory);
    t.memory = NULL;
    return 0;
}

/* A datagram without a body but claims. */
static void hear(struct gsp_header h, const struct gsp_claim *claims, unsigned count,
                 const uint8_t *signature)
{
    uint8_t bytes[GSP_DATAGRAM_MAX];
    struct wr w = wr_of(bytes, sizeof bytes);
    h.to = SELF;
    h.claim_count = (uint8_t)count;
    h.incarnation = h.incarnation ? h.incarnation : INC(BOOT, 1);
    h.your_state = h.your_state ? h.your_state : GSP_ALIVE;
    gsp_header_put(&w, &h);
    for (unsigned i = 0; i < count; i++) {
        struct gsp_claim c = claims[i];
        uint8_t own[GSP_SIGNATURE_BYTES];
        memset(own, (int)gsp_claim_signer(&c), sizeof own);
        c.signature = signature ? signature : own;
        gsp_claim_put(&w, &c);
    }
    step(&(struct gsp_event){ .what = GSP_RECV, .ptr = bytes, .len_bytes = wr_len(&w) });
}

static void news(uint16_t from, unsigned kind, uint16_t subject, uint16_t by,
                 uint64_t incarnation)
{
    hear((struct gsp_header){ .type = GSP_NEWS, .from = from },
         &(struct gsp_claim){
             .kind = (uint8_t)kind, .subject = subject, .by = by, .incarnation = incarnation },
         1, NULL);
}

/* Time passes; who is among living answers each exchange and ping. */
static void pass(int64_t ms, const char *living)
{
    unsigned seen = t.sent_count;
    for (int64_t end_ms = t.now_ms + ms; t.now_ms < end_ms;) {
        t.now_ms = gsp_wake_ms(&t.g) < end_ms ? gsp_wake_ms(&t.g) : end_ms;
        step(&(struct gsp_event){ .what = GSP_TICK });
        for (; seen < t.sent_count; seen++) {
            struct sent s = t.sent[seen];
            if (!strchr(living, '0' + s.h.to))
                continue;
            if (s.h.type == GSP_EXCHANGE || s.h.type == GSP_PING)
                hear((struct gsp_header){ .type = s.h.type + 1u,
                                          .from = s.h.to,
                                          .sequence = s.h.sequence },
                     NULL, 0, NULL);
            if (s.h.type == GSP_ASK) {
                uint8_t bytes[GSP_HEADER_BYTES + 2];
                struct wr w = wr_of(bytes, sizeof bytes);
                bool is_there = strchr(living, '0' + s.node) != NULL;
                gsp_header_put(&w,
                               &(struct gsp_header){ .type = is_there ? GSP_TOLD : GSP_SILENT,
                                                     .your_state = GSP_ALIVE,
                                                     .from = s.h.to,
                                                     .sequence = s.h.sequence,
                                                     .incarnation = INC(BOOT, 1) });
                put_u16(&w, s.node);
                step(&(struct gsp_event){
                    .what = GSP_RECV, .ptr = bytes, .len_bytes = wr_len(&w) });
            }
        }
    }
}

static unsigned count_sent(unsigned type, int to)
{
    unsigned count = 0;
    for (unsigned i = 0; i < t.sent_count; i++)
        count += t.sent[i].h.type == type && (to < 0 || t.sent[i].h.to == to);
    return count;
}

static bool has_told(unsigned kind, uint16_t subject, uint64_t incarnation)
{
    for (unsigned i = 0; i < t.sent_count; i++)
        for (unsigned k = 0; k < t.sent[i].h.claim_count; k++) {
            const struct gsp_claim *c = &t.sent[i].claims[k];
            if (c->kind == kind && c->subject == subject && c->incarnation == incarnation)
                return true;
        }
    return false;
}

static unsigned state_of(uint16_t node)
{
    return t.g.peers[node].state;
}

TEST(who_answers_is_alive)
{
    pass(60000, "12345");
    assert_int_equal(t.changes[GSP_SUSPECT], 0);
    assert_int_equal(t.g.health, 0);
    assert_in_range(count_sent(GSP_EXCHANGE, -1), 240, 246);
}

TEST(a_silent_node_is_suspected_and_alone_we_declare_nobody_dead)
{
    pass(4000, "1245");
    assert_int_equal(state_of(3), GSP_SUSPECT);
    assert_true(has_told(GSP_CLAIM_ACCUSE, 3, INC(BOOT, 1)));
    pass(60000, "1245");
    assert_int_equal(state_of(3), GSP_SUSPECT);
    assert_int_equal(t.changes[GSP_DEAD], 0);
    /* Somebody else's accusation is what was missing; then the last gasp. */
    news(1, GSP_CLAIM_ACCUSE, 3, 1, INC(BOOT, 1));
    unsigned pings = count_sent(GSP_PING, 3);
    pass(2000, "1245");
    assert_int_equal(state_of(3), GSP_DEAD);
    assert_true(count_sent(GSP_PING, 3) >= pings + GSP_GASPS);
}

TEST(one_accuser_counts_once)
{
    for (unsigned i = 0; i < 10; i++)
        news(1, GSP_CLAIM_ACCUSE, 3, 1, INC(BOOT, 1));
    assert_int_equal(t.g.peers[3].accuser_count, 1);
    pass(30000, "12345"); /* it answers: cleared */
    assert_int_equal(state_of(3), GSP_ALIVE);
    assert_int_equal(t.changes[GSP_DEAD], 0);
}

TEST(the_last_gasp_saves)
{
    news(1, GSP_CLAIM_ACCUSE, 3, 1, INC(BOOT, 1));
    news(1, GSP_CLAIM_ACCUSE, 3, 2, INC(BOOT, 1));
    news(1, GSP_CLAIM_ACCUSE, 3, 4, INC(BOOT, 1));
    news(1, GSP_CLAIM_ACCUSE, 3, 5, INC(BOOT, 1));
    pass(3050, "1245");
    assert_int_equal(state_of(3), GSP_SUSPECT);
    assert_true(t.g.peers[3].gasps > 0);
    hear((struct gsp_header){ .type = GSP_ACK, .from = 3 }, NULL, 0, NULL);
    assert_int_equal(state_of(3), GSP_ALIVE);
}

TEST(who_reaches_nobody_blames_itself)
{
    pass(30000, "");
    for (uint16_t i = 1; i < NODES; i++)
        assert_int_equal(state_of(i), GSP_ALIVE);
    assert_int_equal(t.g.health, GSP_HEALTH_MAX);
    pass(60000, "12345");
    assert_int_equal(t.g.health, 0);
}

TEST(standing_still_is_our_own_fault)
{
    news(1, GSP_CLAIM_ACCUSE, 3, 1, INC(BOOT, 1));
    news(1, GSP_CLAIM_ACCUSE, 3, 2, INC(BOOT, 1));
    t.now_ms += 60000;
    step(&(struct gsp_event){ .what = GSP_TICK });
    pass(500, "");
    assert_int_equal(state_of(3), GSP_SUSPECT);
    assert_int_equal(t.changes[GSP_SUSPECT], 1);
}

TEST(an_accusation_of_us_is_refuted)
{
    news(1, GSP_CLAIM_ACCUSE, SELF, 1, INC(BOOT, 1));
    assert_true(t.g.incarnation == INC(BOOT, 2));
    pass(200, "12345");
    assert_true(has_told(GSP_CLAIM_ALIVE, SELF, INC(BOOT, 2)));
    news(1, GSP_CLAIM_ACCUSE, SELF, 1, INC(BOOT, 1)); /* old */
    assert_true(t.g.incarnation == INC(BOOT, 2));
    hear((struct gsp_header){ .type = GSP_ACK,
                              .from = 2,
                              .your_state = GSP_DEAD,
                              .your_incarnation = INC(BOOT, 7) },
         NULL, 0, NULL);
    assert_true(t.g.incarnation == INC(BOOT, 8));
}

TEST(a_forgotten_life_is_surpassed)
{
    hear((struct gsp_header){ .type = GSP_ACK,
                              .from = 2,
                              .your_incarnation = INC(BOOT + 50, 3),
                              .your_version = 1u << 20 },
         NULL, 0, NULL);
    assert_true(t.g.incarnation > INC(BOOT + 50, 3));
    assert_true(gsp_is_newer(t.g.version, 1u << 20));
    /* But nobody can push us to the end of all numbers. */
    uint64_t before = t.g.incarnation;
    hear((struct gsp_header){ .type = GSP_ACK, .from = 2, .your_incarnation = UINT64_MAX },
         NULL, 0, NULL);
    assert_true(t.g.incarnation == before);
}

TEST(a_refutation_and_a_new_life_are_believed_if_signed)
{
    const uint8_t forged[GSP_SIGNATURE_BYTES] = { 2 };
    news(1, GSP_CLAIM_ACCUSE, 3, 1, INC(BOOT, 1));
    struct gsp_claim alive = {
        .kind = GSP_CLAIM_ALIVE, .subject = 3, .by = 3, .incarnation = INC(BOOT, 2)
    };
    hear((struct gsp_header){ .type = GSP_NEWS, .from = 2 }, &alive, 1, forged);
    assert_int_equal(state_of(3), GSP_SUSPECT);
    assert_int_equal(t.g.counts.wrong, 1);
    hear((struct gsp_header){ .type = GSP_NEWS, .from = 2 }, &alive, 1, NULL);
    assert_int_equal(state_of(3), GSP_ALIVE);
    assert_false(t.was_new_life);
    news(1, GSP_CLAIM_ALIVE, 3, 3, INC(BOOT + 9, 1));
    assert_true(t.was_new_life);
    news(1, GSP_CLAIM_ALIVE, 3, 3, INC(UINT32_MAX, 1));
    assert_true(t.g.peers[3].incarnation == INC(BOOT + 9, 1));
}

TEST(liars_remove_nobody)
{
    const uint8_t forged[GSP_SIGNATURE_BYTES] = { 2 };
    const struct gsp_claim claims[] = {
        { .kind = GSP_CLAIM_LEAVE, .subject = 3, .by = 3, .incarnation = INC(BOOT, 1) },
        { .kind = GSP_CLAIM_ACCUSE, .subject = 3, .by = 1, .incarnation = INC(BOOT, 1) },
        { .kind = GSP_CLAIM_ACCUSE, .subject = 3, .by = 4, .incarnation = INC(BOOT, 1) },
        { .kind = GSP_CLAIM_ACCUSE, .subject = 3, .by = 3, .incarnation = INC(BOOT, 1) },
        { .kind = GSP_CLAIM_DESCRIBE, .subject = 3, .by = 3, .incarnation = 1, .number = 512 },
    };
    hear((struct gsp_header){ .type = GSP_NEWS, .from = 2 }, claims, ARRAY_LEN(claims), forged);
    assert_int_equal(state_of(3), GSP_ALIVE);
    assert_int_equal(t.g.peers[3].descriptor_number, 0);
    assert_int_equal(t.g.spread.count, 0);
    /* Its own accusation, which it may make, alone has no end but suspicion. */
    news(2, GSP_CLAIM_ACCUSE, 3, 2, INC(BOOT, 1));
    assert_int_equal(state_of(3), GSP_SUSPECT);
    news(2, GSP_CLAIM_ACCUSE, 4, 2, INC(BOOT + (1u << 29), 1));
    assert_int_equal(state_of(4), GSP_ALIVE);
}

/* What a member says of another's load is believed until that one hears which version is held
 * of it, which is with the next datagram to it: then it says what is newer than the lie. */
TEST(a_lie_about_load_does_not_last)
{
    enum { AHEAD = 1 << 30 };
    uint8_t bytes[GSP_DATAGRAM_MAX];
    struct wr w = wr_of(bytes, sizeof bytes);
    struct gsp_entry lie = { .node = 3, .version = AHEAD, .facts = { .guests = 7 } };
    gsp_header_put(&w, &(struct gsp_header){ .type = GSP_EXCHANGE,
                                             .from = 2,
                                             .to = SELF,
                                             .your_state = GSP_ALIVE,
                                             .incarnation = INC(BOOT, 1),
                                             .entry_count = 1 });
    gsp_entry_put(&w, &lie);
    step(&(struct gsp_event){ .what = GSP_RECV, .ptr = bytes, .len_bytes = wr_len(&w) });
    assert_int_equal(t.g.peers[3].facts.guests, 7);
    unsigned before = t.sent_count, told = 0;
    pass(NODES * 2 * GSP_PERIOD_MS, "12345");
    for (unsigned i = before; i < t.sent_count; i++)
        told += t.sent[i].h.to == 3 && t.sent[i].h.your_version == AHEAD;
    assert_true(told > 0);
    /* Who is told such a thing of itself is ahead of it at once, and stays so. */
    hear((struct gsp_header){ .type = GSP_PING, .from = 3, .your_version = AHEAD }, NULL, 0,
         NULL);
    uint32_t said = t.g.version;
    assert_true(gsp_is_newer(said, AHEAD));
    pass(NODES * GSP_PERIOD_MS, "12345");
    assert_true(gsp_is_newer(t.g.version, said));
}

TEST(a_latecomer_gets_our_accusation)
{
    for (uint16_t by = 1; by < NODES; by++)
        if (by != 3)
            news(1, GSP_CLAIM_ACCUSE, 3, by, INC(BOOT, 1));
    pass(5000, "1245");
    assert_int_equal(state_of(3), GSP_DEAD);
    t.sent_count = 0;
    news(5, GSP_CLAIM_ACCUSE, 3, 5, INC(BOOT, 1));
    assert_int_equal(count_sent(GSP_ANSWER, 5), 1);
    assert_int_equal(t.sent[0].claims[0].by, SELF);
    news(5, GSP_CLAIM_ACCUSE, 3, 4, INC(BOOT, 1)); /* not its own: no answer */
    assert_int_equal(count_sent(GSP_ANSWER, 5), 1);
    /* Who comes back says so itself. */
    hear((struct gsp_header){ .type = GSP_NEWS, .from = 3 }, NULL, 0, NULL);
    assert_int_equal(state_of(3), GSP_DEAD);
    assert_int_equal(t.sent[t.sent_count - 1].h.type, GSP_PING);
    assert_int_equal(t.sent[t.sent_count - 1].h.your_state, GSP_DEAD);
    hear((struct gsp_header){ .type = GSP_ACK, .from = 3, .incarnation = INC(BOOT, 2) }, NULL,
         0, NULL);
    assert_int_equal(state_of(3), GSP_ALIVE);
}

/* What from holds of a node, as a list of one. */
static void list_of(uint16_t from, uint16_t node, unsigned state)
{
    uint8_t bytes[GSP_DATAGRAM_MAX];
    struct wr w = wr_of(bytes, sizeof bytes);
    gsp_header_put(&w, &(struct gsp_header){ .type = GSP_LIST,
                                             .from = from,
                                             .to = SELF,
                                             .your_state = GSP_ALIVE,
                                             .incarnation = INC(BOOT, 1),
                                             .entry_count = 1 });
    gsp_record_put(&w, &(struct gsp_record){ .node = node,
                                             .state = (uint8_t)state,
                                             .incarnation = INC(BOOT, 1) });
    step(&(struct gsp_event){ .what = GSP_RECV, .ptr = bytes, .len_bytes = wr_len(&w) });
}

/* Two accusations were missed: when all accusers would have been enough we ask, a few times,
 * and who holds it dead is an accuser. */
TEST(who_is_behind_asks_and_catches_up)
{
    news(1, GSP_CLAIM_ACCUSE, 3, 1, INC(BOOT, 1));
    news(1, GSP_CLAIM_ACCUSE, 3, 2, INC(BOOT, 1));
    pass(GSP_SUSPECT_MIN_MS - 50, "1245");
    unsigned before = count_sent(GSP_LIST, -1);
    pass(100 + GSP_ASK_STEP_MS, "1245");
    assert_int_equal(count_sent(GSP_LIST, -1), before + 2 * GSP_GASP_ASKS);
    assert_int_equal(state_of(3), GSP_SUSPECT);
    list_of(4, 3, GSP_SUSPECT); /* who knows no more than we do is none */
    assert_int_equal(t.g.peers[3].accuser_count, 2 + 1); /* we have seen it silent ourselves */
    list_of(4, 3, GSP_DEAD);
    assert_int_equal(t.g.peers[3].accuser_count, GSP_ACCUSERS_MAX);
    pass(GSP_GASP_END_MS + 50, "1245");
    assert_int_equal(state_of(3), GSP_DEAD);
    /* And so do others with us, once for each question. */
    before = count_sent(GSP_LIST, 5);
    list_of(5, 3, GSP_SUSPECT);
    assert_int_equal(count_sent(GSP_LIST, 5), before + 1);
    list_of(5, 3, GSP_DEAD);
    assert_int_equal(count_sent(GSP_LIST, 5), before + 1);
}

/* The last gasp had begun when one accuser was enough; then others came back, and two are
 * needed. */
TEST(a_gasp_that_began_among_few_is_begun_again)
{
    for (uint16_t i = 1; i < NODES; i++)
        if (i != 1 && i != 3)
            news(1, GSP_CLAIM_LEAVE, i, i, INC(BOOT, 1));
    assert_int_equal(t.g.members, 3);
    for (unsigned i = 0; i < 2000 && !t.g.peers[3].gasps; i++)
        pass(10, "1");
    assert_int_equal(t.g.peers[3].gasps, 1);
    news(1, GSP_CLAIM_ALIVE, 2, 2, INC(BOOT, 2));
    news(1, GSP_CLAIM_ALIVE, 4, 4, INC(BOOT, 2));
    pass(3000, "124");
    assert_int_equal(state_of(3), GSP_SUSPECT);
    news(4, GSP_CLAIM_ACCUSE, 3, 4, INC(BOOT, 1));
    pass(3000, "124");
    assert_int_equal(state_of(3), GSP_DEAD);
}

/* The others know of a refutation that did not reach us, and the suspect does not answer just
 * now. */
TEST(a_missed_refutation_is_asked_for)
{
    news(1, GSP_CLAIM_ACCUSE, 3, 1, INC(BOOT, 1));
    news(1, GSP_CLAIM_ACCUSE, 3, 2, INC(BOOT, 1));
    news(1, GSP_CLAIM_ACCUSE, 3, 4, INC(BOOT, 1));
    news(1, GSP_CLAIM_ACCUSE, 3, 5, INC(BOOT, 1));
    pass(3050, "1245");
    assert_int_equal(t.g.peers[3].gasps, 1);
    assert_int_equal(count_sent(GSP_LIST, -1), GSP_GASP_ASKS);
    assert_int_equal(count_sent(GSP_LIST, 3), 0);
    uint8_t bytes[GSP_HEADER_BYTES + GSP_RECORD_BYTES];
    struct wr w = wr_of(bytes, sizeof bytes);
    gsp_header_put(&w, &(struct gsp_header){ .type = GSP_LIST,
                                             .your_state = GSP_ALIVE,
                                             .from = 5,
                                             .entry_count = 1,
                                             .incarnation = INC(BOOT, 1) });
    gsp_record_put(
        &w, &(struct gsp_record){ .node = 3, .state = GSP_ALIVE, .incarnation = INC(BOOT, 2) });
    step(&(struct gsp_event){ .what = GSP_RECV, .ptr = bytes, .len_bytes = wr_len(&w) });
    pass(2500, "1245");
    assert_int_equal(state_of(3), GSP_SUSPECT); /* hearsay makes nobody alive */
    pass(2000, "1245");
    assert_int_equal(state_of(3), GSP_DEAD); /* nor keeps anybody so */
}

TEST(leaving)
{
    news(1, GSP_CLAIM_LEAVE, 4, 4, INC(BOOT, 1));
    assert_int_equal(state_of(4), GSP_LEFT);
    step(&(struct gsp_event){ .what = GSP_GO });
    pass(2000, "1235");
    assert_true(has_told(GSP_CLAIM_LEAVE, SELF, INC(BOOT, 1)));
    assert_true(t.g.is_gone);
    t.sent_count = 0;
    pass(5000, "1235");
    assert_int_equal(t.sent_count, 0);
}

TEST(not_for_us_or_malformed)
{
    uint8_t bytes[GSP_HEADER_BYTES];
    struct gsp_event e = {
        .what = GSP_RECV, .now_ms = t.now_ms, .ptr = bytes, .len_bytes = sizeof bytes
    };
    const struct gsp_header wrong[] = {
        { .type = GSP_PING, .from = 1, .to = 2, .incarnation = 1 },
        { .type = GSP_PING, .from = SELF, .to = SELF, .incarnation = 1 },
        { .type = GSP_PING, .from = NODES, .to = SELF, .incarnation = 1 },
        { .type = GSP_PING, .from = 1, .to = SELF },
    };
    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
        struct wr w = wr_of(bytes, sizeof bytes);
        gsp_header_put(&w, &wrong[i]);
        assert_error(gsp_step(&t.g, &e), EPROTO);
    }
    assert_int_equal(t.sent_count, 0);
    e = (struct gsp_event){ .what = GSP_KNOW, .now_ms = t.now_ms, .node = NODES };
    assert_error(gsp_step(&t.g, &e), EINVAL);
}

#define WITH_NODE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
UNIT_MAIN(WITH_NODE(who_answers_is_alive),
          WITH_NODE(a_silent_node_is_suspected_and_alone_we_declare_nobody_dead),
          WITH_NODE(one_accuser_counts_once), WITH_NODE(the_last_gasp_saves),
          WITH_NODE(who_reaches_nobody_blames_itself),
          WITH_NODE(standing_still_is_our_own_fault), WITH_NODE(an_accusation_of_us_is_refuted),
          WITH_NODE(a_forgotten_life_is_surpassed),
          WITH_NODE(a_refutation_and_a_new_life_are_believed_if_signed),
          WITH_NODE(liars_remove_nobody), WITH_NODE(a_lie_about_load_does_not_last),
          WITH_NODE(a_latecomer_gets_our_accusation),
          WITH_NODE(who_is_behind_asks_and_catches_up),
          WITH_NODE(a_gasp_that_began_among_few_is_begun_again),
          WITH_NODE(a_missed_refutation_is_asked_for), WITH_NODE(leaving),
          WITH_NODE(not_for_us_or_malformed))
