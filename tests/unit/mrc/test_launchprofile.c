/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_launchprofile.c: the files of launch profiles: which command gets which, damage, bounds. */
#include "tests/lib/unit.h"

#include "mrc/launchprofile.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char cache[64];
static uint8_t room[MFS_PROFILE_MAX];
static char cwd[] = "/home/a/proj", tree[] = "/home/a";

static struct bytes profile_of(const char *name)
{
    size_t count = 0;
    struct wr w = wr_of(room, sizeof room);
    mfs_profile_put_begin(&w);
    struct mfs_profile_entry root = { .parent = MFS_PROFILE_ROOT, .name = bytes_of("/home/a") };
    struct mfs_profile_entry e = { .flags = MFS_PROFILE_OPEN, .name = bytes_of(name) };
    assert_true(mfs_profile_put(&w, &count, &root));
    assert_true(mfs_profile_put(&w, &count, &e));
    return (struct bytes){ room, (uint32_t)wr_len(&w) };
}

static void load(struct mrc_profile *p, const char *program, const char *word)
{
    char *command[] = { (char *)(uintptr_t)program, (char *)(uintptr_t)word, NULL };
    struct mrc_options o = { .command = command, .consistency = CONSISTENCY_LEASE };
    static struct mrc_trees t;
    t.cwd = cwd;
    t.exports[0].path = tree;
    t.export_count = 1;
    mrc_profile_load(p, &o, &t);
}

/* The name of the file in the profile that is given, or "". */
static void assert_given(const char *program, const char *word, const char *name)
{
    struct mrc_profile p;
    load(&p, program, word);
    assert_true(p.is_on);
    if (p.given.len) {
        struct bytes want = profile_of(name);
        assert_int_equal(p.given.len, want.len);
        assert_memory_equal(p.given.ptr, want.ptr, want.len);
    } else {
        assert_string_equal(name, "");
    }
    mrc_profile_fini(&p);
}

static void save(const char *program, const char *word, const char *name)
{
    struct mrc_profile p;
    load(&p, program, word);
    mrc_profile_save(&p, profile_of(name));
    mrc_profile_fini(&p);
}

static void path_of(const struct mrc_profile *p, int i, char *path, size_t size)
{
    snprintf(path, size, "%s/mrc/profiles/%s", cache, p->names[i]);
}

static size_t files(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/mrc/profiles", cache);
    DIR *d = opendir(path);
    assert_non_null(d);
    size_t count = 0;
    const struct dirent *e;
    while ((e = readdir(d)))
        count += e->d_name[0] != '.';
    closedir(d);
    return count;
}

TEST(by_command_then_by_program)
{
    assert_given("python3", "a.py", "");
    save("python3", "a.py", "a");
    assert_given("python3", "a.py", "a");
    assert_given("python3", "b.py", "a"); /* its program's last one */
    assert_given("perl", "a.py", "");
    save("python3", "b.py", "b");
    assert_given("python3", "a.py", "a");
    assert_given("python3", "c.py", "b");
    cwd[6]++; /* another directory */
    assert_given("python3", "a.py", "");
    cwd[6]--;
    struct mrc_profile p;
    struct stat st;
    char path[256];
    load(&p, "python3", "a.py");
    path_of(&p, 0, path, sizeof path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    mrc_profile_fini(&p);
}

TEST(what_is_damaged_is_not_used)
{
    struct mrc_profile p;
    char path[256];
    save("sh", "x", "x");
    load(&p, "sh", "x");
    for (int i = 0; i < 2; i++) {
        path_of(&p, i, path, sizeof path);
        FILE *f = fopen(path, "we");
        assert_non_null(f);
        fputs("mrcp\1what is this", f);
        fclose(f);
    }
    assert_given("sh", "x", "");
    save("sh", "x", "y"); /* and is replaced */
    assert_given("sh", "x", "y");
    for (int i = 0; i < 2; i++) { /* others could have written it */
        path_of(&p, i, path, sizeof path);
        assert_int_equal(chmod(path, 0644), 0);
    }
    assert_given("sh", "x", "");
    for (int i = 0; i < 2; i++) { /* a name that leads elsewhere, a fifo */
        path_of(&p, i, path, sizeof path);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(i ? mkfifo(path, 0600) : symlink("/etc/passwd", path), 0);
    }
    assert_given("sh", "x", "");
    save("sh", "x", "z");
    assert_given("sh", "x", "z");
    /* What a target says that is no profile isn't kept. */
    mrc_profile_save(&p, (struct bytes){ (const uint8_t *)"mrcp\1??", 7 });
    assert_given("sh", "x", "z");
    mrc_profile_fini(&p);
}

TEST(the_oldest_go)
{
    char word[16];
    for (int i = 0; i < MRC_PROFILES_MAX + 20; i++) {
        snprintf(word, sizeof word, "%d", i);
        save("many", word, "m");
    }
    assert_true(files() <= MRC_PROFILES_MAX);
    struct mrc_profile p;
    char path[256];
    load(&p, "many", "0");
    path_of(&p, 0, path, sizeof path);
    assert_int_equal(access(path, F_OK), -1);
    mrc_profile_fini(&p);
    load(&p, "many", word);
    path_of(&p, 0, path, sizeof path);
    assert_int_equal(access(path, F_OK), 0);
    mrc_profile_fini(&p);
}

TEST(off)
{
    char *command[] = { (char *)(uintptr_t)"sh", NULL };
    struct mrc_options o = { .command = command,
                             .consistency = CONSISTENCY_LEASE,
                             .no_profile = true };
    struct mrc_trees t = { .cwd = cwd, .export_count = 1 };
    struct mrc_profile p;
    t.exports[0].path = tree;
    mrc_profile_load(&p, &o, &t);
    assert_false(p.is_on);
    size_t before = files();
    mrc_profile_save(&p, profile_of("q"));
    assert_int_equal(files(), before);
    /* Without a place for them nothing is kept, and nothing fails. */
    setenv("XDG_CACHE_HOME", "/dev/null/nowhere", 1);
    save("sh", "x", "x");
    assert_given("sh", "x", "");
}

int main(void)
{
    snprintf(cache, sizeof cache, "/tmp/test-launchprofile.XXXXXX");
    if (!mkdtemp(cache) || setenv("XDG_CACHE_HOME", cache, 1) < 0)
        return 99;
    const struct CMUnitTest tests[] = { cmocka_unit_test(by_command_then_by_program),
                                        cmocka_unit_test(what_is_damaged_is_not_used),
                                        cmocka_unit_test(the_oldest_go), cmocka_unit_test(off) };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", cache);
    return system(command) == 0 ? rc : 99;
}
