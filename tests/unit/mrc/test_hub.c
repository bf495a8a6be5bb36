/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_hub.c: the hub's messages, descriptors on their way, which connections have the same key
 * part by ssh_config, and how long an agent that was started ahead waits for its hello. */
#include "tests/lib/unit.h"

#include "mrc/hub.h"
#include "mrc/session/session.h"
#include "mrc/share.h"
#include "mrc/sshconf.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TEST(messages_come_back)
{
    uint8_t space[1024];
    const struct mrc_hub_msg sent = { .id = MRC_HUB_entry,
                                      .entry = { MRC_HUB_RUNNING, bytes_of("alice@n1"),
                                                 bytes_of("make -j2"), 17, 2, 123456789012 } };
    struct wr w = wr_of(space, sizeof space);
    mrc_hub_msg_put(&w, &sent);
    assert_false(w.is_full);
    struct mrc_hub_msg got;
    assert_ok(mrc_hub_msg_get((struct bytes){ space, (uint32_t)wr_len(&w) }, &got));
    assert_int_equal(got.id, MRC_HUB_entry);
    assert_int_equal(got.entry.state, MRC_HUB_RUNNING);
    assert_int_equal(got.entry.host.len, 8);
    assert_memory_equal(got.entry.command.ptr, "make -j2", 8);
    assert_int_equal(got.entry.age_ms, 123456789012);
    /* Each cut, and what is too long, is refused. */
    for (uint32_t len = 0; len < wr_len(&w); len++)
        assert_error(mrc_hub_msg_get((struct bytes){ space, len }, &got), EPROTO);
    assert_error(mrc_hub_msg_get((struct bytes){ space, (uint32_t)wr_len(&w) + 1 }, &got),
                 EPROTO);
    space[0] = 99;
    assert_error(mrc_hub_msg_get((struct bytes){ space, (uint32_t)wr_len(&w) }, &got), EPROTO);
}

TEST(requests_carry_a_descriptor)
{
    int ours, theirs, fd, ends[2];
    char command[MRC_SHARE_COMMAND_BYTES];
    assert_ok(mrc_share_pair(&ours, &theirs));
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_error(mrc_share_receive(theirs, command, &fd), EAGAIN);
    assert_ok(mrc_share_command(ours, "exec sh", ends[1]));
    assert_error(mrc_share_keep(ours, 0), ETIMEDOUT); /* sent, and not heard yet */
    close(ends[1]);
    assert_ok(mrc_share_receive(theirs, command, &fd));
    assert_string_equal(command, "exec sh");
    assert_int_equal(write(fd, "x", 1), 1);
    char byte;
    assert_int_equal(read(ends[0], &byte, 1), 1);
    close(fd);
    assert_int_equal(read(ends[0], &byte, 1), 0); /* no copy is left */
    assert_ok(mrc_share_receive(theirs, command, &fd));
    assert_string_equal(command, "");
    close(fd);
    static char long_command[MRC_SHARE_COMMAND_BYTES + 1];
    memset(long_command, 'x', MRC_SHARE_COMMAND_BYTES);
    assert_error(mrc_share_command(ours, long_command, ends[0]), EINVAL);
    close(ours);
    assert_error(mrc_share_receive(theirs, command, &fd), ECONNRESET);
    assert_error(mrc_share_keep(theirs, 0), EPIPE);
    close(theirs);
    close(ends[0]);
}

TEST(persist_is_read)
{
    static const struct {
        const char *text;
        uint32_t seconds;
    } cases[] = { { "controlpersist no\n", 0 },
                  { "controlpersist yes\n", UINT32_MAX },
                  { "controlpersist 0\n", UINT32_MAX },
                  { "controlpersist 90\n", 90 },
                  { "user x\n", 0 } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct mrc_sshconf c;
        mrc_sshconf_defaults(&c);
        mrc_sshconf_parse(&c, strdup(cases[i].text));
        assert_int_equal(c.control_persist_s, cases[i].seconds);
        mrc_sshconf_fini(&c);
    }
}

/* Ticks of a second; returns how many seconds it lived. */
static uint64_t lives_s(struct mrc_session *s, struct mrc_action *act, uint64_t from_ms)
{
    for (uint64_t t = 1; t < 2000; t++) {
        struct mrc_event tick = { .kind = MRC_EV_TICK, .now_ms = from_ms + t * 1000 };
        assert_ok(mrc_session_step(s, &tick, act));
        if (act->kind == MRC_ACT_LOST)
            return t;
    }
    return 0;
}

TEST(an_agent_waits_for_hello)
{
    static struct mrc_session s;
    static struct mrc_action act;
    struct mrc_session_opts o = { .software = "x", .now_ms = 1000, .hello_ms = 600000 };
    mrc_session_init(&s, &o);
    assert_int_equal(lives_s(&s, &act, 1000), 600);
    o.hello_ms = 0;
    mrc_session_init(&s, &o);
    assert_int_equal(lives_s(&s, &act, 1000), MRC_SILENCE_MAX_MS / 1000);
}

UNIT_MAIN(cmocka_unit_test(messages_come_back), cmocka_unit_test(requests_carry_a_descriptor),
          cmocka_unit_test(persist_is_read), cmocka_unit_test(an_agent_waits_for_hello))
