/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_locktable.c: the client's table of locks does what the kernel does, step by step, by
 * random sequences. The kernel's owners are open files here (OFD locks, flock), which its
 * record locks treat like processes. */
#include "tests/lib/unit.h"

#include "mrcfs/client/locktable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

struct rng {
    uint64_t at;
};

/* A number below n, by xorshift. */
static uint64_t rng_below(struct rng *r, uint64_t n)
{
    r->at ^= r->at << 13;
    r->at ^= r->at >> 7;
    r->at ^= r->at << 17;
    return (r->at >> 16) % n;
}

enum { OWNERS = 5, RANGE = 48, STEPS = 4000, ROUNDS = 12, PROBES = 4 };

static int fds[OWNERS];
static char path[] = "/tmp/test_locktable-XXXXXX";

static void open_all(void)
{
    for (int i = 0; i < OWNERS; i++) {
        fds[i] = open(path, O_RDWR | O_CLOEXEC);
        assert_true(fds[i] >= 0);
    }
}

static struct flock flock_of(const struct mfs_lock_rec *l)
{
    static const short types[] = { F_UNLCK, F_RDLCK, F_WRLCK };
    struct flock f = { .l_type = types[l->type],
                       .l_whence = SEEK_SET,
                       .l_start = (off_t)l->start };
    f.l_len = l->end == UINT64_MAX ? 0 : (off_t)(l->end - l->start + 1);
    return f;
}

static struct mfs_lock_rec any_range(struct rng *r, unsigned types)
{
    struct mfs_lock_rec l = { .type = (uint8_t)rng_below(r, types) };
    unsigned owner = (unsigned)rng_below(r, OWNERS);
    l.owner = 100 + owner;
    l.fh = owner;
    l.start = rng_below(r, RANGE);
    l.end = rng_below(r, 8) ? l.start + rng_below(r, RANGE / 3) : UINT64_MAX;
    return l;
}

static void compare_with_kernel(struct mfs_locktable *t, struct rng *r)
{
    struct mfs_lock_rec want = any_range(r, 2);
    want.type++;
    struct flock f = flock_of(&want);
    assert_int_equal(fcntl(fds[want.fh], F_OFD_GETLK, &f), 0);
    const struct mfs_lock_rec *found = mfs_locktable_test(t, &want);
    if (f.l_type == F_UNLCK) {
        assert_null(found);
        return;
    }
    assert_non_null(found);
    struct flock ours = flock_of(found);
    assert_int_equal(ours.l_type, f.l_type);
    assert_int_equal(ours.l_start, f.l_start);
    assert_int_equal(ours.l_len, f.l_len);
}

static void step_record(struct mfs_locktable *t, struct rng *r)
{
    struct mfs_lock_rec want = any_range(r, 3);
    struct flock f = flock_of(&want);
    int rc = fcntl(fds[want.fh], F_OFD_SETLK, &f) < 0 ? -errno : 0;
    assert_int_equal(mfs_locktable_set(t, &want), rc);
}

static void step_flock(struct mfs_locktable *t, struct rng *r)
{
    static const int how[] = { LOCK_UN, LOCK_SH, LOCK_EX };
    struct mfs_lock_rec want = any_range(r, 3);
    want.is_flock = 1;
    want.start = 0;
    want.end = UINT64_MAX;
    int rc = flock(fds[want.fh], how[want.type] | LOCK_NB) < 0 ? -errno : 0;
    assert_int_equal(mfs_locktable_set(t, &want), rc);
}

static void step_close(struct mfs_locktable *t, struct rng *r)
{
    unsigned i = (unsigned)rng_below(r, OWNERS);
    close(fds[i]);
    fds[i] = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fds[i] >= 0);
    mfs_locktable_drop_file(t, i);
}

/* A process that closes any descriptor of the file loses its record locks, and no flock. */
static void step_owner(struct mfs_locktable *t, struct rng *r)
{
    unsigned i = (unsigned)rng_below(r, OWNERS);
    struct flock all = { .l_type = F_UNLCK, .l_whence = SEEK_SET };
    assert_int_equal(fcntl(fds[i], F_OFD_SETLK, &all), 0);
    mfs_locktable_drop_owner(t, 100 + i);
}

TEST(test_as_the_kernel)
{
    int made = mkstemp(path);
    assert_true(made >= 0);
    close(made);
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct rng r = { seed };
        struct mfs_locktable t = { 0 };
        open_all();
        for (unsigned i = 0; i < STEPS; i++) {
            unsigned kind = (unsigned)rng_below(&r, 100);
            if (kind < 70)
                step_record(&t, &r);
            else if (kind < 96)
                step_flock(&t, &r);
            else if (kind < 98)
                step_close(&t, &r);
            else
                step_owner(&t, &r);
            for (unsigned k = 0; k < PROBES; k++)
                compare_with_kernel(&t, &r);
        }
        for (int i = 0; i < OWNERS; i++)
            close(fds[i]);
        mfs_locktable_fini(&t);
    }
    unlink(path);
}

TEST(test_bound)
{
    struct mfs_locktable t = { 0 };
    struct mfs_lock_rec l = { .fh = 1, .owner = 1, .type = MFS_LOCK_WR };
    for (uint64_t i = 0; i < MFS_LOCKTABLE_MAX; i++) {
        l.start = l.end = 2 * i;
        assert_int_equal(mfs_locktable_set(&t, &l), 0);
    }
    l.start = l.end = 2 * MFS_LOCKTABLE_MAX;
    assert_int_equal(mfs_locktable_set(&t, &l), -ENOLCK);
    assert_int_equal(t.count, MFS_LOCKTABLE_MAX);
    l.start = 1; /* joins two */
    l.end = 1;
    assert_int_equal(mfs_locktable_set(&t, &l), 0);
    assert_int_equal(t.count, MFS_LOCKTABLE_MAX - 1);
    l.start = 0;
    l.end = UINT64_MAX;
    assert_int_equal(mfs_locktable_set(&t, &l), 0);
    assert_int_equal(t.count, 1);
    l.type = MFS_LOCK_UN;
    assert_int_equal(mfs_locktable_set(&t, &l), 0);
    assert_int_equal(t.count, 0);
    mfs_locktable_fini(&t);
}

UNIT_MAIN(cmocka_unit_test(test_as_the_kernel), cmocka_unit_test(test_bound))
