/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lease_sim.c: the broker's table with members that ask, give back and die at random, over
 * links of random delay: never two exclusive holders, never shared beside exclusive, as the
 * members themselves see it; every request is granted once holders answer; nothing is left at
 * the end. Usage: lease_sim [seed]; without one, a fixed set of seeds. */
#include "mrcfs/lease/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                       \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            fprintf(stderr, "lease_sim: seed %llu: step %d: %s:%d: %s\n",                      \
                    (unsigned long long)seed, step, __FILE__, __LINE__, #condition);           \
            exit(1);                                                                           \
        }                                                                                      \
    } while (0)

enum { MEMBERS = 5, TOKENS = 4, STEPS = 6000, LINK = 64, SEEDS = 200 };

static uint64_t seed, state;
static int step;
static long live_allocations;

static uint32_t rnd(uint32_t below)
{
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(state >> 33) % below;
}

struct fifo {
    struct mfs_lease_message m[LINK];
    unsigned first, end;
};

struct member {
    struct mfs_lease_party party;
    struct fifo to_broker, from_broker;
    /* As the member sees it. */
    uint8_t held[TOKENS];
    uint8_t wanted[TOKENS]; /* an ACQUIRE or TRY is unanswered */
    bool is_try[TOKENS];
    int wanted_since[TOKENS];
    int asked[TOKENS]; /* REVOKE to this mode is to be answered; -1: none */
};

static struct member members[MEMBERS];
static struct mfs_lease_table table;
static unsigned granted, refused, revoked, died;

static void push(struct fifo *f, const struct mfs_lease_message *m)
{
    CHECK(f->end - f->first < LINK);
    f->m[f->end++ % LINK] = *m;
}

static void *sim_alloc(void *ctx UNUSED, size_t size)
{
    live_allocations++;
    return calloc(1, size);
}

static void sim_release(void *ctx UNUSED, void *ptr)
{
    live_allocations--;
    free(ptr);
}

static void sim_send(void *ctx UNUSED, struct mfs_lease_party *p,
                     const struct mfs_lease_message *m)
{
    push(&LIST_ENTRY(p, struct member, party)->from_broker, m);
}

static struct mfs_lease_key key_of(unsigned token)
{
    return (struct mfs_lease_key){ 1, token };
}

static void say(struct member *me, uint8_t kind, uint8_t mode, unsigned token)
{
    push(&me->to_broker, &(struct mfs_lease_message){ kind, mode, key_of(token) });
}

static void check_all(void)
{
    CHECK(mfs_lease_table_check(&table));
    for (int k = 0; k < TOKENS; k++) {
        int shared = 0, exclusive = 0;
        for (int i = 0; i < MEMBERS; i++) {
            shared += members[i].held[k] == MFS_LEASE_SHARED;
            exclusive += members[i].held[k] == MFS_LEASE_EXCLUSIVE;
        }
        CHECK(exclusive <= 1 && !(exclusive && shared));
    }
}

static void member_takes(struct member *me)
{
    if (me->from_broker.first == me->from_broker.end)
        return;
    struct mfs_lease_message m = me->from_broker.m[me->from_broker.first++ % LINK];
    unsigned k = (unsigned)m.key.ino;
    switch (m.kind) {
    case MFS_LEASE_GRANT:
        CHECK(me->wanted[k] == m.mode);
        me->held[k] = m.mode;
        me->wanted[k] = 0;
        granted++;
        break;
    case MFS_LEASE_REFUSE:
        CHECK(me->wanted[k] && me->is_try[k]);
        me->wanted[k] = 0;
        refused++;
        break;
    case MFS_LEASE_REVOKE:
        CHECK(me->asked[k] < 0);
        me->asked[k] = m.mode;
        revoked++;
        break;
    default: CHECK(!"a message for members");
    }
}

static void answer(struct member *me, unsigned k)
{
    if (me->asked[k] < 0)
        return;
    if (me->held[k] > me->asked[k])
        me->held[k] = (uint8_t)me->asked[k];
    say(me, MFS_LEASE_GIVEN, me->held[k], k);
    me->asked[k] = -1;
}

static void member_acts(struct member *me, bool is_asking)
{
    unsigned k = rnd(TOKENS);
    if (me->to_broker.end - me->to_broker.first > LINK / 2)
        return;
    answer(me, rnd(TOKENS));
    if (!is_asking || me->wanted[k])
        return;
    uint8_t mode = (uint8_t)(1 + rnd(2));
    if (rnd(6) == 0 && me->held[k]) {
        me->held[k] = rnd(2) && me->held[k] == MFS_LEASE_EXCLUSIVE ? MFS_LEASE_SHARED : 0;
        say(me, MFS_LEASE_RELEASE, me->held[k], k);
    } else if (me->held[k] < mode) {
        me->wanted[k] = mode;
        me->is_try[k] = rnd(3) == 0;
        me->wanted_since[k] = step;
        say(me, me->is_try[k] ? MFS_LEASE_TRY : MFS_LEASE_ACQUIRE, mode, k);
    }
}

