/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_keyfile.c: files of keys: what is written is read, of what is wrong the line is said,
 * secrets that others can read are refused, and a crash while writing leaves the old file. */
#include "gossip/keyfile.h"
#include "tests/lib/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/mosix-keys.XXXXXX", path[64], beside[80];

static int setup(void **state UNUSED)
{
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
    snprintf(beside, sizeof beside, "%s.new", path);
    return 0;
}

static int teardown(void **state UNUSED)
{
    unlink(path);
    unlink(beside);
    assert_int_equal(rmdir(folder), 0); /* nothing else was left */
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    return 0;
}

static unsigned mode_of(const char *name)
{
    struct stat st;
    assert_int_equal(stat(name, &st), 0);
    return st.st_mode & 07777;
}

static void put_text(const char *text, unsigned mode)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

TEST(each_kind)
{
    uint8_t in[2 * GSP_RECORD_FILE_MAX], out[3 * GSP_RECORD_FILE_MAX];
    struct err e = { "" };
    for (unsigned i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)(i * 37);
    for (unsigned kind = 0; kind < GSP_FILE_KINDS; kind++) {
        size_t bytes = gsp_keyfile_bytes(kind);
        assert_ok(gsp_keyfile_write(path, kind, in, 2, false, &e));
        bool is_secret =
            kind == GSP_FILE_OWNER || kind == GSP_FILE_NODE || kind == GSP_FILE_EPOCH;
        assert_int_equal(mode_of(path), is_secret ? 0600 : 0644);
        assert_int_equal(gsp_keyfile_read(path, kind, 3, out, &e), 2);
        assert_memory_equal(in, out, 2 * bytes);
        assert_error(gsp_keyfile_read_one(path, kind, out, &e), ENOSPC);
        /* As a kind that it is not; that one may be a secret. */
        assert_int_equal(chmod(path, 0600), 0);
        assert_error(gsp_keyfile_read_one(path, (kind + 1) % GSP_FILE_KINDS, out, &e), EINVAL);
        assert_has(e.text, "line 1: should say 'mosix ");
        /* Others' eyes. */
        assert_int_equal(chmod(path, 0640), 0);
        if (is_secret) {
            assert_error(gsp_keyfile_read(path, kind, 3, out, &e), EPERM);
            assert_has(e.text, "chmod 600");
        } else {
            assert_int_equal(gsp_keyfile_read(path, kind, 3, out, &e), 2);
        }
    }
}

TEST(what_is_wrong)
{
    uint8_t out[GSP_RECORD_FILE_MAX];
    struct err e = { "" };
    static const char *const wrong[] = { "mosix owner 1\n12\n", "mosix owner 1\n\n",
                                         "mosix owner 2\n", "owner\n", "" };
    assert_error(gsp_keyfile_read_one(path, GSP_FILE_OWNER_PUBLIC, out, &e), ENOENT);
    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
        put_text(wrong[i], 0644);
        assert_error(gsp_keyfile_read_one(path, GSP_FILE_OWNER_PUBLIC, out, &e), EINVAL);
    }
    put_text(
        "mosix owner 1\n00112233445566778899aabbccddeeff00112233445566778899aabbccddeegg\n",
        0644);
    assert_error(gsp_keyfile_read_one(path, GSP_FILE_OWNER_PUBLIC, out, &e), EINVAL);
    assert_has(e.text, "line 2: should be 64 hexadecimal digits");
    put_text("mosix owner 1\n", 0644);
    assert_error(gsp_keyfile_read_one(path, GSP_FILE_OWNER_PUBLIC, out, &e), EINVAL);
    assert_has(e.text, "is empty");
    put_text("mosix owner 1\n00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
             0644);
    assert_ok(gsp_keyfile_read_one(path, GSP_FILE_OWNER_PUBLIC, out, &e));
    assert_int_equal(out[31], 0xff);
}

TEST(new_files_stay)
{
    uint8_t one[GSP_RECORD_FILE_MAX] = { 1 }, two[GSP_RECORD_FILE_MAX] = { 2 }, out[sizeof one];
    struct err e = { "" };
    assert_ok(gsp_keyfile_write(path, GSP_FILE_NODE, one, 1, true, &e));
    assert_error(gsp_keyfile_write(path, GSP_FILE_NODE, two, 1, true, &e), EEXIST);
    assert_has(e.text, "was left as it is");
    assert_ok(gsp_keyfile_read_one(path, GSP_FILE_NODE, out, &e));
    assert_int_equal(out[0], 1);
    assert_int_equal(access(beside, F_OK), -1);
}

/* A disk that is full in the middle, and a process that is killed there. */
TEST(a_crash_leaves_the_old_file)
{
    uint8_t out[GSP_RECORD_FILE_MAX], one[sizeof out] = { 1 }, two[sizeof out] = { 2 };
    struct err e = { "" };
    assert_ok(gsp_keyfile_write(path, GSP_FILE_NODE, one, 1, false, &e));
    for (unsigned is_killed = 0; is_killed < 2; is_killed++) {
        pid_t pid = fork();
        if (pid == 0) {
            struct rlimit limit = { 50, 50 }; /* bytes of a file */
            setrlimit(RLIMIT_FSIZE, &limit);
            signal(SIGXFSZ, is_killed ? SIG_DFL : SIG_IGN);
            int rc = gsp_keyfile_write(path, GSP_FILE_NODE, two, 1, false, &e);
            _exit(rc == -EFBIG && access(beside, F_OK) < 0 ? 0 : 1);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(is_killed ? WIFSIGNALED(status)
                              : WIFEXITED(status) && !WEXITSTATUS(status));
        assert_ok(gsp_keyfile_read_one(path, GSP_FILE_NODE, out, &e));
        assert_int_equal(out[0], 1);
    }
    /* What is left of it is no hindrance. */
    assert_int_equal(access(beside, F_OK), 0);
    assert_ok(gsp_keyfile_write(path, GSP_FILE_NODE, two, 1, false, &e));
    assert_ok(gsp_keyfile_read_one(path, GSP_FILE_NODE, out, &e));
    assert_int_equal(out[0], 2);
}

#define FILES(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
UNIT_MAIN(FILES(each_kind), FILES(what_is_wrong), FILES(new_files_stay),
          FILES(a_crash_leaves_the_old_file))
