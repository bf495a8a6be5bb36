/* SPDX-License-Identifier: GPL-2.0-or-later */
/* plan_fuzz.c: any bytes as messages of a place to the home of a job, and of a home to a place,
 * with time passing: what is taken is in range and comes out the same when it is coded again,
 * and both cores stay in their states. The first bit of the input says whether a move is under
 * way. */
#include "mosix-core/plan/messages.h"
#include "mosix-core/plan/migrate.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes);

static void code_again(const struct mx_message *m)
{
    uint8_t first[MX_MESSAGE_MAX], second[MX_MESSAGE_MAX];
    struct wr w = wr_of(first, sizeof first);
    mx_plan_put(&w, m);
    struct rd r = rd_of(first, wr_len(&w));
    struct mx_message same;
    memset(&same, 0, sizeof same);
    if (w.is_full || mx_plan_get(&r, &same) != 1 || rd_left(&r) != 0)
        abort();
    struct wr again = wr_of(second, sizeof second);
    mx_plan_put(&again, &same);
    if (wr_len(&again) != wr_len(&w) || memcmp(first, second, wr_len(&w)) != 0)
        abort();
}

static void step(struct mx_migrate *home, const struct mx_migrate_in *in)
{
    struct mx_migrate_out out;
    if (mx_migrate_step(home, in, &out) < 0 && in->what != MX_MIG_MOVE)
        abort();
    if ((unsigned)home->phase >= MX_PHASES || out.order_count > MX_MIGRATE_ORDERS_MAX)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes)
{
    struct mx_migrate home;
    struct mx_holder place;
    struct mx_holder_out did;
    int64_t now_ms = 1000;
    mx_migrate_init(&home, now_ms);
    mx_holder_init(&place, false, false);
    if (len_bytes && ptr[0] & 1)
        step(&home, &(struct mx_migrate_in){ MX_MIG_MOVE, now_ms, 5, NULL });
    struct rd r = rd_of(ptr + (len_bytes > 0), len_bytes - (len_bytes > 0));
    for (;;) {
        struct mx_message m;
        memset(&m, 0, sizeof m);
        if (mx_plan_get(&r, &m) != 1)
            return 0;
        now_ms += 100;
        if (m.number)
            code_again(&m);
        if (m.number == MX_MESSAGE_report)
            step(&home, &(struct mx_migrate_in){ MX_MIG_REPORT, now_ms, 5, &m.report });
        step(&home, &(struct mx_migrate_in){ MX_MIG_TICK, now_ms, 0, NULL });
        struct mx_holder_in in = { MX_HOLD_TICK, .now_ms = now_ms };
        if (m.number == MX_MESSAGE_order)
            in = (struct mx_holder_in){ MX_HOLD_ORDER, now_ms, &m.order, 0, 0, MX_WHY_NOT };
        mx_holder_step(&place, &in, &did);
        if ((unsigned)place.is >= MX_STATES || did.count > MX_HOLDER_ACTIONS_MAX)
            abort();
    }
}
