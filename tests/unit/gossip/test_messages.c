/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_messages.c: datagrams: what is written is read again, what is cut or too much is
 * refused. */
#include "gossip/core/messages.h"
#include "tests/lib/unit.h"

static const struct gsp_header header = { .type = GSP_EXCHANGE,
                                          .your_state = GSP_SUSPECT,
                                          .from = 7,
                                          .to = 0xfffe,
                                          .entry_count = 2,
                                          .claim_count = 2,
                                          .sequence = 0xdeadbeef,
                                          .incarnation = 0x123456789abcdef0,
                                          .your_incarnation = 5,
                                          .your_version = 9 };

static size_t whole(uint8_t out[GSP_DATAGRAM_MAX])
{
    uint8_t signature[GSP_SIGNATURE_BYTES];
    memset(signature, 0x5a, sizeof signature);
    struct wr w = wr_of(out, GSP_DATAGRAM_MAX);
    gsp_header_put(&w, &header);
    for (uint16_t i = 0; i < 2; i++)
        gsp_entry_put(&w, &(struct gsp_entry){ .node = i,
                                               .cluster = 3,
                                               .age_ms = 1234,
                                               .version = 77,
                                               .facts = { 1, 2, 3, 4, 5 } });
    gsp_claim_put(&w, &(struct gsp_claim){ .kind = GSP_CLAIM_ACCUSE,
                                           .subject = 1,
                                           .by = 2,
                                           .incarnation = 3,
                                           .signature = signature });
    gsp_claim_put(&w, &(struct gsp_claim){ .kind = GSP_CLAIM_DESCRIBE,
                                           .subject = 1,
                                           .by = 1,
                                           .incarnation = 3,
                                           .number = 256,
                                           .descriptor_bytes = 5,
                                           .descriptor = (const uint8_t *)"hello",
                                           .signature = signature });
    assert_false(w.is_full);
    return wr_len(&w);
}

TEST(coded_and_read)
{
    uint8_t bytes[GSP_DATAGRAM_MAX];
    size_t len = whole(bytes);
    assert_int_equal(len, GSP_HEADER_BYTES + 2 * GSP_ENTRY_BYTES + 2 * GSP_CLAIM_BYTES + 5);
    assert_ok(gsp_datagram_check(bytes, len));
    struct rd r = rd_of(bytes, len);
    struct gsp_header h;
    struct gsp_entry e;
    struct gsp_claim c;
    assert_ok(gsp_header_get(&r, &h));
    assert_int_equal(h.type, GSP_EXCHANGE);
    assert_int_equal(h.your_state, GSP_SUSPECT);
    assert_int_equal(h.to, 0xfffe);
    assert_int_equal(h.sequence, 0xdeadbeef);
    assert_true(h.incarnation == header.incarnation);
    assert_int_equal(h.your_version, 9);
    assert_ok(gsp_entry_get(&r, &e));
    assert_ok(gsp_entry_get(&r, &e));
    assert_int_equal(e.node, 1);
    assert_int_equal(e.age_ms, 1234);
    assert_int_equal(e.version, 77);
    assert_int_equal(e.facts.flags, 5);
    assert_int_equal(e.cluster, 3);
    assert_ok(gsp_claim_get(&r, &c));
    assert_int_equal(gsp_claim_signer(&c), 2);
    assert_ok(gsp_claim_get(&r, &c));
    assert_int_equal(gsp_claim_signer(&c), 1);
    assert_int_equal(c.number, 256);
    assert_memory_equal(c.descriptor, "hello", 5);
    assert_int_equal(c.signature[63], 0x5a);
    assert_int_equal(rd_left(&r), 0);
}

