/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/sys/title.h"

#include "tests/lib/unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static size_t read_file(const char *path, char *text, size_t size)
{
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, size - 1, f) : 0;
    if (f)
        fclose(f);
    text[n] = '\0';
    return n;
}

/* In a child: cmocka's own words are of the parent. */
static int in_child(const char *title, const char *starts_with)
{
    pid_t pid = fork();
    if (pid == 0) {
        char before[4096], after[4096], name[64];
        size_t n = read_file("/proc/self/cmdline", before, sizeof before);
        title_set(title);
        size_t m = read_file("/proc/self/cmdline", after, sizeof after);
        read_file("/proc/self/comm", name, sizeof name);
        size_t len = strlen(starts_with);
        size_t got = strlen(after);
        bool is_shown = n > 1 && m > 0 && (got == len || (len >= n && got >= n - 1)) &&
                        !strncmp(after, starts_with, got);
        bool is_named = !strncmp(name, title, strlen(name) - 1);
        _exit(is_shown && is_named ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

TEST(short_one)
{
    assert_int_equal(in_child("ab", "ab"), 0);
}

TEST(long_one_is_cut)
{
    static char text[8192];
    memset(text, 'x', sizeof text - 1);
    assert_int_equal(in_child(text, text), 0);
}

/* Of a daemon that was started by its bare name: what its children are called is longer, and
 * others read it whole. */
TEST(longer_than_the_command_line)
{
    pid_t pid = fork();
    if (pid == 0) {
        char name[] = "d", title[] = "TITLE=mosixd: hands 4194303", kept[] = "KEPT=as it was";
        char *argv[] = { name, NULL }, *env[] = { title, kept, NULL };
        execve("/proc/self/exe", argv, env);
        _exit(2);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static int as_daemon(void)
{
    char title[64], after[256];
    for (int i = 0; i < 2; i++) { /* twice: the second finds the first one's */
        snprintf(title, sizeof title, "%s", getenv("TITLE"));
        title_set(title);
        read_file("/proc/self/cmdline", after, sizeof after);
        if (strcmp(after, title) || strcmp(getenv("KEPT"), "as it was"))
            return 1;
    }
    title_set("");
    read_file("/proc/self/cmdline", after, sizeof after);
    return after[0] ? 1 : 0;
}

__attribute__((constructor)) static void be_daemon(void)
{
    if (getenv("TITLE"))
        _exit(as_daemon());
}

TEST(environment_is_gone)
{
    assert_int_equal(setenv("LATER", "x", 1), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char before[8192], after[8192];
        size_t n = read_file("/proc/self/environ", before, sizeof before);
        title_drop_environment();
        size_t m = read_file("/proc/self/environ", after, sizeof after);
        bool is_gone = n > 1 && before[0] && !getenv("PATH") && !getenv("LATER");
        for (size_t i = 0; i < m; i++)
            is_gone = is_gone && !after[i];
        _exit(is_gone ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

UNIT_MAIN(cmocka_unit_test(short_one), cmocka_unit_test(long_one_is_cut),
          cmocka_unit_test(longer_than_the_command_line), cmocka_unit_test(environment_is_gone))
