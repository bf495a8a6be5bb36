/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_firstlaunch.c: what a command without a profile will ask for: programs and what they
 * need, scripts, links, words; and that nothing is said of what the job doesn't see. */
#include "tests/lib/unit.h"

#include "mrc/agent/view.h"
#include "mrc/firstlaunch.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], proj[80];
static uint8_t room[MFS_PROFILE_MAX];
static size_t len;

static void make(const char *name, const char *text, mode_t mode)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (!text) {
        assert_ok(mkdir(path, mode));
        return;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static int set_up(void **state UNUSED)
{
    char path[256];
    snprintf(dir, sizeof dir, "/tmp/firstlaunch.XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(proj, sizeof proj, "%s/proj", dir);
    make("proj", NULL, 0755);
    make("proj/sub", NULL, 0755);
    make("proj/sub/file", "text", 0644);
    make("proj/other", "text", 0644);
    make("proj/bin", NULL, 0755);
    make("proj/bin/script", "#! /bin/sh -e\ntrue\n", 0755);
    make("proj/bin/loop", "", 0755);
    make("outside", "text", 0644);
    snprintf(path, sizeof path, "%s/link", proj);
    assert_ok(symlink("sub/../sub", path));
    snprintf(path, sizeof path, "%s/self", proj);
    assert_ok(symlink("self", path));
    return 0;
}

static int tear_down(void **state UNUSED)
{
    static const char *const names[] = { "proj/sub/file",
                                         "proj/other",
                                         "proj/bin/script",
                                         "proj/bin/loop",
                                         "proj/link",
                                         "proj/self",
                                         "outside",
                                         "proj/bin",
                                         "proj/sub",
                                         "proj",
                                         "" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        if (remove(path) < 0)
            return -1;
    }
    return 0;
}

/* A job with the tree that is given, started in proj. */
static void launch(const char *tree, const char *search, const char *a, const char *b,
                   const char *c)
{
    char *command[] = { (char *)(uintptr_t)a, (char *)(uintptr_t)b, (char *)(uintptr_t)c,
                        NULL };
    struct mrc_options o = { .command = command };
    static struct mrc_trees t;
    t.cwd = proj;
    t.list[0] = (struct mrc_tree){ .kind = VIEW_HEAD, .path = (char *)(uintptr_t)tree };
    t.list[1] = (struct mrc_tree){ .kind = VIEW_HEAD,
                                   .path = dir }; /* beside "/": /tmp is the target's */
    t.count = tree[1] ? 1 : 2;
    len = mrc_first_launch(&o, &t, search, NULL, room);
    assert_true(len == 0 || mfs_profile_is_valid((struct bytes){ room, (uint32_t)len }));
}

/* The flags of path, absolute, in the profile; -1: it isn't there. */
static int flags(const char *path)
{
    static struct mfs_profile_entry all[MFS_PROFILE_ENTRIES_MAX];
    struct rd r = rd_of(room, len);
    size_t count = 0;
    if (!len || mfs_profile_begin(&r) < 0)
        return -1;
    while (mfs_profile_next(&r, count, &all[count]) == 1)
        count++;
    for (size_t i = 0; i < count; i++) {
        char text[PATH_MAX] = "", before[PATH_MAX];
        for (size_t at = i;; at = all[at].parent) {
            bool is_root = all[at].parent == MFS_PROFILE_ROOT;
            snprintf(before, sizeof before, "%s", text);
            snprintf(text, sizeof text, "%s%.*s%.2000s", is_root ? "" : "/",
                     (int)all[at].name.len, (const char *)all[at].name.ptr, before);
            if (is_root)
                break;
        }
        if (!strcmp(text[1] == '/' ? text + 1 : text, path))
            return all[i].flags;
    }
    return -1;
}

static int flags_in(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", proj, name);
    return flags(path);
}

TEST(words)
{
    launch(proj, "", "program", "sub/file", "-other");
    assert_int_equal(flags_in("sub/file"), MFS_PROFILE_OPEN);
    assert_int_equal(flags_in("sub"), 0);
    assert_int_equal(flags_in("other"), -1);
    launch(proj, "", "program", "sub", "absent");
    assert_int_equal(flags_in("sub"), MFS_PROFILE_LIST);
    assert_int_equal(flags_in("absent"), -1);
    launch(proj, "", "program", "absent", "../outside");
    assert_int_equal(len, 0);
    launch(proj, "", "program", "link/file", "self");
    assert_int_equal(flags_in("link"), MFS_PROFILE_LINK);
    assert_int_equal(flags_in("sub/file"), MFS_PROFILE_OPEN);
    assert_int_equal(flags_in("link/file"), -1);
    assert_int_equal(flags_in("self"), -1); /* leads nowhere */
}

TEST(text_of_a_shell)
{
    launch(proj, "", "/bin/sh", "-c", "cat < sub/file>other;true");
    assert_int_equal(flags_in("sub/file"), MFS_PROFILE_OPEN);
    assert_int_equal(flags_in("other"), -1); /* it is written */
    launch(proj, "", "/bin/sh", "-c", "cat <sub/file > other; cat 'other'");
    assert_int_equal(flags_in("other"), MFS_PROFILE_OPEN);
    launch(proj, "", "program", "-c", "cat sub/file");
    assert_int_equal(len, 0);
}

TEST(programs)
{
    char search[256], real[PATH_MAX];
    /* All is the head's: a script, its interpreter, what that needs. */
    snprintf(search, sizeof search, "%s/absent:%s/bin", proj, proj);
    launch("/", search, "script", NULL, NULL);
    assert_int_equal(flags_in("bin/script"), MFS_PROFILE_OPEN);
    assert_non_null(realpath("/bin/sh", real));
    assert_int_equal(flags(real), MFS_PROFILE_OPEN);
    if (access("/etc/ld.so.cache", F_OK) == 0) { /* it may be linked statically elsewhere */
        assert_int_equal(flags("/etc/ld.so.cache"), MFS_PROFILE_OPEN);
        int libraries = 0;
        struct rd r = rd_of(room, len);
        struct mfs_profile_entry e;
        assert_ok(mfs_profile_begin(&r));
        for (size_t i = 0; mfs_profile_next(&r, i, &e) == 1; i++)
            libraries +=
                e.name.len > 5 && !memcmp(e.name.ptr, "libc", 4) && e.flags & MFS_PROFILE_OPEN;
        assert_true(libraries >= 1);
    }
    /* The interpreter is the target's. */
    launch(proj, search, "script", NULL, NULL);
    assert_int_equal(flags_in("bin/script"), MFS_PROFILE_OPEN);
    assert_int_equal(flags(real), -1);
    /* So is the program. */
    launch(proj, "/bin:/usr/bin", "sh", NULL, NULL);
    assert_int_equal(len, 0);
    launch("/", search, "loop", NULL, NULL); /* neither of both */
    assert_int_equal(flags_in("bin/loop"), MFS_PROFILE_OPEN);
}

TEST(bounds)
{
    char text[8192];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    launch(proj, text, "program", text, text);
    assert_int_equal(len, 0);
    launch(proj, "", "/bin/sh", "-c", text);
    assert_int_equal(len, 0);
    launch(proj, NULL, text, NULL, NULL);
    assert_int_equal(len, 0);
    for (size_t i = 0; i + 9 < sizeof text; i += 9)
        memcpy(text + i, "sub/file ", 9);
    launch(proj, "", "/bin/sh", "-c", text);
    assert_int_equal(flags_in("sub/file"), MFS_PROFILE_OPEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(words),
                                        cmocka_unit_test(text_of_a_shell),
                                        cmocka_unit_test(programs), cmocka_unit_test(bounds) };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
