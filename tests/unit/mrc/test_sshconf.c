/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_sshconf.c: what ssh -G prints is read; command lines; expansion of file names. */
#include "tests/lib/unit.h"

#include "mrc/sshconf.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void parse(struct mrc_sshconf *c, const char *text)
{
    mrc_sshconf_defaults(c);
    char *copy = strdup(text);
    assert_non_null(copy);
    mrc_sshconf_parse(c, copy);
}

TEST(lines_of_every_kind)
{
    struct mrc_sshconf c;
    parse(&c, "host alias\nuser bob\nhostname h.example\nport 2222\n"
              "identityfile ~/.ssh/a\nidentityfile \"not split\"\ncertificatefile /c\n"
              "userknownhostsfile /a \"/b c\" /d\nglobalknownhostsfile /etc/g\n"
              "stricthostkeychecking accept-new\nbatchmode yes\npubkeyauthentication false\n"
              "connecttimeout 7\nserveraliveinterval none\nserveralivecountmax 5\n"
              "proxycommand nc %h %p\r\nunheardof thing\nhashknownhosts yes\n\n   \nnovalue\n");
    assert_string_equal(c.user, "bob");
    assert_string_equal(c.hostname, "h.example");
    assert_string_equal(c.port, "2222");
    assert_int_equal(c.identities.count, 2);
    assert_string_equal(c.identities.item[0], "~/.ssh/a");
    assert_int_equal(c.certificates.count, 1);
    assert_int_equal(c.user_known_hosts.count, 3);
    assert_string_equal(c.user_known_hosts.item[1], "/b c");
    assert_string_equal(c.user_known_hosts.item[2], "/d");
    assert_int_equal(c.global_known_hosts.count, 1);
    assert_int_equal(c.strict, MRC_STRICT_ACCEPT_NEW);
    assert_true(c.is_batch);
    assert_false(c.has_pubkey);
    assert_true(c.hashes_known_hosts);
    assert_int_equal(c.connect_timeout_s, 7);
    assert_int_equal(c.alive_interval_s, 0);
    assert_int_equal(c.alive_count_max, 5);
    assert_string_equal(c.proxycommand, "nc %h %p");
    mrc_sshconf_fini(&c);
}

TEST(words_for_strict)
{
    static const struct {
        const char *word;
        enum mrc_strict strict;
    } cases[] = { { "yes", MRC_STRICT_YES },    { "true", MRC_STRICT_YES },
                  { "no", MRC_STRICT_NO },      { "false", MRC_STRICT_NO },
                  { "off", MRC_STRICT_NO },     { "ask", MRC_STRICT_ASK },
                  { "strange", MRC_STRICT_ASK } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char line[64];
        struct mrc_sshconf c;
        snprintf(line, sizeof line, "stricthostkeychecking %s\n", cases[i].word);
        parse(&c, line);
        assert_int_equal(c.strict, cases[i].strict);
        mrc_sshconf_fini(&c);
    }
}

TEST(lists_are_bounded)
{
    static const char line[] = "identityfile /some/key\n";
    char text[60 * sizeof line] = "";
    for (int i = 0; i < 60; i++)
        snprintf(text + strlen(text), sizeof line, "%s", line);
    struct mrc_sshconf c;
    parse(&c, text);
    assert_int_equal(c.identities.count, MRC_SSHCONF_LIST_MAX);
    mrc_sshconf_fini(&c);
}

TEST(command_line)
{
    const char *identities[] = { "/k" }, *options[] = { "Compression=yes", "Port=1" };
    const struct mrc_transport_opts o = { .host = "h",
                                          .user = "u",
                                          .port = "5",
                                          .config_file = "/f",
                                          .jump = "j",
                                          .identities = identities,
                                          .identity_count = 1,
                                          .ssh_options = options,
                                          .ssh_option_count = 2,
                                          .is_batch = true };
    static const char *const extra[] = { "-G", NULL };
    const char *argv[64];
    char joined[256] = "";
    int n = mrc_sshconf_argv(&o, extra, argv, 63);
    assert_true(n > 0);
    assert_null(argv[n]);
    for (int i = 1; i < n; i++) {
        size_t used = strlen(joined);
        snprintf(joined + used, sizeof joined - used, "%s ", argv[i]);
    }
    assert_string_equal(joined, "-G -o Compression=yes -o Port=1 -i /k -F /f -J j -l u -p 5 "
                                "-o BatchMode=yes -- h ");
    assert_error(mrc_sshconf_argv(&o, extra, argv, 5), E2BIG);
}

