/* SPDX-License-Identifier: GPL-2.0-or-later */
/* resume_sim.c: a session whose stream dies, again and again: at every byte of a short one, and at random in
 * long ones. Nothing is lost, doubled or out of order, and who comes without right changes nothing. Usage:
 * resume_sim [seed]; without one, a fixed set of seeds. */
#include "tests/sim/ends.h"

#include <errno.h>
#include <string.h>

enum { HELLO_ROOM = 400 };

static struct mrc_session_opts as_head = { .is_head = true,
                                           .software = "sim",
                                           .wait_s = 60,
                                           .session_id = "a session's name",
                                           .secret = "thirty-two bytes known to no one" };
static const struct mrc_session_opts as_agent = { .software = "sim" };

static void event(struct end *e, enum mrc_event_kind kind)
{
    struct mrc_event ev = { .kind = kind };
    CHECK(end_step(e, &ev) == 0);
}

/* What was on its way is gone. */
static void cut(struct end *head, struct end *agent)
{
    event(head, MRC_EV_DOWN);
    if (mrc_session_is_resumable(&agent->s))
        event(agent, MRC_EV_DOWN);
    head->wire_len = agent->wire_len = 0;
}

static int take(struct end *agent, const struct mrc_frame *f)
{
    struct mrc_event ev = { .kind = MRC_EV_TAKE, .hello = &f->hello };
    int rc = end_step(agent, &ev);
    if (rc < 0)
        return rc;
    CHECK(agent->act.kind == MRC_ACT_RESUMED && agent->act.amount <= agent->kept_len);
    memmove(agent->kept, agent->kept + agent->act.amount, agent->kept_len - agent->act.amount);
    agent->kept_len -= agent->act.amount;
    agent->sent = 0;
    agent->wire_len = 0;
    agent->resumed++;
    return 0;
}

/* The hello with which the head opens a new stream; space keeps its bytes. */
static struct mrc_frame redial(struct end *head, uint8_t space[HELLO_ROOM])
{
    struct mrc_frame f;
    event(head, MRC_EV_REDIAL);
    end_drain(head, PIPE_SIZE / 2);
    CHECK(head->wire_len > 5 && head->wire_len < HELLO_ROOM);
    memcpy(space, head->wire, head->wire_len);
    CHECK(mrc_frame_get(rd_of(space + 4, head->wire_len - 4), &f) == 0 && f.id == MRC_FRAME_hello);
    head->wire_len = 0;
    return f;
}

/* The agent that was started on the new stream has said hello for itself, perhaps. */
static void stray_hello(struct end *head)
{
    static struct end stray;
    end_init(&stray, &as_agent);
    end_drain(&stray, PIPE_SIZE / 2);
    size_t at = rnd((uint32_t)stray.wire_len);
    CHECK(end_feed(head, stray.wire, at) == 0);
    CHECK(end_feed(head, stray.wire + at, stray.wire_len - at) == 0);
    end_fini(&stray);
}

static void come_back(struct end *head, struct end *agent)
{
    uint8_t space[HELLO_ROOM];
    struct mrc_frame f = redial(head, space);
    int before = agent->resumed;
    if (rnd(2))
        stray_hello(head);
    CHECK(take(agent, &f) == 0 && agent->resumed == before + 1);
    CHECK(take(agent, &f) == -ESTALE); /* replayed */
}

static void one_round(struct end *head, struct end *agent)
{
    end_drain(head, 100000);
    end_drain(agent, 100000);
    end_deliver(head, agent, rnd((uint32_t)head->wire_len + 1));
    end_deliver(agent, head, rnd((uint32_t)agent->wire_len + 1));
}

