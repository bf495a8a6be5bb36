/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_hostkey.c: known_hosts lines and what they make of a key. Keys are short inventions:
 * only the type in front matters. */
#include "tests/lib/unit.h"

#include "common/base/base64.h"
#include "mrc/hostkey.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/test_hostkey.XXXXXX";
static char known[64], global[64];
static struct mrc_sshconf conf;

static int begin(void **state)
{
    (void)state;
    memcpy(dir + strlen(dir) - 6, "XXXXXX", 6);
    if (!mkdtemp(dir))
        return -1;
    snprintf(known, sizeof known, "%s/known", dir);
    snprintf(global, sizeof global, "%s/global", dir);
    mrc_sshconf_defaults(&conf);
    conf.alias = conf.hostname = "host";
    conf.user_known_hosts.count = conf.global_known_hosts.count = 1;
    conf.user_known_hosts.item[0] = known;
    conf.global_known_hosts.item[0] = global;
    return 0;
}

static int end(void **state)
{
    (void)state;
    unlink(known);
    unlink(global);
    return rmdir(dir);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void read_file(const char *path, char *text, size_t size)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, size - 1, f)] = 0;
    fclose(f);
}

/* A blob of the type whose key is the letter. */
static size_t blob_of(uint8_t *out, const char *type, char letter)
{
    size_t n = strlen(type);
    memset(out, 0, 4);
    out[3] = (uint8_t)n;
    memcpy(out + 4, type, n);
    memset(out + 4 + n, letter, 16);
    return n + 20;
}

static const char *text_of(const char *type, char letter)
{
    static char text[8][128];
    static int next;
    uint8_t raw[128];
    char *out = text[next++ % 8];
    assert_ok(base64_encode(out, sizeof text[0], raw, blob_of(raw, type, letter)));
    return out;
}

static struct mrc_hostkey_answer check(const char *type, char letter)
{
    struct mrc_hostkey_answer a;
    uint8_t raw[128];
    mrc_hostkey_check(&conf, raw, blob_of(raw, type, letter), &a);
    return a;
}

#define ED "ssh-ed25519"
#define EC "ecdsa-sha2-nistp256"

TEST(verdicts)
{
    char text[2048];
    assert_int_equal(check(ED, 'a').verdict, MRC_HOSTKEY_UNKNOWN); /* no file at all */
    snprintf(text, sizeof text,
             "# comment\n\nother %s %s\nhost,10.0.0.1 %s %s comment words\n@revoked * %s %s\n",
             ED, text_of(ED, 'x'), ED, text_of(ED, 'a'), ED, text_of(ED, 'r'));
    write_file(known, text);
    struct mrc_hostkey_answer a = check(ED, 'a');
    assert_int_equal(a.verdict, MRC_HOSTKEY_KNOWN);
    assert_int_equal(a.line, 4);
    assert_string_equal(a.file, known);
    a = check(ED, 'b');
    assert_int_equal(a.verdict, MRC_HOSTKEY_CHANGED);
    assert_int_equal(a.line, 4);
    a = check(EC, 'b');
    assert_int_equal(a.verdict, MRC_HOSTKEY_UNKNOWN);
    assert_true(a.has_other_types);
    a = check(ED, 'r');
    assert_int_equal(a.verdict, MRC_HOSTKEY_REVOKED);
    assert_int_equal(a.line, 5);
}

TEST(one_good_line_is_enough_but_not_against_a_revocation)
{
    char text[2048];
    snprintf(text, sizeof text, "host %s %s\nhost %s %s\n", ED, text_of(ED, 'a'), ED,
             text_of(ED, 'b'));
    write_file(known, text);
    assert_int_equal(check(ED, 'b').verdict, MRC_HOSTKEY_KNOWN);
    snprintf(text, sizeof text, "@revoked host %s %s\n", ED, text_of(ED, 'b'));
    write_file(global, text);
    assert_int_equal(check(ED, 'b').verdict, MRC_HOSTKEY_REVOKED);
}

TEST(authorities)
{
    char text[2048];
    snprintf(text, sizeof text, "@cert-authority *.example,ho?t %s %s\n", ED, text_of(ED, 'c'));
    write_file(global, text);
    assert_int_equal(check(ED, 'a').verdict, MRC_HOSTKEY_CA);
    assert_int_equal(check(ED, 'c').verdict,
                     MRC_HOSTKEY_CA); /* the authority is not the host */
    struct mrc_hostkey_types t;
    mrc_hostkey_types(&conf, &t);
    assert_true(t.has_ca);
    assert_int_equal(t.count, 0);
}

