/* SPDX-License-Identifier: GPL-2.0-or-later */
/* seal_fuzz.c: any bytes as datagrams of the network to a node, among them real ones that are
 * changed, and as certificates, revocations and epochs: nothing passes that its sender did not
 * seal, no answer is longer than its question, and the node can still be talked to at the end.
 */
#include "gossip/seal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes);

enum { NODES = 3, NOW_S = 1000 };

static uint8_t owner[KEYS_PUBLIC_BYTES], owner_secret[KEYS_SECRET_BYTES];
static uint8_t secrets[NODES][KEYS_SECRET_BYTES], certs[NODES][GSP_CERT_BYTES];
static uint8_t epoch[GSP_EPOCH_BODY_BYTES], newer[GSP_CERT_BYTES], revocation[GSP_REVOKE_BYTES];
static uint8_t newer_key[KEYS_PUBLIC_BYTES];

static void must(bool is_so)
{
    if (!is_so)
        abort();
}

static void make_keys(void)
{
    static bool is_done;
    uint8_t secret[KEYS_SHARED_BYTES] = { 1 };
    if (is_done)
        return;
    is_done = true;
    must(keys_new(owner, owner_secret) == 0);
    for (uint16_t i = 0; i < NODES; i++) {
        struct gsp_cert c = {
            .net_id = gsp_net_id(owner), .node = i, .serial = 1, .expires_s = UINT32_MAX
        };
        must(keys_new(c.key, secrets[i]) == 0);
        gsp_cert_sign(&c, owner_secret, certs[i]);
    }
    /* Node 0 has another certificate, that nobody knows, and one of node 2 is revoked. */
    struct gsp_cert c = { .net_id = gsp_net_id(owner), .serial = 2, .expires_s = UINT32_MAX };
    uint8_t newer_secret[KEYS_SECRET_BYTES];
    must(keys_new(newer_key, newer_secret) == 0);
    memcpy(c.key, newer_key, sizeof c.key);
    gsp_cert_sign(&c, owner_secret, newer);
    gsp_revoke_sign(&(struct gsp_revoke){ .net_id = c.net_id, .node = 2, .serial = 1 },
                    owner_secret, revocation);
    gsp_epoch_sign(gsp_net_id(owner), 1, secret, owner_secret, epoch);
}

struct node {
    struct gsp_seal s;
    struct gsp_seal_peer peers[NODES];
};

static void start(struct node *n, uint16_t self)
{
    struct gsp_seal_opts o = { .self = self, .ids = NODES, .life = 100, .random = self + 1u };
    memcpy(o.owner, owner, sizeof o.owner);
    memcpy(o.secret, secrets[self], sizeof o.secret);
    memset(n->peers, 0, sizeof n->peers);
    must(gsp_seal_init(&n->s, &o, n->peers) == 0);
    memcpy(n->s.own_cert, certs[self], GSP_CERT_BYTES);
    for (unsigned i = 0; i < NODES; i++)
        must(gsp_seal_certify(&n->s, certs[i], GSP_CERT_BYTES, NOW_S) == 0);
    must(gsp_seal_epoch(&n->s, epoch, sizeof epoch) == 0);
}

static int give(struct node *to, const uint8_t *ptr, size_t len, struct gsp_seal_in *in,
                int64_t now_ms)
{
    uint8_t body[GSP_SEALED_MAX];
    int rc = gsp_seal_in(&to->s, 5, now_ms, ptr, len, NOW_S, body, in);
    must(in->answer_bytes <= len && (rc == 0 || in->len_bytes == 0));
    return rc;
}

/* One word each way, and what is needed for it. */
static void talk(struct node *a, struct node *b, int64_t now_ms)
{
    uint8_t d[GSP_SEALED_MAX];
    struct gsp_seal_in in;
    for (unsigned i = 0; i < 3; i++) {
        int n = gsp_seal_out(&a->s, b->s.o.self, "hello", 5, d);
        must(n > 0);
        if (give(b, d, (size_t)n, &in, now_ms) == 0 && in.len_bytes == 5)
            return;
        must(in.answer_bytes > 0);
        memcpy(d, in.answer, in.answer_bytes);
        (void)give(a, d, in.answer_bytes, &in, now_ms);
    }
    abort();
}