static void broker_takes(struct member *me)
{
    if (me->to_broker.first == me->to_broker.end)
        return;
    const struct mfs_lease_message *m = &me->to_broker.m[me->to_broker.first++ % LINK];
    CHECK(mfs_lease_table_take(&table, &me->party, m, step) == 0);
}

static void member_comes(struct member *me)
{
    memset(me, 0, sizeof *me);
    for (int k = 0; k < TOKENS; k++)
        me->asked[k] = -1;
    mfs_lease_party_init(&me->party);
}

/* What is on the way is lost, and another member comes in its place. */
static void member_dies(struct member *me)
{
    mfs_lease_party_gone(&table, &me->party, step);
    CHECK(me->party.claim_count == 0);
    member_comes(me);
    died++;
}

static void run(uint64_t s)
{
    struct mfs_lease_table_opts o = { sim_alloc, sim_release, sim_send, NULL };
    seed = state = s;
    step = 0;
    memset(members, 0, sizeof members);
    CHECK(mfs_lease_table_init(&table, &o) == 0);
    for (int i = 0; i < MEMBERS; i++)
        member_comes(&members[i]);
    for (; step < STEPS; step++) {
        struct member *me = &members[rnd(MEMBERS)];
        switch (rnd(8)) {
        case 0:
        case 1:
        case 2: broker_takes(me); break;
        case 3:
        case 4:
        case 5: member_takes(me); break;
        case 6: member_acts(me, true); break;
        default:
            if (rnd(300) == 0)
                member_dies(me);
        }
        check_all();
        for (int i = 0; i < MEMBERS; i++)
            for (int k = 0; k < TOKENS; k++)
                CHECK(!members[i].wanted[k] || step - members[i].wanted_since[k] < STEPS / 2);
    }
    /* Nobody asks for more: everything is answered, then given back. */
    for (int round = 0; round < 1000; round++) {
        for (int i = 0; i < MEMBERS; i++) {
            broker_takes(&members[i]);
            member_takes(&members[i]);
            for (unsigned k = 0; k < TOKENS; k++)
                answer(&members[i], k);
            check_all();
        }
    }
    int64_t since;
    CHECK(!mfs_lease_table_late(&table, &since));
    for (int i = 0; i < MEMBERS; i++)
        for (unsigned k = 0; k < TOKENS; k++) {
            CHECK(!members[i].wanted[k]);
            if (members[i].held[k])
                say(&members[i], MFS_LEASE_RELEASE, 0, k);
            broker_takes(&members[i]);
            broker_takes(&members[i]);
        }
    CHECK(table.token_count == 0);
    mfs_lease_table_fini(&table);
    CHECK(live_allocations == 0);
}

/* A member that says what it can't is found out, and bounds hold. */
static void run_hostile(void)
{
    struct mfs_lease_table_opts o = { sim_alloc, sim_release, sim_send, NULL };
    struct member *me = &members[0];
    CHECK(mfs_lease_table_init(&table, &o) == 0);
    member_comes(me);
    const struct mfs_lease_message wrong[] = {
        { MFS_LEASE_GIVEN, 0, { 1, 1 } },   { MFS_LEASE_RELEASE, 0, { 1, 1 } },
        { MFS_LEASE_ACQUIRE, 0, { 1, 1 } }, { MFS_LEASE_GRANT, 1, { 1, 1 } },
        { MFS_LEASE_WELCOME, 0, { 1, 1 } },
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        CHECK(mfs_lease_table_take(&table, &me->party, &wrong[i], 0) < 0);
    for (uint64_t i = 0; i < MFS_LEASE_CLAIMS_MAX; i++) {
        struct mfs_lease_message m = { MFS_LEASE_ACQUIRE, MFS_LEASE_SHARED, { 2, i } };
        CHECK(mfs_lease_table_take(&table, &me->party, &m, 0) == 0);
        me->from_broker.first = me->from_broker.end;
    }
    struct mfs_lease_message more = { MFS_LEASE_TRY, MFS_LEASE_SHARED, { 3, 1 } };
    CHECK(mfs_lease_table_take(&table, &me->party, &more, 0) == 0);
    CHECK(me->from_broker.m[me->from_broker.first++ % LINK].kind == MFS_LEASE_REFUSE);
    more.kind = MFS_LEASE_ACQUIRE;
    CHECK(mfs_lease_table_take(&table, &me->party, &more, 0) < 0);
    mfs_lease_party_gone(&table, &me->party, 0);
    CHECK(table.token_count == 0);
    mfs_lease_table_fini(&table);
    CHECK(live_allocations == 0);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        run(strtoull(argv[1], NULL, 0));
    } else {
        for (uint64_t s = 1; s <= SEEDS; s++)
            run(s);
        run_hostile();
    }
    printf("lease_sim: %u granted, %u refused, %u revoked, %u died\n", granted, refused,
           revoked, died);
    return argc > 1 || (granted > 1000 && refused > 100 && revoked > 1000) ? 0 : 1;
}