static void random_run(void)
{
    static struct end head, agent;
    int cuts = 0;
    uint32_t rarity = 2 + rnd(40);
    end_init(&head, &as_head);
    end_init(&agent, &as_agent);
    for (int i = 0; i < CHANS; i++)
        end_open(&head);
    for (int turn = 0; !end_is_done(&head) || !end_is_done(&agent); turn++) {
        CHECK(turn < 400000);
        for (int k = 0; k < 4; k++) {
            end_act(&head);
            end_act(&agent);
        }
        one_round(&head, &agent);
        if (rnd(rarity) || !mrc_session_is_resumable(&head.s) || !mrc_session_is_resumable(&agent.s))
            continue;
        cuts++;
        cut(&head, &agent);
        for (int k = (int)rnd(4); k; k--)
            end_act(rnd(2) ? &head : &agent);
        while (!rnd(3)) { /* a new stream dies before or after the agent has it */
            uint8_t space[HELLO_ROOM];
            struct mrc_frame f = redial(&head, space);
            if (rnd(2)) {
                CHECK(take(&agent, &f) == 0);
                if (rnd(2))
                    end_drain(&agent, 100000);
                if (rnd(2) && agent.wire_len)
                    CHECK(end_feed(&head, agent.wire, rnd((uint32_t)agent.wire_len)) == 0);
            }
            cut(&head, &agent);
        }
        come_back(&head, &agent);
    }
    CHECK(cuts == 0 || head.resumed > 0);
    CHECK(head.kept_len <= MRC_ACK_BYTES + 2 * MRC_FRAME_MAX + 200000);
    end_fini(&head);
    end_fini(&agent);
}

/* A short session of both directions in which the stream dies when cut_at bytes have arrived. Returns how many
 * arrived in all. */
static size_t short_run(size_t cut_at)
{
    static struct end head, agent;
    size_t arrived = 0;
    bool is_cut = false;
    end_init(&head, &as_head);
    end_init(&agent, &as_agent);
    head.total = agent.total = 150;
    for (int i = 0; i < CHANS; i++)
        end_open(&head);
    for (int turn = 0; !end_is_done(&head) || !end_is_done(&agent); turn++) {
        CHECK(turn < 1000);
        for (struct end *e = &head; e; e = e == &head ? &agent : NULL) {
            for (int i = 0; i < e->chan_count; i++) {
                if (!mrc_session_has(&e->s, e->chans[i]))
                    continue;
                if (e->queued[i] < e->total) {
                    end_wish(e, MRC_EV_QUEUED, e->chans[i], 50);
                    e->queued[i] += 50;
                } else if (!e->ended[i]) {
                    e->ended[i] = true;
                    end_wish(e, MRC_EV_END, e->chans[i], 0);
                }
            }
            struct end *other = e == &head ? &agent : &head;
            end_drain(e, PIPE_SIZE / 2);
            size_t n = e->wire_len;
            bool is_now = !is_cut && arrived + n > cut_at &&
                          mrc_session_is_resumable(&head.s) && mrc_session_is_resumable(&agent.s);
            if (is_now && arrived <= cut_at)
                n = cut_at - arrived;
            else if (is_now)
                n = 0;
            arrived += n;
            end_deliver(e, other, n);
            if (is_now) {
                is_cut = true;
                cut(&head, &agent);
                come_back(&head, &agent);
            }
        }
    }
    CHECK(is_cut == (head.resumed == 1));
    end_fini(&head);
    end_fini(&agent);
    return arrived;
}

static void cut_everywhere(void)
{
    size_t whole = short_run(SIZE_MAX);
    for (size_t at = 0; at < whole; at++) {
        ends_seed = at;
        (void)short_run(at);
    }
}

/* An agent of whoever the head has reached says that there is no such session. Returns what the head makes of it. */
static enum mrc_act_kind refused(struct end *head)
{
    uint8_t space[HELLO_ROOM], bytes[HELLO_ROOM];
    struct wr w = wr_of(bytes, sizeof bytes);
    struct mrc_frame bye = { .id = MRC_FRAME_bye, .bye = { MRC_BYE_NO_SESSION, bytes_of("not here") } };
    (void)redial(head, space);
    if (rnd(2))
        stray_hello(head);
    mrc_frame_put(&w, &bye);
    CHECK(end_feed(head, bytes, wr_len(&w)) == 0);
    return head->act.kind;
}

/* An agent that waited for a head says hello, and its stream was dead already: it has got nothing of what the head writes. Another
 * one gets all of it. */
