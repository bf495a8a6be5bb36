/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_settings.c: settings as text, of an environment and of a process; numbers of processes
 * that are used again. */
#include "tests/lib/unit.h"

#include "mosix-core/mosixd/settings.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

TEST(text)
{
    struct mx_settings s = { 0 };
    char out[MX_SETTINGS_TEXT_MAX];
    mx_settings_get(
        &s, "lock=1 memory=500 nothing=3 files= cpujob=2 every=9x sigmig=-1 = moves=7\n");
    mx_settings_put(&s, out);
    assert_string_equal(out, "lock=1 memory=500 moves=7");
    mx_settings_get(&s, "lock=0 memory=16777217 sigmig=64");
    mx_settings_put(&s, out);
    assert_string_equal(out, "memory=500 sigmig=64 moves=7");
    memset(&s, 0xff, sizeof s);
    mx_settings_put(&s, out); /* the longest fits */
    assert_non_null(strstr(out, "moves=4294967295"));
}

TEST(names)
{
    struct mx_settings s = { .memory = 3 };
    assert_int_equal(*mx_settings_find(&s, "memory"), 3);
    assert_null(mx_settings_find(&s, "mem"));
    assert_ok(mx_settings_check("lock", 1, NULL));
    assert_error(mx_settings_check("lock", 2, NULL), ERANGE);
    assert_error(mx_settings_check("moves", 1, NULL), ENOENT);
    assert_error(mx_settings_check("", 1, NULL), ENOENT);
}

static pid_t start(const char *settings)
{
    pid_t pid = fork();
    if (pid == 0) {
        setenv(MX_SETTINGS_VARIABLE, settings, 1);
        execl("/bin/sleep", "sleep", "100", (char *)NULL);
        _exit(1);
    }
    char path[40], comm[32] = "";
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    for (unsigned i = 0; i < 1000 && strcmp(comm, "sleep\n") != 0; i++) {
        FILE *f = fopen(path, "re");
        if (!f || !fgets(comm, sizeof comm, f))
            comm[0] = 0;
        if (f)
            fclose(f);
        usleep(1000);
    }
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

TEST(process)
{
    char run[] = "/tmp/mrc-settings.XXXXXX", path[128];
    struct mx_settings s;
    struct stat st;
    assert_non_null(mkdtemp(run));
    pid_t pid = start("lock=1 memory=5");
    mx_settings_read(&s, run, pid);
    assert_int_equal(s.lock, 1);
    assert_int_equal(s.memory, 5);
    /* What is changed goes before the environment, also to 0; the rest stays the environment's.
     */
    assert_ok(mx_settings_change(run, pid, "lock", 0, NULL));
    assert_ok(mx_settings_moved(run, pid, &s, NULL));
    assert_ok(mx_settings_moved(run, pid, &s, NULL));
    assert_int_equal(s.moves, 2);
    mx_settings_read(&s, run, pid);
    assert_int_equal(s.lock, 0);
    assert_int_equal(s.memory, 5);
    assert_int_equal(s.moves, 2);
    mx_settings_clean(run);
    mx_settings_path(run, pid, path);
    assert_int_equal(stat(path, &st), 0);
    /* A file of an older process with this number counts for nothing, and is taken away. */
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fprintf(f, "1 lock=0 memory=77\n");
    assert_int_equal(fclose(f), 0);
    mx_settings_read(&s, run, pid);
    assert_int_equal(s.lock, 1);
    assert_int_equal(s.memory, 5);
    mx_settings_clean(run);
    assert_int_equal(stat(path, &st), -1);
    assert_ok(mx_settings_change(run, pid, "files", 3, NULL));
    mx_settings_forget(run, pid);
    mx_settings_read(&s, run, pid);
    assert_int_equal(s.files, 0);
    assert_ok(mx_settings_change(run, pid, "files", 3, NULL));
    end(pid);
    mx_settings_clean(run);
    assert_int_equal(stat(path, &st), -1);
    assert_error(mx_settings_change(run, pid, "files", 3, NULL), ESRCH);
    snprintf(path, sizeof path, "%s/p", run);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(run), 0);
}

UNIT_MAIN(cmocka_unit_test(text), cmocka_unit_test(names), cmocka_unit_test(process))