static struct mrc_sshconf sample(void)
{
    struct mrc_sshconf c;
    mrc_sshconf_defaults(&c);
    c.alias = "Alias";
    c.hostname = "Host.example";
    c.port = "2222";
    c.user = "bob";
    return c;
}

TEST(expansion)
{
    struct mrc_sshconf c = sample();
    char out[128];
    setenv("HOME", "/home/me", 1);
    setenv("SOME", "thing", 1);
    unsetenv("NONE");
    assert_ok(mrc_sshconf_expand(&c, "~/k-%h-%n-%p-%r-%%-${SOME}", out, sizeof out));
    assert_string_equal(out, "/home/me/k-Host.example-Alias-2222-bob-%-thing");
    assert_ok(mrc_sshconf_expand(&c, "%d/x", out, sizeof out));
    assert_string_equal(out, "/home/me/x");
    assert_ok(mrc_sshconf_expand(&c, "a~/b$c", out, sizeof out));
    assert_string_equal(out, "a~/b$c");
    assert_error(mrc_sshconf_expand(&c, "%Q", out, sizeof out), EINVAL);
    assert_error(mrc_sshconf_expand(&c, "end%", out, sizeof out), EINVAL);
    assert_error(mrc_sshconf_expand(&c, "${NONE}", out, sizeof out), EINVAL);
    assert_error(mrc_sshconf_expand(&c, "${SOME", out, sizeof out), EINVAL);
    assert_error(mrc_sshconf_expand(&c, "12345678", out, 8), ENAMETOOLONG);
    assert_ok(mrc_sshconf_expand(&c, "1234567", out, 8));
}

TEST(name_in_known_hosts)
{
    struct mrc_sshconf c = sample();
    char out[64];
    assert_ok(mrc_sshconf_known_name(&c, out, sizeof out));
    assert_string_equal(out, "[host.example]:2222");
    c.port = "22";
    assert_ok(mrc_sshconf_known_name(&c, out, sizeof out));
    assert_string_equal(out, "host.example");
    c.hostkeyalias = "Other";
    assert_ok(mrc_sshconf_known_name(&c, out, sizeof out));
    assert_string_equal(out, "other");
    assert_error(mrc_sshconf_known_name(&c, out, 5), ENAMETOOLONG);
}

TEST(without_ssh_the_options_count)
{
    setenv("MRC_SSH", "/nonexistent/ssh", 1);
    const char *options[] = { "StrictHostKeyChecking=no", "Port 99", "IdentityFile=/mine" };
    const struct mrc_transport_opts o = { .host = "h",
                                          .ssh_options = options,
                                          .ssh_option_count = 3 };
    struct mrc_sshconf c = { 0 };
    struct err e = { 0 };
    assert_ok(mrc_sshconf_resolve(&o, &c, &e));
    assert_false(c.is_resolved);
    assert_string_equal(c.hostname, "h");
    assert_string_equal(c.port, "99");
    assert_int_equal(c.strict, MRC_STRICT_NO);
    assert_string_equal(c.identities.item[c.identities.count - 1], "/mine");
    assert_non_null(c.user);
    mrc_sshconf_fini(&c);
    unsetenv("MRC_SSH");
}

TEST(hosts_that_are_none)
{
    static const char *const bad[] = { "",   "-oProxyCommand=x", "a b", "a;b", "$(a)", "a\nb",
                                       "`a`" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const struct mrc_transport_opts o = { .host = bad[i] };
        struct mrc_sshconf c = { 0 };
        struct err e = { 0 };
        assert_error(mrc_sshconf_resolve(&o, &c, &e), EIO);
        assert_has(e.text, "is not a host name");
    }
}

UNIT_MAIN(cmocka_unit_test(lines_of_every_kind), cmocka_unit_test(words_for_strict),
          cmocka_unit_test(lists_are_bounded), cmocka_unit_test(command_line),
          cmocka_unit_test(expansion), cmocka_unit_test(name_in_known_hosts),
          cmocka_unit_test(without_ssh_the_options_count),
          cmocka_unit_test(hosts_that_are_none))
