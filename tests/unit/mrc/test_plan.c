/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_plan.c: the steps of a view, for targets that are lists of paths. */
#include "tests/lib/unit.h"

#include "mrc/agent/plan.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* One name of the target; type: 'd' directory, 't' shared temporary directory, 'x' directory
 * that we can't go through, 'f' file, 'l' link to a directory, 'b' link to nothing. Not listed:
 * not there. */
struct item {
    char type;
    const char *path;
};

static const struct item plain[] = {
    { 'd', "/" },         { 'd', "/home" },  { 'd', "/home/bob" }, { 'd', "/srv" },
    { 'd', "/srv/data" }, { 'd', "/usr" },   { 'd', "/proc" },     { 'd', "/sys" },
    { 'd', "/dev" },      { 'd', "/run" },   { 't', "/tmp" },      { 'd', "/tmp/old" },
    { 'f', "/tmp/file" }, { 'd', "/var" },   { 't', "/var/tmp" },  { 'x', "/root" },
    { 'f', "/srv/file" }, { 'l', "/links" }, { 'd', "/links/in" }, { 'b', "/broken" },
    { 'd', "/opt" },      { 'l', "/opt/l" }, { 'd', "/opt/l/in" },
};

static void look(void *ctx, const char *path, struct plan_node *out)
{
    (void)ctx;
    for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
        if (strcmp(plain[i].path, path))
            continue;
        char type = plain[i].type;
        out->exists = true;
        out->is_link = type == 'l' || type == 'b';
        out->is_dir = type != 'f' && type != 'b';
        out->is_shared_temp = type == 't';
        out->is_searchable = out->is_dir && type != 'x';
    }
}

static const struct plan_oracle target = { .look = look };

/* mounts: "h/path" head, "r/path" head read-only, "t/path" target, "s/path" scratch, "o/path"
 * overlay, separated by blanks. */
static int plan(bool is_root_view, const char *mounts, char *text, size_t size_bytes,
                struct err *e)
{
    static struct plan p;
    char copy[1024];
    snprintf(copy, sizeof copy, "%s", mounts);
    struct view_mount list[16];
    struct view_opts o = { .mounts = list, .is_root_view = is_root_view };
    for (char *at = strtok(copy, " "); at; at = strtok(NULL, " ")) {
        list[o.count] = (struct view_mount){
            .kind = *at == 't'   ? VIEW_TARGET
                    : *at == 's' ? VIEW_SCRATCH
                    : *at == 'o' ? VIEW_OVERLAY
                                 : VIEW_HEAD,
            .path = at + 1,
            .export_number = o.count,
            .is_read_only = *at == 'r',
        };
        o.count++;
    }
    int rc = plan_make(&o, &target, &p, e);
    if (rc == 0)
        assert_ok(plan_print(&p, text, size_bytes));
    return rc;
}

static void check(bool is_root_view, const char *mounts, const char *expected)
{
    char text[4096] = "";
    struct err e = { 0 };
    int rc = plan(is_root_view, mounts, text, sizeof text, &e);
    if (rc < 0)
        fail_msg("%s: %s", mounts, e.text);
    assert_string_equal(text, expected);
}

static void check_refused(bool is_root_view, const char *mounts, int errno_value,
                          const char *words)
{
    char text[4096];
    struct err e = { 0 };
    int rc = plan(is_root_view, mounts, text, sizeof text, &e);
    assert_int_equal(rc, -errno_value);
    assert_has(e.text, words);
}

TEST(home_that_exists_is_mounted_on)
{
    check(false, "h/home/bob", "skeleton /\nhead /home/bob\n");
}

TEST(home_that_is_missing_gets_a_skeleton)
{
    check(false, "h/home/ann", "skeleton /\nskeleton /home\nmkdir /home/ann\nhead /home/ann\n");
}

TEST(two_missing_homes_share_it)
{
    check(false, "h/home/ann/x h/home/ann/y h/home/eve",
          "skeleton /\n"
          "skeleton /home\nmkdir /home/eve\nhead /home/eve\n"
          "mkdir /home/ann/x\nhead /home/ann/x\n"
          "mkdir /home/ann/y\nhead /home/ann/y\n");
}

TEST(missing_top_directory_is_made_in_the_root)
{
    check(false, "h/data/set/one", "skeleton /\nmkdir /data/set/one\nhead /data/set/one\n");
}

TEST(missing_below_a_neighbour)
{
    check(false, "h/home/ann h/home/bob/deep/er",
          "skeleton /\nskeleton /home\nmkdir /home/ann\nhead /home/ann\n"
          "skeleton /home/bob\nmkdir /home/bob/deep/er\nhead /home/bob/deep/er\n");
}

