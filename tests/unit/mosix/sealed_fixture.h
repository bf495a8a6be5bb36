/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sealed_fixture.h: a connection that is sealed, and both of its ends given away.
 * Must not know: what is carried. */
#ifndef TESTS_UNIT_MOSIX_SEALED_FIXTURE_H
#define TESTS_UNIT_MOSIX_SEALED_FIXTURE_H

#include "tests/lib/unit.h"

#include "common/sys/fd.h"
#include "mosix-core/deputy/sealed.h"

#include <unistd.h>

struct sealed_pair {
    struct mx_sealed *ends[2];
    int watch[2], givers[2]; /* what each was given over, and its other end */
};

static inline void sealed_pair_make(struct sealed_pair *p)
{
    static const uint8_t keys[2][CRYPTO_KEY_BYTES] = { "one way", "the other" };
    uint8_t headers[2][CRYPTO_HEADER_BYTES];
    struct crypto_stream out[2], in;
    int pair[2];
    assert_ok(fd_socketpair(pair));
    for (unsigned i = 0; i < 2; i++)
        crypto_seal_start(&out[i], keys[i], headers[i]);
    for (unsigned i = 0; i < 2; i++) {
        int over[2];
        assert_ok(fd_socketpair(over));
        assert_ok(crypto_open_start(&in, keys[!i], headers[!i]));
        assert_ok(mx_sealed_give(over[0], pair[i], &out[i], &in));
        close(pair[i]);
        assert_ok(mx_sealed_take(&p->ends[i], over[1]));
        p->givers[i] = over[0];
        p->watch[i] = over[1];
    }
}

static inline void sealed_pair_end(struct sealed_pair *p)
{
    for (unsigned i = 0; i < 2; i++) {
        mx_sealed_free(p->ends[i]);
        close(p->watch[i]);
        close(p->givers[i]);
    }
}

#endif
