/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_hubwho.c: who gets the same kept view: only processes that see and may the same. */
#include "mrc/hub.h"

#include "tests/lib/unit.h"

#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static uint8_t ours[MRC_HUB_KEY_BYTES];

/* What a child is that has done this. Returns mrc_hub_who's result, or 1: it could not do it.
 */
static int who_after(int (*fn)(void), uint8_t out[MRC_HUB_KEY_BYTES])
{
    int ready[2];
    char byte = 1;
    assert_return_code(pipe(ready), errno);
    pid_t pid = fork();
    if (pid == 0) {
        byte = fn && fn() < 0;
        if (write(ready[1], &byte, 1) == 1)
            pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    int rc = byte ? 1 : mrc_hub_who(pid, out);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(ready[0]);
    close(ready[1]);
    return rc;
}

static void is_another(const char *what, int (*fn)(void))
{
    uint8_t key[MRC_HUB_KEY_BYTES];
    int rc = who_after(fn, key);
    if (rc == 1) {
        print_message("not tried, it takes root: %s\n", what);
        return;
    }
    assert_ok(rc);
    if (memcmp(key, ours, sizeof key) == 0)
        fail_msg("the same: %s", what);
}

static int nothing(void)
{
    return 0;
}

static int elsewhere(void)
{
    return chdir("/") < 0 || nice(1) < 0 || setsid() < 0 ? -1 : 0;
}

static int smaller_files(void)
{
    struct rlimit rl = { 12345, 12345 };
    return setrlimit(RLIMIT_FSIZE, &rl);
}

static int other_mounts(void)
{
    return unshare(CLONE_NEWNS);
}

static int other_users(void)
{
    return unshare(CLONE_NEWUSER);
}

static int other_root(void)
{
    return chroot("/usr");
}

static int other_group(void)
{
    return setgid(12345);
}

static int other_groups(void)
{
    gid_t more[] = { 1, 2, 12345 };
    return setgroups(3, more);
}

static int other_user(void)
{
    return setuid(12345);
}

static int fewer_rights(void)
{
    enum { CAP_CHOWN_NUMBER = 0 };
    return prctl(PR_CAPBSET_DROP, CAP_CHOWN_NUMBER, 0, 0, 0);
}

static int no_new_privileges(void)
{
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

TEST(test_the_same)
{
    uint8_t key[MRC_HUB_KEY_BYTES];
    assert_ok(mrc_hub_who(getpid(), ours));
    assert_ok(who_after(nothing, key));
    assert_memory_equal(key, ours, sizeof key);
    /* Where it works is no matter of who it is. */
    assert_ok(who_after(elsewhere, key));
    assert_memory_equal(key, ours, sizeof key);
}

TEST(test_others)
{
    assert_ok(mrc_hub_who(getpid(), ours));
    is_another("largest file", smaller_files);
    is_another("mount namespace", other_mounts);
    is_another("user namespace", other_users);
    is_another("root directory", other_root);
    is_another("group", other_group);
    is_another("groups", other_groups);
    is_another("user", other_user);
    is_another("capabilities", fewer_rights);
}

/* It may be confined in ways that nobody sees. */
TEST(test_confined)
{
    uint8_t key[MRC_HUB_KEY_BYTES];
    assert_error(who_after(no_new_privileges, key), EACCES);
}

TEST(test_nobody)
{
    uint8_t key[MRC_HUB_KEY_BYTES];
    static const pid_t none[] = { 0, -1, INT32_MAX };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_true(mrc_hub_who(none[i], key) < 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    assert_true(mrc_hub_who(pid, key) < 0);
}

UNIT_MAIN(cmocka_unit_test(test_the_same), cmocka_unit_test(test_others),
          cmocka_unit_test(test_confined), cmocka_unit_test(test_nobody))
