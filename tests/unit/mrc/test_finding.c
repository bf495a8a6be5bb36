/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_finding.c: what the agent tells mrc doctor crosses the wire; what makes no sense is refused. */
#include "tests/lib/unit.h"

#include "mrc/finding.h"

static struct bytes coded(const struct finding *f)
{
    static uint8_t space[2048];
    struct wr w = wr_of(space, sizeof space);
    finding_put(&w, f);
    assert_false(w.is_full);
    return (struct bytes){ space, (uint32_t)wr_len(&w) };
}

static int decode(struct bytes b, struct finding *f)
{
    struct rd r = rd_of(b.ptr, b.len);
    int rc = finding_get(&r, f);
    return rc < 0 ? rc : (int)rd_left(&r);
}

TEST(there_and_back)
{
    const struct finding f = { FINDING_fuse, FINDING_FAILED, "no \033[31m device", "as root: modprobe fuse" };
    struct finding got;
    assert_int_equal(decode(coded(&f), &got), 0);
    assert_int_equal(got.check, FINDING_fuse);
    assert_int_equal(got.state, FINDING_FAILED);
    assert_string_equal(got.detail, "no ?[31m device");
    assert_string_equal(got.remedy, "as root: modprobe fuse");
}

TEST(every_check_has_words)
{
    const char *id = NULL;
    assert_string_equal(finding_label(FINDING_view, &id), "view of files");
    assert_string_equal(id, "view");
    assert_null(finding_label(0, NULL));
    assert_null(finding_label(255, NULL));
    assert_string_equal(finding_state_name(FINDING_OK), "ok");
    assert_string_equal(finding_state_name(200), "unknown");
}

TEST(without_sense)
{
    struct finding got, f = { FINDING_view, FINDING_OK, "a sentence", "" };
    struct bytes b = coded(&f);
    for (uint32_t len = 0; len < b.len; len++)
        assert_error(decode((struct bytes){ b.ptr, len }, &got), EPROTO);
    f.state = FINDING_STATES;
    assert_error(decode(coded(&f), &got), EPROTO);
    f = (struct finding){ .check = 99 };
    assert_error(decode(coded(&f), &got), EPROTO);
}

TEST(long_text_is_cut)
{
    uint8_t space[4096];
    char text[2000];
    struct finding got;
    memset(text, 'x', sizeof text);
    struct wr w = wr_of(space, sizeof space);
    put_u8(&w, FINDING_view);
    put_u8(&w, FINDING_OK);
    put_bytes(&w, (struct bytes){ (const uint8_t *)text, sizeof text });
    put_bytes(&w, (struct bytes){ (const uint8_t *)text, sizeof text });
    assert_int_equal(decode((struct bytes){ space, (uint32_t)wr_len(&w) }, &got), 0);
    assert_int_equal(strlen(got.detail), sizeof got.detail - 1);
    assert_int_equal(strlen(got.remedy), sizeof got.remedy - 1);
}

UNIT_MAIN(cmocka_unit_test(there_and_back), cmocka_unit_test(every_check_has_words),
          cmocka_unit_test(without_sense), cmocka_unit_test(long_text_is_cut))