TEST(malformed_lines_make_nothing_known)
{
    char text[4096];
    snprintf(text, sizeof text,
             "host\nhost %s\nhost %s\n@strange host %s %s\n|1|x|y %s %s\n|1||= %s %s\n "
             "host\t%s\t%s\n",
             ED, text_of(ED, 'a'), ED, text_of(ED, 'a'), ED, text_of(ED, 'a'), ED,
             text_of(ED, 'a'), ED, text_of(ED, 'z'));
    write_file(known, text);
    assert_int_equal(check(ED, 'a').verdict,
                     MRC_HOSTKEY_CHANGED); /* by the last, blanks and all */
    assert_int_equal(check(ED, 'z').verdict, MRC_HOSTKEY_KNOWN);
    /* A line too long to be read, then a good one. */
    FILE *f = fopen(known, "w");
    assert_non_null(f);
    for (int i = 0; i < 100000; i++)
        fputs("host,", f);
    fprintf(f, " %s %s\nhost %s %s\n", ED, text_of(ED, 'l'), ED, text_of(ED, 'a'));
    fclose(f);
    struct mrc_hostkey_answer a = check(ED, 'a');
    assert_int_equal(a.verdict, MRC_HOSTKEY_KNOWN);
    assert_int_equal(a.line, 2);
    assert_int_equal(check(ED, 'l').verdict, MRC_HOSTKEY_CHANGED);
}

TEST(host_fields)
{
    static const struct {
        const char *hosts, *name;
        bool is_match;
    } cases[] = {
        { "a", "a", true },
        { "A", "a", true },
        { "a,b", "b", true },
        { "ab", "a", false },
        { "*", "anything", true },
        { "*.x", "y.x", true },
        { "*.x", "yx", false },
        { "a?c", "abc", true },
        { "a?c", "ac", false },
        { "*,!b", "b", false },
        { "!b,*", "b", false },
        { "!b,*", "c", true },
        { "!b", "c", false },
        { "[h]:22", "[h]:22", true },
        { "", "a", false },
        { ",,", "a", false },
        { "*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false },
        /* printed by ssh-keygen -H for "host" */
        { "|1|+uGzOKtkD8yPlMsSW2ufwbVn46w=|yhZwv4+fPzZlhDQPs/ZQFP1z0r8=", "host", true },
        { "|1|+uGzOKtkD8yPlMsSW2ufwbVn46w=|yhZwv4+fPzZlhDQPs/ZQFP1z0r8=", "hosu", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (mrc_known_matches(cases[i].hosts, cases[i].name) != cases[i].is_match)
            fail_msg("%s against %s", cases[i].hosts, cases[i].name);
}

TEST(ports)
{
    char text[1024];
    conf.port = "2222";
    snprintf(text, sizeof text, "[host]:2222 %s %s\nhost %s %s\n", ED, text_of(ED, 'p'), EC,
             text_of(EC, 'h'));
    write_file(known, text);
    assert_int_equal(check(ED, 'p').verdict, MRC_HOSTKEY_KNOWN);
    assert_int_equal(check(EC, 'h').verdict, MRC_HOSTKEY_KNOWN);   /* known without the port */
    assert_int_equal(check(EC, 'x').verdict, MRC_HOSTKEY_UNKNOWN); /* but not changed by it */
}

TEST(remembering)
{
    uint8_t raw[128];
    struct err e = { 0 };
    char text[2048];
    size_t len = blob_of(raw, ED, 'a');
    write_file(known, "other line without its end");
    assert_ok(mrc_hostkey_remember(&conf, raw, len, &e));
    assert_ok(mrc_hostkey_remember(&conf, raw, len, &e)); /* once only */
    read_file(known, text, sizeof text);
    char want[512];
    snprintf(want, sizeof want, "other line without its end\nhost %s %s\n", ED,
             text_of(ED, 'a'));
    assert_string_equal(text, want);
    unlink(known);
    conf.hashes_known_hosts = true;
    assert_ok(mrc_hostkey_remember(&conf, raw, len, &e));
    read_file(known, text, sizeof text);
    assert_int_equal(memcmp(text, "|1|", 3), 0);
    assert_null(strstr(text, "host"));
    assert_int_equal(check(ED, 'a').verdict, MRC_HOSTKEY_KNOWN);
    struct stat st;
    assert_int_equal(stat(known, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    conf.user_known_hosts.item[0] = "/proc/none/known";
    assert_true(mrc_hostkey_remember(&conf, raw, len, &e) < 0);
    assert_has(e.text, "/proc/none/known");
}

TEST(types)
{
    uint8_t raw[128];
    char type[MRC_HOSTKEY_TYPE_BYTES];
    size_t len = blob_of(raw, ED, 'a');
    assert_ok(mrc_hostkey_type(raw, len, type, sizeof type));
    assert_string_equal(type, ED);
    assert_error(mrc_hostkey_type(raw, 3, type, sizeof type), EPROTO);
    assert_error(mrc_hostkey_type(raw, 10, type, sizeof type), EPROTO);
    raw[0] = 0xff;
    assert_error(mrc_hostkey_type(raw, len, type, sizeof type), EPROTO);
    char text[1024];
    snprintf(text, sizeof text, "host %s %s\nhost %s %s\nhost %s %s\n", EC, text_of(EC, 'a'),
             ED, text_of(ED, 'a'), EC, text_of(EC, 'b'));
    write_file(known, text);
    struct mrc_hostkey_types t;
    mrc_hostkey_types(&conf, &t);
    assert_int_equal(t.count, 2);
    assert_string_equal(t.name[0], EC);
    assert_string_equal(t.name[1], ED);
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
UNIT_MAIN(T(verdicts), T(one_good_line_is_enough_but_not_against_a_revocation), T(authorities),
          T(malformed_lines_make_nothing_known), T(host_fields), T(ports), T(remembering),
          T(types))
