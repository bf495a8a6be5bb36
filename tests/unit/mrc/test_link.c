/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_link.c: how a link ends with its stream, and what it counts when it goes on with another one. */
#include "tests/lib/unit.h"

#include "mrc/link.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TURNS = 200, WAIT_S = 60 };

struct side {
    struct loop *loop; /* a loop drives one link */
    struct mrc_link *link;
    int ended, lost, resumed;
    size_t got; /* bytes of its channel */
};

static struct side head, agent;

static void on_end(void *ctx, int code UNUSED, const char *text UNUSED)
{
    ((struct side *)ctx)->ended++;
}

static void on_lost(void *ctx, int code UNUSED, const char *text UNUSED)
{
    ((struct side *)ctx)->lost++;
}

static void on_resumed(void *ctx)
{
    ((struct side *)ctx)->resumed++;
}

static struct mrc_port *agents_port;

static void on_data(void *ctx, struct bytes body)
{
    ((struct side *)ctx)->got += body.len;
    mrc_port_consumed(agents_port, body.len);
}

static void on_closed(void *ctx UNUSED, int code UNUSED, struct bytes text UNUSED)
{
}

static const struct mrc_port_ops ops = { .on_data = on_data, .on_closed = on_closed };

static int on_open(void *ctx, struct mrc_port *port, struct bytes service UNUSED,
                   struct bytes request UNUSED)
{
    agents_port = port;
    port->ops = &ops;
    port->ctx = ctx;
    return 0;
}

/* Many turns in which nothing is waited for. */
static void turn(void)
{
    for (int i = 0; i < TURNS; i++) {
        assert_ok(loop_turn(head.loop, 0));
        assert_ok(loop_turn(agent.loop, 0));
    }
}

static struct mrc_link *new_link(struct side *s, int in, int out, bool is_head, uint32_t wait_s)
{
    struct mrc_link_opts o = { .loop = s->loop,
                               .fd_in = in,
                               .fd_out = out,
                               .is_head = is_head,
                               .software = "test",
                               .on_open = on_open,
                               .on_end = on_end,
                               .on_lost = on_lost,
                               .on_resumed = on_resumed,
                               .wait_s = wait_s,
                               .ctx = s };
    struct err e = { "" };
    assert_ok(mrc_link_new(&o, &s->link, &e));
    return s->link;
}

static int begin(void **state UNUSED)
{
    head = agent = (struct side){ 0 };
    return loop_new(&head.loop) || loop_new(&agent.loop);
}

static int finish(void **state UNUSED)
{
    mrc_link_free(head.link);
    mrc_link_free(agent.link);
    loop_free(head.loop);
    loop_free(agent.loop);
    return 0;
}

/* An agent whose head went on holding the way back open: nothing is waited for unless the head may return. */
TEST(agent_that_nobody_returns_to_ends_at_once)
{
    int in[2], out[2];
    assert_ok(pipe2(in, O_CLOEXEC));
    assert_ok(pipe2(out, O_CLOEXEC));
    new_link(&agent, in[0], out[1], false, 0);
    turn();
    close(in[1]);
    turn();
    assert_int_equal(agent.ended, 1);
    assert_int_equal(agent.lost, 0);
    close(out[0]);
}

/* Two streams and we between them, who can keep what is sent. */
struct middle {
    int head[2], agent[2]; /* their ends, ours */
};

static void middle_open(struct middle *m)
{
    assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, m->head));
    assert_ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, m->agent));
}

static size_t bring(int from, int to)
{
    static uint8_t bytes[65536];
    ssize_t n = recv(from, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n > 0)
        assert_int_equal(write(to, bytes, (size_t)n), n);
    return n > 0 ? (size_t)n : 0;
}

static void relay(const struct middle *m)
{
    do
        turn();
    while (bring(m->head[1], m->agent[1]) + bring(m->agent[1], m->head[1]));
}

/* Everything that was written and not confirmed when the stream died is written again, and counted so. */
TEST(bytes_that_are_sent_again_are_counted)
{
    struct middle first, second;
    middle_open(&first);
    new_link(&agent, first.agent[0], first.agent[0], false, 0);
    new_link(&head, first.head[0], first.head[0], true, WAIT_S);
    struct mrc_port *port;
    assert_ok(mrc_link_open(head.link, "sink", (struct bytes){ NULL, 0 }, 1, 65536, &ops, &head, &port));
    relay(&first);
    assert_non_null(agents_port);

    static uint8_t bytes[10000];
    assert_ok(mrc_port_send(port, bytes, sizeof bytes));
    turn();
    struct mrc_link_stats before, after;
    mrc_link_stats(head.link, &before);
    assert_int_equal(before.bytes_again, 0);
    close(first.head[1]); /* with them in it */
    turn();
    assert_int_equal(head.lost, 1);

    uint8_t greeting[MRC_GREETING_MAX];
    int n = mrc_link_redial(head.link, greeting, sizeof greeting);
    assert_true(n > 0);
    struct mrc_frame f;
    assert_ok(mrc_frame_get(rd_of(greeting + 4, (size_t)n - 4), &f));
    middle_open(&second);
    assert_ok(mrc_link_take(agent.link, &f.hello, second.agent[0], second.agent[0]));
    assert_ok(mrc_link_attach(head.link, second.head[0], second.head[0]));
    relay(&second);
    assert_int_equal(head.resumed, 1);
    assert_int_equal(agent.got, sizeof bytes);
    mrc_link_stats(head.link, &after);
    assert_true(after.bytes_again >= sizeof bytes && after.bytes_again < sizeof bytes + 200);
    assert_int_equal(head.ended + agent.ended, 0);
    close(first.agent[1]);
    close(second.head[1]);
    close(second.agent[1]);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, finish)
UNIT_MAIN(CASE(agent_that_nobody_returns_to_ends_at_once), CASE(bytes_that_are_sent_again_are_counted))