static void unheard(void)
{
    static struct end head, first, agent;
    end_init(&head, &as_head);
    end_init(&first, &as_agent);
    for (int i = 0; i < CHANS; i++)
        end_open(&head);
    end_drain(&first, PIPE_SIZE / 2);
    end_deliver(&first, &head, first.wire_len);
    for (uint32_t k = rnd(5); k; k--) {
        end_act(&head);
        end_drain(&head, 100000);
        head.wire_len = 0;
    }
    event(&head, MRC_EV_DOWN);
    CHECK(refused(&head) == MRC_ACT_ANEW);
    for (uint32_t k = rnd(3) + 1; k; k--) { /* the stream to the other one may die before that has said hello */
        event(&head, MRC_EV_DOWN);
        event(&head, MRC_EV_REDIAL);
        CHECK(head.act.kind == MRC_ACT_ANEW);
        head.sent = head.wire_len = 0;
        end_drain(&head, rnd(2) ? 100 : 100000);
    }
    end_init(&agent, &as_agent);
    for (int turn = 0; !end_is_done(&head) || !end_is_done(&agent); turn++) {
        CHECK(turn < 400000);
        for (int k = 0; k < 4; k++) {
            end_act(&head);
            end_act(&agent);
        }
        one_round(&head, &agent);
        if (rnd(30) || !mrc_session_is_resumable(&head.s) || !mrc_session_is_resumable(&agent.s))
            continue;
        cut(&head, &agent);
        come_back(&head, &agent);
    }
    /* Who was heard is not replaced: it may have done something. */
    cut(&head, &agent);
    CHECK(refused(&head) == MRC_ACT_BYE && head.s.is_over);
    end_fini(&head);
    end_fini(&first);
    end_fini(&agent);
}

/* Who has not the secret, or says what can't be, changes nothing; the session goes on. */
static void hostile(void)
{
    static struct end head, agent;
    uint8_t space[HELLO_ROOM], secret[32], resume[20], name[16] = { 0 };
    end_init(&head, &as_head);
    end_init(&agent, &as_agent);
    for (int i = 0; i < CHANS; i++)
        end_open(&head);
    struct mrc_frame none = { .id = MRC_FRAME_hello };
    CHECK(take(&agent, &none) == -EACCES); /* before there is a session */
    while (!mrc_session_is_resumable(&agent.s))
        one_round(&head, &agent);
    cut(&head, &agent);
    struct mrc_frame good = redial(&head, space), bad = good;
    static struct mrc_session before;
    before = agent.s;
    memcpy(secret, good.hello.secret.ptr, sizeof secret);
    bad.hello.secret.ptr = secret;
    for (size_t i = 0; i < sizeof secret; i++) {
        secret[i] ^= 1;
        CHECK(take(&agent, &bad) == -EACCES);
        secret[i] ^= 1;
    }
    bad.hello.secret.len = 31;
    CHECK(take(&agent, &bad) == -EACCES);
    bad.hello.secret.len = 0;
    CHECK(take(&agent, &bad) == -EACCES);
    bad = good;
    bad.hello.session.ptr = name;
    CHECK(take(&agent, &bad) == -EACCES);
    bad = good;
    bad.hello.version++;
    CHECK(take(&agent, &bad) == -EPROTO);
    bad = good;
    const uint64_t wrong[] = { agent.s.out_total + 1, UINT64_MAX, agent.s.out_acked - 1, 0 };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct wr w = wr_of(resume, sizeof resume);
        put_u32(&w, 60);
        put_u64(&w, 1);
        put_u64(&w, wrong[i]);
        bad.hello.resume = (struct bytes){ resume, sizeof resume };
        CHECK(take(&agent, &bad) == -EPROTO);
        bad.hello.resume.len--;
        CHECK(take(&agent, &bad) == -EPROTO);
    }
    CHECK(memcmp(&before, &agent.s, sizeof before) == 0);
    CHECK(take(&agent, &good) == 0);
    /* Another one, later, takes the stream over: the head that gave the first one up. */
    cut(&head, &agent);
    come_back(&head, &agent);
    CHECK(take(&agent, &good) == -ESTALE);
    /* The answer to the head: wrong numbers, garbage, a refusal. */
    const struct {
        uint64_t attempt, received;
    } answers[] = { { 1, agent.s.in_total }, { 9, agent.s.in_total }, { 2, head.s.out_total + 1 } };
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct end copy = head;
        uint8_t bytes[HELLO_ROOM];
        struct wr r = wr_of(resume, sizeof resume), w = wr_of(bytes, sizeof bytes);
        put_u32(&r, 60);
        put_u64(&r, answers[i].attempt);
        put_u64(&r, answers[i].received);
        struct mrc_frame f = { .id = MRC_FRAME_hello,
                               .hello = { .version = MRC_SESSION_VERSION,
                                          .resume = { resume, sizeof resume } } };
        mrc_frame_put(&w, &f);
        CHECK(end_feed(&copy, bytes, wr_len(&w)) == -EPROTO);
    }
    struct end copy = head;
    CHECK(end_feed(&copy, (const uint8_t *)"\xff\xff\xff\xff?", 5) == -EPROTO);
    copy = head;
    CHECK(end_feed(&copy, (const uint8_t *)"\x09\0\0\0\x0a\x74\0\0\0\0\0\0\0", 13) == 0 && copy.refused == 1);
    while (!end_is_done(&head) || !end_is_done(&agent)) {
        end_act(&head);
        end_act(&agent);
        one_round(&head, &agent);
    }
    end_fini(&head);
    end_fini(&agent);
}