TEST(head_inside_head_is_only_mounted)
{
    check(false, "h/home/bob/x/y h/home/bob",
          "skeleton /\nhead /home/bob\nhead /home/bob/x/y\n");
}

TEST(read_only_is_kept)
{
    check(false, "r/home/bob", "skeleton /\nhead /home/bob ro\n");
}

TEST(file_in_the_way_is_hidden)
{
    check(false, "h/srv/file/x",
          "skeleton /\nskeleton /srv\nmkdir /srv/file/x\nhead /srv/file/x\n");
}

TEST(directory_that_cant_be_entered)
{
    check(false, "h/root/proj",
          "skeleton /\nskeleton /root empty\nmkdir /root/proj\nhead /root/proj\n");
    check(false, "h/root", "skeleton /\nhead /root\n");
}

TEST(link_at_the_top_becomes_a_directory)
{
    check(false, "h/links/in", "skeleton /\nmkdir /links\nbind /links\nhead /links/in\n");
    check(false, "h/links/new/x",
          "skeleton /\nmkdir /links\nbind /links\nskeleton /links\n"
          "mkdir /links/new/x\nhead /links/new/x\n");
    check(false, "h/links", "skeleton /\nmkdir /links\nhead /links\n");
    check(false, "h/broken/x", "skeleton /\nmkdir /broken/x\nhead /broken/x\n");
}

TEST(link_further_down_becomes_a_directory)
{
    check(false, "h/opt/l/in",
          "skeleton /\nskeleton /opt\nmkdir /opt/l\nbind /opt/l\nhead /opt/l/in\n");
}

TEST(shared_temporary_directories_stay_writable)
{
    check(false, "h/tmp/proj", "skeleton /\nplace /tmp/proj\nhead /tmp/proj\n");
    check(false, "h/var/tmp/proj/a/b",
          "skeleton /\nplace /var/tmp/proj\nskeleton /var/tmp/proj empty\n"
          "mkdir /var/tmp/proj/a/b\nhead /var/tmp/proj/a/b\n");
    check(false, "h/tmp/old", "skeleton /\nplace /tmp/old\nhead /tmp/old\n");
    check(false, "h/tmp/old/new",
          "skeleton /\nplace /tmp/old\nskeleton /tmp/old\n"
          "mkdir /tmp/old/new\nhead /tmp/old/new\n");
    check(false, "h/tmp", "skeleton /\nhead /tmp\n");
    check_refused(false, "h/tmp/file", ENOTDIR, "in the way");
}

TEST(carve_out)
{
    check(false, "h/srv t/srv/data", "skeleton /\nhead /srv\ntarget /srv/data\n");
    check(false, "t/srv/data h/srv t/srv/file",
          "skeleton /\nhead /srv\ntarget /srv/data\ntarget /srv/file\n");
    check(false, "h/home/bob t/srv/data", "skeleton /\nhead /home/bob\n");
    check_refused(false, "h/srv t/srv/nothing", ENOENT, "no /srv/nothing");
    check(false, "h/srv t/srv/data h/srv/data/new",
          "skeleton /\nhead /srv\ntarget /srv/data\nskeleton /srv/data\n"
          "mkdir /srv/data/new\nhead /srv/data/new\n");
}

TEST(overlay)
{
    check(false, "o/srv", "skeleton /\nmerge /srv\n");
    check(false, "o/home/ann h/home/ann/y",
          "skeleton /\nskeleton /home\nmkdir /home/ann\nmerge /home/ann empty\n"
          "head /home/ann/y\n");
    check(false, "o/srv t/srv/data", "skeleton /\nmerge /srv\ntarget /srv/data\n");
    check_refused(false, "o/srv h/srv", EEXIST, "twice");
}

TEST(scratch)
{
    check(false, "s/home/bob h/home/bob", "skeleton /\nhead /home/bob\nscratch /home/bob\n");
    check(false, "h/home/bob s/home/bob/x s/srv",
          "skeleton /\nscratch /srv\nhead /home/bob\nscratch /home/bob/x\n");
    check_refused(false, "s/", EINVAL, "several trees");
}

TEST(root_view)
{
    check(true, "h/ t/srv/data",
          "head /\nbind /proc\nbind /sys\nbind /dev\nbind /run\nbind /tmp\ntarget /srv/data\n");
    check(true, "h/ h/tmp/proj/sub",
          "head /\nbind /proc\nbind /sys\nbind /dev\nbind /run\nbind /tmp\n"
          "place /tmp/proj\nskeleton /tmp/proj empty\nmkdir /tmp/proj/sub\nhead "
          "/tmp/proj/sub\n");
    check_refused(true, "h/home", EINVAL, "needs the head's /");
    check_refused(true, "", EINVAL, "needs the head's /");
}