TEST(cut_or_longer_is_refused)
{
    uint8_t bytes[GSP_DATAGRAM_MAX];
    size_t len = whole(bytes);
    for (size_t cut = 0; cut < len; cut++)
        assert_error(gsp_datagram_check(bytes, cut), EPROTO);
    bytes[len] = 0;
    assert_error(gsp_datagram_check(bytes, len + 1), EPROTO);
    bytes[0] = 99;
    assert_error(gsp_datagram_check(bytes, len), EPROTO);
    whole(bytes);
    bytes[1] = GSP_STATES;
    assert_error(gsp_datagram_check(bytes, len), EPROTO);
    whole(bytes);
    bytes[0] = GSP_PING; /* has no entries */
    assert_error(gsp_datagram_check(bytes, len), EPROTO);
    whole(bytes);
    bytes[GSP_HEADER_BYTES + 2 * GSP_ENTRY_BYTES + 1] = 1; /* a descriptor in an accusation */
    assert_error(gsp_datagram_check(bytes, len), EPROTO);
}

TEST(a_signature_is_over_everything_else)
{
    struct gsp_claim a = { .kind = GSP_CLAIM_DESCRIBE,
                           .subject = 1,
                           .by = 1,
                           .incarnation = 3,
                           .number = 256,
                           .descriptor_bytes = 5,
                           .descriptor = (const uint8_t *)"hello" };
    uint8_t text[GSP_SIGNED_MAX], other[GSP_SIGNED_MAX];
    size_t len = gsp_claim_signed(&a, text);
    assert_int_equal(len, 18 + 5);
    struct gsp_claim changed[] = { a, a, a, a, a, a };
    changed[0].kind = GSP_CLAIM_ALIVE;
    changed[1].subject = 2;
    changed[2].by = 2;
    changed[3].incarnation = 4;
    changed[4].number = 257;
    changed[5].descriptor = (const uint8_t *)"jello";
    for (unsigned i = 0; i < ARRAY_LEN(changed); i++) {
        assert_int_equal(gsp_claim_signed(&changed[i], other), len);
        assert_true(memcmp(text, other, len) != 0);
    }
}

/* An age is never made younger, and by at most a step older. */
TEST(ages_are_rounded_up)
{
    for (uint32_t age = 0; age < GSP_AGE_END_MS; age += age < 40000 ? 1 : 997) {
        uint32_t back = gsp_age_ms(gsp_age_code(age));
        assert_true(back >= age && back - age < GSP_AGE_STEP_MS);
        assert_true(age >= GSP_AGE_FINE || back == age);
        assert_int_equal(gsp_age_code(back), gsp_age_code(age));
    }
    assert_int_equal(gsp_age_ms(gsp_age_code(GSP_AGE_END_MS)), GSP_AGE_END_MS);
    assert_int_equal(gsp_age_ms(gsp_age_code(UINT32_MAX)), GSP_AGE_END_MS);
}

TEST(versions_are_compared_serially)
{
    assert_true(gsp_is_newer(1, 0));
    assert_false(gsp_is_newer(0, 0));
    assert_true(gsp_is_newer(5, 0xfffffff0));
    assert_false(gsp_is_newer(0xfffffff0, 5));
}

TEST(a_full_datagram_has_room_for_its_window)
{
    assert_true(GSP_HEADER_BYTES + GSP_WINDOW_MAX * GSP_ENTRY_BYTES <= GSP_DATAGRAM_MAX);
    assert_true(GSP_HEADER_BYTES + GSP_DATAGRAM_CLAIMS_MAX * GSP_CLAIM_BYTES <=
                GSP_DATAGRAM_MAX);
    assert_true(GSP_HEADER_BYTES + GSP_RECORDS_MAX * GSP_RECORD_BYTES <= GSP_DATAGRAM_MAX);
    assert_true(GSP_HEADER_BYTES + GSP_BUCKETS * 8 <= GSP_DATAGRAM_MAX);
    assert_true(GSP_DATAGRAM_MAX + GSP_ENVELOPE_BYTES <= 1400);
}

UNIT_MAIN(cmocka_unit_test(coded_and_read), cmocka_unit_test(cut_or_longer_is_refused),
          cmocka_unit_test(a_signature_is_over_everything_else),
          cmocka_unit_test(ages_are_rounded_up),
          cmocka_unit_test(versions_are_compared_serially),
          cmocka_unit_test(a_full_datagram_has_room_for_its_window))
