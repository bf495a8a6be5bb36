/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_quote.c: a real sh reads the words back; which via commands join words again. */
#include "tests/lib/unit.h"

#include "mrc/quote.h"

#include <stdio.h>
#include <stdlib.h>

/* What sh makes of the quoted word, as printf prints it. */
static void read_back(const char *word, char *out, size_t size)
{
    char quoted[512], command[600];
    assert_ok(mrc_quote(quoted, sizeof quoted, word));
    snprintf(command, sizeof command, "printf '%%s|' %s", quoted);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    size_t n = fread(out, 1, size - 1, f);
    out[n] = 0;
    assert_int_equal(pclose(f), 0);
}

TEST(words_survive_sh)
{
    static const char *const words[] = {
        "",   "plain/word-1.x",    "two words",   "it's",
        "''", "\"$HOME\" `id` \\", "a\nb\tc",     "*?[x]~{a,b}",
        "-n", "!#%&;|<>()",        "\xc3\xa4\xff"
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        char out[256], want[256];
        read_back(words[i], out, sizeof out);
        snprintf(want, sizeof want, "%s|", words[i]);
        assert_string_equal(out, want);
    }
}

TEST(length_is_kept)
{
    char out[8];
    assert_error(mrc_quote(out, 5, "a b"), ENAMETOOLONG); /* needs 6 */
    assert_string_equal(out, "");
    assert_int_equal(mrc_quote(out, 6, "a b"), 5);
    assert_int_equal(mrc_quote(out, 4, "abc"), 3);
    assert_error(mrc_quote(out, 3, "abc"), ENAMETOOLONG);
}

TEST(via)
{
    static const struct {
        const char *via;
        bool rejoins;
    } cases[] = { { "ssh host", true },
                  { "/usr/bin/ssh -p 22 host", true },
                  { "sshpass -p secret ssh host", true },
                  { "env A=b ssh host", true },
                  { "A=b ssh host", true },
                  { "kubectl exec -i pod --", false },
                  { "kubectl exec -i ssh --", false },
                  { "docker exec -i c", false },
                  { "sudo nsenter -t 1", false },
                  { "srun", false },
                  { "", false } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (mrc_via_rejoins(cases[i].via) != cases[i].rejoins)
            fail_msg("%s", cases[i].via);
    char out[128];
    assert_ok(mrc_via_command(out, sizeof out, "docker exec -i c", "exec a 'b c'"));
    assert_string_equal(out, "docker exec -i c sh -c 'exec a '\\''b c'\\'''");
    assert_ok(mrc_via_command(out, sizeof out, "ssh h", "exec a"));
    assert_string_equal(out, "ssh h 'exec a'");
    assert_error(mrc_via_command(out, 20, "docker exec -i c", "exec a"), ENAMETOOLONG);
}

UNIT_MAIN(cmocka_unit_test(words_survive_sh), cmocka_unit_test(length_is_kept),
          cmocka_unit_test(via))
