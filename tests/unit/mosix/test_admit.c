/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_admit.c: who is taken as a guest, who gives way; and for any guests and any newcomer
 * that nobody gives way to one that is not better, and no limit is passed. */
#include "common/base/rng.h"
#include "mosix-core/plan/admit.h"
#include "tests/lib/unit.h"

#include <string.h>

static const struct mx_room room = {
    .guests_max = 3, .partners_max = 2, .free_mb = 1000, .kept_mb = 100
};
static const struct mx_claim own = { .rank = MX_RANK_PARTITION, .need_mb = 10 };
static const struct mx_claim other = { .rank = MX_RANK_CLUSTER, .need_mb = 10 };
static const struct mx_claim partner = { .rank = MX_RANK_PARTNER,
                                         .need_mb = 10,
                                         .is_partner = true };

#define same_admit(want, want_out, room, list, count, who)                                     \
    do {                                                                                       \
        int out = -7;                                                                          \
        assert_int_equal(mx_admit(room, list, count, who, &out), want);                        \
        assert_int_equal(out, want_out);                                                       \
    } while (0)

TEST(refusals)
{
    struct mx_room r = room;
    struct mx_claim never = partner;
    never.rank = MX_RANK_NEVER;
    same_admit(MX_ADMIT_YES, -1, &r, NULL, 0, &own);
    same_admit(MX_ADMIT_NEVER, -1, &r, NULL, 0, &never);
    r.load_centi = r.load_max_centi = 50;
    same_admit(MX_ADMIT_LOAD, -1, &r, NULL, 0, &own);
    r.load_centi = 49;
    same_admit(MX_ADMIT_YES, -1, &r, NULL, 0, &own);
    r.is_blocked = true;
    same_admit(MX_ADMIT_BLOCKED, -1, &r, NULL, 0, &own);
    r = room;
    r.guests_max = 0;
    same_admit(MX_ADMIT_FULL, -1, &r, NULL, 0, &own);
    r = room;
    r.partners_max = 0;
    same_admit(MX_ADMIT_PARTNERS, -1, &r, NULL, 0, &partner);
    same_admit(MX_ADMIT_YES, -1, &r, NULL, 0, &other);
}

/* What those who are on their way will need is no longer free. */
TEST(memory)
{
    struct mx_claim list[1] = { own }, who = own;
    who.need_mb = 900;
    same_admit(MX_ADMIT_YES, -1, &room, list, 1, &who);
    who.need_mb = 901;
    same_admit(MX_ADMIT_MEMORY, -1, &room, list, 1, &who);
    who.need_mb = 891;
    same_admit(MX_ADMIT_YES, -1, &room, list, 1, &who);
    list[0].is_coming = true;
    same_admit(MX_ADMIT_MEMORY, -1, &room, list, 1, &who);
    who.need_mb = UINT32_MAX;
    same_admit(MX_ADMIT_MEMORY, -1, &room, list, 1, &who);
}

TEST(better_ones)
{
    struct mx_claim list[3] = { partner, partner, other };
    same_admit(MX_ADMIT_YES, 1, &room, list, 3, &own); /* the last of the worst */
    same_admit(MX_ADMIT_YES, 1, &room, list, 3, &other);
    same_admit(MX_ADMIT_PARTNERS, -1, &room, list, 3, &partner);
    struct mx_claim better = partner;
    better.rank = MX_RANK_PARTNER - 1;
    same_admit(MX_ADMIT_YES, 1, &room, list, 3, &better);
    list[1].is_leaving = true; /* there is its place */
    same_admit(MX_ADMIT_YES, -1, &room, list, 3, &own);
    list[0] = list[1] = own;
    same_admit(MX_ADMIT_YES, 2, &room, list, 3, &own);
    list[2] = own;
    same_admit(MX_ADMIT_FULL, -1, &room, list, 3, &own);
    same_admit(MX_ADMIT_FULL, -1, &room, list, 3, &partner);
}

TEST(any)
{
    enum { MOST = 6 };
    struct rng r = rng_of(1130);
    for (unsigned run = 0; run < 20000; run++) {
        struct mx_claim list[MOST], who;
        struct mx_room any = { .guests_max = rng_below(&r, MOST),
                               .partners_max = rng_below(&r, MOST),
                               .free_mb = 100 };
        unsigned count = rng_below(&r, MOST), guests = 0, partners = 0;
        for (unsigned i = 0; i <= count; i++) {
            struct mx_claim c = { .rank = (uint16_t)(1 + rng_below(&r, 4)),
                                  .is_partner = rng_below(&r, 2),
                                  .is_leaving = rng_below(&r, 4) == 0,
                                  .need_mb = rng_below(&r, 120) };
            if (i == count) {
                who = c;
            } else {
                list[i] = c;
                guests += !c.is_leaving;
                partners += !c.is_leaving && c.is_partner;
            }
        }
        int out;
        enum mx_admit may = mx_admit(&any, list, count, &who, &out);
        assert_true(out >= -1 && out < (int)count);
        assert_true(may == MX_ADMIT_YES || out == -1);
        if (out >= 0) {
            assert_true(list[out].rank > who.rank && !list[out].is_leaving);
            for (unsigned i = 0; i < count; i++) /* nobody worse of those that could give way */
                assert_false(!list[i].is_leaving && list[i].rank > list[out].rank &&
                             (list[i].is_partner || !list[out].is_partner || !who.is_partner));
        }
        if (may == MX_ADMIT_YES) {
            assert_true(who.need_mb <= 100 && any.guests_max);
            /* One more only where there is room; else as many as before. */
            assert_true(out >= 0 || guests < any.guests_max);
            assert_true(!who.is_partner || partners < any.partners_max ||
                        (out >= 0 && list[out].is_partner));
        }
    }
}

UNIT_MAIN(cmocka_unit_test(refusals), cmocka_unit_test(memory), cmocka_unit_test(better_ones),
          cmocka_unit_test(any))