TEST(refused)
{
    check_refused(false, "h/", EINVAL, "--view root");
    check_refused(false, "h/proc/x", EINVAL, "target's own");
    check_refused(false, "h/dev", EINVAL, "target's own");
    check_refused(false, "hhome", EINVAL, "clean");
    check_refused(false, "h/home/", EINVAL, "clean");
    check_refused(false, "h/home//x", EINVAL, "clean");
    check_refused(false, "h/home/../x", EINVAL, "clean");
    check_refused(false, "h/home/.", EINVAL, "clean");
    check_refused(false, "h/srv t/srv", EEXIST, "twice");
    check_refused(false, "s/srv s/srv", EEXIST, "twice");
    check_refused(false, "o/", EINVAL, "--overlay /");
    check(false, "h/device", "skeleton /\nmkdir /device\nhead /device\n");
}

TEST(long_names)
{
    char text[4096], path[PATH_MAX + 100];
    struct err e;
    struct view_mount m = { .kind = VIEW_HEAD, .path = path };
    struct view_opts o = { .mounts = &m, .count = 1 };
    static struct plan p;
    memset(path, 'a', sizeof path);
    path[0] = '/';
    path[NAME_MAX + 1] = 0;
    assert_ok(plan_make(&o, &target, &p, &e));
    assert_ok(plan_print(&p, text, sizeof text));
    assert_error(plan_print(&p, text, 20), ENOSPC);
    path[NAME_MAX + 1] = 'a';
    path[NAME_MAX + 2] = 0;
    assert_error(plan_make(&o, &target, &p, &e), EINVAL);
    memset(path, 'a', sizeof path);
    for (size_t i = 0; i < sizeof path - 1; i += 100)
        path[i] = '/';
    path[sizeof path - 1] = 0;
    assert_error(plan_make(&o, &target, &p, &e), EINVAL);
}

/* The most trees that a view can have, each as costly as can be. */
TEST(many_trees_fit)
{
    static struct plan p;
    static char paths[VIEW_MOUNTS_MAX + 1][40];
    static struct view_mount m[VIEW_MOUNTS_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(m); i++) {
        snprintf(paths[i], sizeof paths[i], "/tmp/n%zu/a/b", i);
        m[i] = (struct view_mount){ .kind = VIEW_HEAD, .path = paths[i] };
    }
    struct err e = { 0 };
    struct view_opts o = { .mounts = m, .count = VIEW_MOUNTS_MAX };
    assert_ok(plan_make(&o, &target, &p, &e));
    assert_int_equal(p.count, 1 + 4 * VIEW_MOUNTS_MAX);
    o.count++;
    assert_error(plan_make(&o, &target, &p, &e), ENOSPC);
}

TEST(skeleton_leaves_out_what_is_made)
{
    static struct plan p;
    struct view_mount m[] = { { .kind = VIEW_HEAD, .path = "/home/ann" },
                              { .kind = VIEW_HEAD, .path = "/data/set" } };
    struct view_opts o = { .mounts = m, .count = 2 };
    struct err e = { 0 };
    assert_ok(plan_make(&o, &target, &p, &e));
    assert_true(plan_makes(&p, "/home", 5, "ann"));
    assert_false(plan_makes(&p, "/home", 5, "an"));
    assert_false(plan_makes(&p, "/home", 5, "anna"));
    assert_true(plan_makes(&p, "/", 1, "data"));
    assert_false(plan_makes(&p, "/", 1, "home"));
    assert_false(plan_makes(&p, "/data", 5, "set"));
}

UNIT_MAIN(cmocka_unit_test(home_that_exists_is_mounted_on),
          cmocka_unit_test(home_that_is_missing_gets_a_skeleton),
          cmocka_unit_test(two_missing_homes_share_it),
          cmocka_unit_test(missing_top_directory_is_made_in_the_root),
          cmocka_unit_test(missing_below_a_neighbour),
          cmocka_unit_test(head_inside_head_is_only_mounted),
          cmocka_unit_test(read_only_is_kept), cmocka_unit_test(file_in_the_way_is_hidden),
          cmocka_unit_test(directory_that_cant_be_entered),
          cmocka_unit_test(link_at_the_top_becomes_a_directory),
          cmocka_unit_test(link_further_down_becomes_a_directory),
          cmocka_unit_test(shared_temporary_directories_stay_writable),
          cmocka_unit_test(carve_out), cmocka_unit_test(overlay), cmocka_unit_test(scratch),
          cmocka_unit_test(root_view), cmocka_unit_test(refused), cmocka_unit_test(long_names),
          cmocka_unit_test(many_trees_fit), cmocka_unit_test(skeleton_leaves_out_what_is_made))
