/* SPDX-License-Identifier: GPL-2.0-or-later */
/* resume_fuzz.c: who comes to an agent whose head was lost, and what an agent answers to a head that comes back:
 * any bytes. The agent's session is unchanged when it refuses; nothing crashes, invariants hold. */
#include "mrc/session/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

static const struct mrc_session_opts as_head = { .is_head = true,
                                                 .software = "fuzz",
                                                 .wait_s = 60,
                                                 .session_id = "0123456789abcde",
                                                 .secret = "0123456789abcdef0123456789abcde" };

static void step(struct mrc_session *s, const struct mrc_event *ev, struct mrc_action *act)
{
    if (mrc_session_step(s, ev, act) < 0 || !mrc_session_check(s))
        abort();
}

/* What s has to say goes to the other end. */
static void pass(struct mrc_session *from, struct mrc_session *to)
{
    static struct mrc_action act, got;
    for (;;) {
        step(from, &(struct mrc_event){ .kind = MRC_EV_WRITE }, &act);
        if (act.kind != MRC_ACT_WRITE)
            return;
        struct mrc_event in = { .kind = MRC_EV_INPUT, .input = { act.head, act.head_len } };
        while (in.input.len) {
            step(to, &in, &got);
            in.input.ptr += in.input.len - got.input_left;
            in.input.len = (uint32_t)got.input_left;
        }
    }
}

static void feed(struct mrc_session *s, const uint8_t *input, size_t len)
{
    static struct mrc_action act;
    struct mrc_event ev = { .kind = MRC_EV_INPUT, .input = { input, (uint32_t)len } };
    while (ev.input.len) {
        int rc = mrc_session_step(s, &ev, &act);
        if (rc == -EPROTO || rc == -EPROTONOSUPPORT)
            return;
        if (rc || !mrc_session_check(s) || act.input_left >= ev.input.len)
            abort();
        ev.input.ptr += ev.input.len - act.input_left;
        ev.input.len = (uint32_t)act.input_left;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    static struct mrc_session head, agent, before;
    static struct mrc_action act;
    mrc_session_init(&head, &as_head);
    mrc_session_init(&agent, &(struct mrc_session_opts){ .software = "fuzz" });
    for (int i = 0; i < 2; i++) {
        pass(&head, &agent);
        pass(&agent, &head);
    }
    if (!mrc_session_is_resumable(&head) || !mrc_session_is_resumable(&agent))
        abort();
    step(&head, &(struct mrc_event){ .kind = MRC_EV_DOWN }, &act);
    step(&head, &(struct mrc_event){ .kind = MRC_EV_REDIAL }, &act);
    step(&head, &(struct mrc_event){ .kind = MRC_EV_WRITE }, &act);
    struct mrc_frame f;
    if (len > 4 && mrc_frame_get(rd_of(input + 4, len - 4), &f) == 0 && f.id == MRC_FRAME_hello) {
        before = agent;
        int rc = mrc_session_step(&agent, &(struct mrc_event){ .kind = MRC_EV_TAKE, .hello = &f.hello }, &act);
        if (rc < 0 && memcmp(&before, &agent, sizeof before) != 0)
            abort();
        if (!mrc_session_check(&agent))
            abort();
        step(&agent, &(struct mrc_event){ .kind = MRC_EV_WRITE }, &act);
        feed(&agent, input, len);
    }
    feed(&head, input, len);
    return 0;
}