/* A datagram of n bytes, of which one is changed if at says so. Returns whether it is. */
static bool change(uint8_t *d, int n, const uint8_t *at, size_t len)
{
    must(n > 0);
    if (len < 3 || !at[2])
        return false;
    d[(at[0] | at[1] << 8) % n] ^= at[2];
    return true;
}

/* An introduction, which is in clear: what is taken of it is what the owner has signed. */
static void introduce(struct node *a, struct node *b, const uint8_t *at, size_t len,
                      int64_t now_ms)
{
    uint8_t d[GSP_SEALED_MAX], known[GSP_CERT_BYTES];
    struct gsp_seal_in in;
    memcpy(known, a->s.own_cert, sizeof known);
    memcpy(a->s.own_cert, newer, sizeof newer);
    int n = gsp_seal_cert_out(&a->s, 1, d);
    bool is_changed = change(d, n, at, len);
    memcpy(a->s.own_cert, known, sizeof known);
    if (give(b, d, (size_t)n, &in, now_ms) == 0 && in.is_new_node)
        must(b->peers[0].serial == 2 &&
             memcmp(b->peers[0].key, newer_key, KEYS_PUBLIC_BYTES) == 0);
    else
        must(is_changed);
}

/* What a revocation is taken from was sealed: unchanged, or not at all. */
static void pass_revocation(struct node *a, struct node *b, const uint8_t *at, size_t len,
                            int64_t now_ms)
{
    uint8_t d[GSP_SEALED_MAX], body[GSP_SEALED_MAX];
    struct gsp_seal_in in;
    int n = gsp_seal_revoke_out(&a->s, 1, revocation, d);
    bool is_changed = change(d, n, at, len);
    int rc = gsp_seal_in(&b->s, 5, now_ms, d, (size_t)n, NOW_S, body, &in);
    must(in.answer_bytes <= (size_t)n);
    must((rc == 0 && in.has_revocation) == !is_changed);
    if (rc == 0 && in.has_revocation)
        must(memcmp(body, revocation, GSP_REVOKE_BYTES) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes)
{
    static struct node a, b;
    struct rd r = rd_of(ptr, len_bytes);
    struct gsp_seal_in in;
    uint8_t what, take, d[GSP_SEALED_MAX];
    int64_t now_ms = 1000;
    make_keys();
    start(&a, 0);
    start(&b, 1);
    talk(&a, &b, now_ms);
    talk(&b, &a, now_ms);
    while (get_u8(&r, &what) == 0 && get_u8(&r, &take) == 0) {
        size_t len = take < rd_left(&r) ? take : rd_left(&r);
        const uint8_t *at = r.at;
        int n;
        r.at += len;
        now_ms += 5;
        switch (what % 7) {
        case 0: must(give(&b, at, len, &in, now_ms) < 0); break; /* nobody sealed that */
        case 1: /* the clear part is right, the rest is what came */
            n = gsp_seal_out(&a.s, 1, at, len, d);
            must(n > 0);
            if (len > 0 && len <= (size_t)n &&
                memcmp(d + n - len, at, len) != 0) { /* one byte is right by chance */
                memcpy(d + n - len, at, len);
                must(give(&b, d, (size_t)n, &in, now_ms) < 0 || in.len_bytes == 0);
            }
            break;
        case 2: /* some of its bytes are changed */
            n = gsp_seal_out(&a.s, 1, at, len, d);
            must(n > 0);
            if (len >= 2 && at[1])
                d[at[0] % n] ^= at[1];
            if (give(&b, d, (size_t)n, &in, now_ms) == 0)
                must(len < 2 || !at[1]);
            break;
        case 3:
            must(gsp_seal_certify(&b.s, at, len, NOW_S) < 0);
            must(gsp_seal_revoke(&b.s, at, len) < 0);
            break;
        case 4: must(gsp_seal_epoch(&b.s, at, len) < 0); break;
        case 5: pass_revocation(&a, &b, at, len, now_ms); break;
        default:
            introduce(&a, &b, at, len, now_ms);
            if (b.peers[0].serial == 2)
                return 0; /* from now on it would speak under its new key */
        }
    }
    now_ms += 5000;
    talk(&a, &b, now_ms);
    talk(&b, &a, now_ms);
    return 0;
}