/* Who never confirms gets no more than what may be kept; the rest when it does. */
static void silent_reader(void)
{
    static struct mrc_session s;
    static struct mrc_action act;
    uint8_t space[200];
    mrc_session_init(&s, &as_head);
    struct mrc_event ev = { .kind = MRC_EV_OPEN, .service = bytes_of("test") };
    CHECK(mrc_session_step(&s, &ev, &act) == 0);
    struct wr w = wr_of(space, sizeof space);
    mrc_frame_put(&w, &(struct mrc_frame){ .id = MRC_FRAME_hello, .hello.version = MRC_SESSION_VERSION });
    mrc_frame_put(&w, &(struct mrc_frame){ .id = MRC_FRAME_credit, .credit = { 1, 0, 1ull << 40 } });
    ev = (struct mrc_event){ .kind = MRC_EV_INPUT, .input = { space, (uint32_t)wr_len(&w) } };
    while (ev.input.len) {
        CHECK(mrc_session_step(&s, &ev, &act) == 0);
        ev.input.ptr += ev.input.len - act.input_left;
        ev.input.len = (uint32_t)act.input_left;
    }
    ev = (struct mrc_event){ .kind = MRC_EV_QUEUED, .chan = 1, .amount = 1ull << 30 };
    CHECK(mrc_session_step(&s, &ev, &act) == 0);
    ev = (struct mrc_event){ .kind = MRC_EV_WRITE };
    do
        CHECK(mrc_session_step(&s, &ev, &act) == 0);
    while (act.kind == MRC_ACT_WRITE);
    CHECK(s.out_total >= MRC_RESEND_MAX && s.out_total < MRC_RESEND_MAX + MRC_CHUNK + 100);
    w = wr_of(space, sizeof space);
    mrc_frame_put(&w, &(struct mrc_frame){ .id = MRC_FRAME_ack, .ack = { s.out_total } });
    struct mrc_event in = { .kind = MRC_EV_INPUT, .input = { space, (uint32_t)wr_len(&w) } };
    CHECK(mrc_session_step(&s, &in, &act) == 0 && act.kind == MRC_ACT_ACKED && act.amount == s.out_total);
    CHECK(mrc_session_step(&s, &ev, &act) == 0 && act.kind == MRC_ACT_WRITE && act.body_len);
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t end = argc > 1 ? first + 1 : 31;
    for (ends_seed = first; ends_seed < end; ends_seed++) {
        ends_state = ends_seed;
        random_run();
        unheard();
    }
    ends_state = 7;
    cut_everywhere();
    hostile();
    silent_reader();
    return 0;
}
