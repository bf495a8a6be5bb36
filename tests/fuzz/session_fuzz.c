/* SPDX-License-Identifier: GPL-2.0-or-later */
/* session_fuzz.c: any bytes from the other side: no crash, invariants hold, and nothing but
 * -EPROTO and, for another version, -EPROTONOSUPPORT comes back. */
#include "mrc/session/session.h"

#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    static struct mrc_session s;
    static struct mrc_action act;
    struct mrc_session_opts o = { .is_head = len && input[0] & 1, .software = "fuzz" };
    mrc_session_init(&s, &o);
    struct mrc_event ev = { .kind = MRC_EV_INPUT, .input = { input, (uint32_t)len } };
    while (ev.input.len) {
        int rc = mrc_session_step(&s, &ev, &act);
        if (rc == -EPROTO || rc == -EPROTONOSUPPORT)
            return 0;
        if (rc || !mrc_session_check(&s) || act.input_left >= ev.input.len)
            abort();
        ev.input.ptr += ev.input.len - act.input_left;
        ev.input.len = (uint32_t)act.input_left;
        struct mrc_event out = { .kind = MRC_EV_WRITE };
        struct mrc_action written;
        for (int i = 0; i < 8; i++)
            if (mrc_session_step(&s, &out, &written) < 0)
                abort();
    }
    return 0;
}
