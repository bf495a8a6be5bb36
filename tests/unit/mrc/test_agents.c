/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_agents.c: which files are agents, for which computers; sums are right also when they are
 * remembered, and are not after the file has changed. */
#include "tests/lib/unit.h"

#include "common/sys/crypto.h"
#include "mrc/agents.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/test_agents.XXXXXX";
static char agent[64], sums[64];

static int begin(void **state)
{
    (void)state;
    memcpy(dir + strlen(dir) - 6, "XXXXXX", 6);
    if (!mkdtemp(dir))
        return -1;
    snprintf(agent, sizeof agent, "%s/agent", dir);
    snprintf(sums, sizeof sums, "%s/mrc/sums", dir);
    setenv("XDG_CACHE_HOME", dir, 1);
    setenv("MRC_AGENT", agent, 1);
    return 0;
}

static int end(void **state)
{
    (void)state;
    char sub[64];
    snprintf(sub, sizeof sub, "%s/mrc", dir);
    unlink(agent);
    unlink(sums);
    rmdir(sub);
    return rmdir(dir);
}

/* An agent for the machine: its header and some bytes. */
static void write_agent(uint16_t machine, char letter, size_t more)
{
    Elf64_Ehdr head = { .e_machine = machine };
    memcpy(head.e_ident, ELFMAG, SELFMAG);
    FILE *f = fopen(agent, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(&head, sizeof head, 1, f), 1);
    for (size_t i = 0; i < more; i++)
        fputc(letter, f);
    assert_int_equal(fclose(f), 0);
}

static void expect_hash(const struct mrc_agent_file *f)
{
    static char raw[1 << 16];
    char text[65];
    uint8_t hash[CRYPTO_SHA256_BYTES];
    FILE *file = fopen(agent, "r");
    assert_non_null(file);
    size_t n = fread(raw, 1, sizeof raw, file);
    fclose(file);
    crypto_sha256(hash, raw, n);
    for (size_t i = 0; i < sizeof hash; i++)
        snprintf(text + 2 * i, 3, "%02x", hash[i]);
    assert_string_equal(f->hash, text);
    assert_int_equal(f->len_bytes, n);
    assert_int_equal(f->cksum, mrc_cksum_end(mrc_cksum_add(0, raw, n), n));
}

TEST(kinds_of_files)
{
    static struct mrc_agents a;
    struct err e = { 0 };
    assert_error(mrc_agents_find(&a, &e), ENOENT);
    assert_has(e.text, agent);
    write_agent(EM_AARCH64, 'x', 5000);
    assert_ok(mrc_agents_find(&a, &e));
    assert_int_equal(a.count, 1);
    assert_string_equal(a.file[0].arch, "aarch64");
    assert_string_equal(a.file[0].path, agent);
    expect_hash(&a.file[0]);
    write_agent(EM_VAX, 'x', 5000);
    assert_error(mrc_agents_find(&a, &e), EIO);
    assert_has(e.text, "not an agent");
    assert_int_equal(truncate(agent, 10), 0);
    assert_error(mrc_agents_find(&a, &e), EIO);
}

TEST(architectures)
{
    static const struct {
        const char *arch, *said;
        bool is_for;
    } cases[] = { { "x86_64", "x86_64", true }, { "x86_64", "amd64", true },
                  { "x86_64", "x86", false },   { "x86_64", "i686", false },
                  { "i686", "i586", true },     { "armv7l", "armv7l", true },
                  { "armv7l", "armv8b", true }, { "aarch64", "arm64", true },
                  { "x86_64", "", false },      { "x86_64", "*", false } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        static struct mrc_agent_file f;
        snprintf(f.arch, sizeof f.arch, "%s", cases[i].arch);
        if (mrc_agent_is_for(&f, cases[i].said) != cases[i].is_for)
            fail_msg("%s on %s", cases[i].arch, cases[i].said);
    }
}

static void age(void) /* times long ago; ctime stays now, so the file is not settled */
{
    struct timespec t[2] = { { 1000000000, 0 }, { 1000000000, 0 } };
    assert_int_equal(utimensat(AT_FDCWD, agent, t, 0), 0);
}

TEST(a_file_just_written_is_not_remembered)
{
    static struct mrc_agents a;
    struct err e = { 0 };
    write_agent(EM_X86_64, 'a', 3000);
    age();
    assert_ok(mrc_agents_find(&a, &e));
    assert_int_not_equal(access(sums, F_OK), 0);
}

/* Writes the line that a settled file would have got. */
static void remember(const char *hash)
{
    struct stat st;
    char sub[64];
    snprintf(sub, sizeof sub, "%s/mrc", dir);
    (void)mkdir(sub, 0700);
    assert_int_equal(stat(agent, &st), 0);
    FILE *f = fopen(sums, "w");
    assert_non_null(f);
    fprintf(f, "other line\n%jx %jx %jd %jd.%09ld %jd.%09ld %s 77\nbroken",
            (uintmax_t)st.st_dev, (uintmax_t)st.st_ino, (intmax_t)st.st_size,
            (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (intmax_t)st.st_ctim.tv_sec,
            st.st_ctim.tv_nsec, hash);
    fclose(f);
}

TEST(what_is_remembered_counts_until_the_file_changes)
{
    static struct mrc_agents a;
    struct err e = { 0 };
    char hash[65];
    memset(hash, 'b', 64);
    hash[64] = 0;
    write_agent(EM_X86_64, 'a', 3000);
    remember(hash);
    assert_ok(mrc_agents_find(&a, &e));
    assert_string_equal(a.file[0].hash, hash);
    assert_int_equal(a.file[0].cksum, 77);
    int fd = open(agent, O_WRONLY); /* the same length, other bytes, old times put back */
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "zz", 2, 2000), 2);
    close(fd);
    age();
    assert_ok(mrc_agents_find(&a, &e));
    expect_hash(&a.file[0]);
    hash[10] = 'X'; /* no hash */
    remember(hash);
    assert_ok(mrc_agents_find(&a, &e));
    expect_hash(&a.file[0]);
    hash[10] = 0; /* too short */
    remember(hash);
    assert_ok(mrc_agents_find(&a, &e));
    expect_hash(&a.file[0]);
}

TEST(cksum)
{
    /* printf '' | cksum; printf 123456789 | cksum; head -c 1000 /dev/zero | cksum */
    static const uint8_t zeros[1000];
    assert_int_equal(mrc_cksum_end(0, 0), 4294967295u);
    assert_int_equal(mrc_cksum_end(mrc_cksum_add(0, "123456789", 9), 9), 930766865u);
    assert_int_equal(
        mrc_cksum_end(mrc_cksum_add(mrc_cksum_add(0, zeros, 300), zeros, 700), 1000),
        2610763910u);
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
UNIT_MAIN(T(kinds_of_files), cmocka_unit_test(architectures),
          T(a_file_just_written_is_not_remembered),
          T(what_is_remembered_counts_until_the_file_changes), cmocka_unit_test(cksum))
