/* SPDX-License-Identifier: GPL-2.0-or-later */
/* seal.c: sealed datagrams between certified nodes.
 * Must not know: sockets, clocks, what is in the datagrams.
 * A datagram: u16 "MX", u8 version, u8 epoch, u32 net id, u16 length, u8 class, u8 type; nonce:
 * u32 sender, u64 its life, u64 counter, u32 low half of the receiver's life as the sender
 * knows it; sealed body. Proven beside it: the first twelve bytes, the receiver's whole life
 * and number. */
#include "gossip/seal.h"

#include "common/base/wire.h"
#include "common/sys/crypto.h"

#include <errno.h>
#include <string.h>

enum {
    MAGIC = 'M' | 'X' << 8,
    VERSION = 1,
    CLASS_PAIR = 1,
    BESIDE_BYTES = GSP_SEAL_CLEAR_BYTES + 8 + 2,
    HELLO_BYTES = 8, /* zeros: so long that no answer to it is longer */
    LIFE_AHEAD = 1 << 28,
};

struct head {
    uint8_t epoch, type;
    uint32_t sender, receiver_tag;
    uint64_t boot, counter;
    const uint8_t *clear, *nonce, *sealed;
    size_t sealed_bytes;
};

size_t gsp_seal_memory_bytes(const struct gsp_seal_opts *o)
{
    return o->ids * sizeof(struct gsp_seal_peer);
}

int gsp_seal_init(struct gsp_seal *s, const struct gsp_seal_opts *o, void *memory)
{
    if (!o->life || !o->random || o->ids == 0 || o->ids > UINT16_MAX || o->self >= o->ids)
        return -EINVAL;
    memset(s, 0, sizeof *s);
    s->o = *o;
    s->net_id = gsp_net_id(o->owner);
    s->boot = (uint64_t)o->life << 32 | o->random;
    s->peers = memory;
    for (unsigned i = 0; i < GSP_SOURCES; i++)
        s->sources[i].left = GSP_SOURCE_BURST_MAX;
    s->certs.left = GSP_CERT_BURST_MAX;
    return 0;
}

void gsp_seal_fini(struct gsp_seal *s)
{
    for (uint32_t i = 0; s->peers && i < s->o.ids; i++)
        crypto_wipe(s->peers[i].shared, sizeof s->peers[i].shared);
    crypto_wipe(s, sizeof *s);
}

/* ---- certificates ---- */

int gsp_seal_certify(struct gsp_seal *s, const uint8_t *ptr, size_t len_bytes, int64_t now_s)
{
    struct gsp_cert c;
    int rc = gsp_cert_open(ptr, len_bytes, s->o.owner, now_s, &c);
    if (rc < 0)
        return rc;
    if (c.node >= s->o.ids)
        return -ENOENT;
    struct gsp_seal_peer *p = &s->peers[c.node];
    if (c.serial <= p->revoked)
        return -EKEYREVOKED;
    if (p->has_key && c.serial < p->serial)
        return -ESTALE;
    if (memcmp(p->key, c.key, sizeof p->key) != 0) {
        crypto_wipe(p->shared, sizeof p->shared);
        p->has_shared = false;
        p->boot = 0;
    }
    memcpy(p->key, c.key, sizeof p->key);
    p->serial = c.serial;
    p->expires_s = c.expires_s;
    p->cluster = c.cluster;
    p->has_key = true;
    return 0;
}

void gsp_seal_live(struct gsp_seal *s, uint32_t life, uint32_t random)
{
    s->o.life = life;
    s->boot = (uint64_t)life << 32 | random;
}

int gsp_seal_revoke(struct gsp_seal *s, const uint8_t *ptr, size_t len_bytes)
{
    struct gsp_revoke v;
    int rc = gsp_revoke_open(ptr, len_bytes, s->o.owner, &v);
    if (rc < 0)
        return rc;
    if (v.node >= s->o.ids)
        return -ENOENT;
    if (v.serial > s->peers[v.node].revoked)
        s->peers[v.node].revoked = v.serial;
    return 0;
}

static bool is_revoked(const struct gsp_seal_peer *p)
{
    return p->has_key && p->serial <= p->revoked;
}

/* ---- epochs ---- */

static const uint8_t epoch_kind[] = { 'M', 'X', 'e', '1' };

/* What the owner signs: kind, cluster, number, secret. */
static void epoch_text(uint8_t out[9 + KEYS_SHARED_BYTES], uint32_t net_id, uint8_t number,
                       const uint8_t *secret)
{
    struct wr w = wr_of(out, 9 + KEYS_SHARED_BYTES);
    put_raw(&w, epoch_kind, sizeof epoch_kind);
    put_u32(&w, net_id);
    put_u8(&w, number);
    put_raw(&w, secret, KEYS_SHARED_BYTES);
}

void gsp_epoch_sign(uint32_t net_id, uint8_t number, const uint8_t secret[KEYS_SHARED_BYTES],
                    const uint8_t owner_secret[KEYS_SECRET_BYTES],
                    uint8_t out[GSP_EPOCH_BODY_BYTES])
{
    uint8_t text[9 + KEYS_SHARED_BYTES];
    epoch_text(text, net_id, number, secret);
    out[0] = number;
    memcpy(out + 1, secret, KEYS_SHARED_BYTES);
    keys_sign(out + 1 + KEYS_SHARED_BYTES, text, sizeof text, owner_secret);
    crypto_wipe(text, sizeof text);
}

int gsp_seal_epoch(struct gsp_seal *s, const uint8_t *ptr, size_t len_bytes)
{
    uint8_t text[9 + KEYS_SHARED_BYTES];
    if (len_bytes != GSP_EPOCH_BODY_BYTES)
        return -EPROTO;
    struct gsp_epoch *now = &s->epochs[0];
    if (now->is_set && (int8_t)(uint8_t)(ptr[0] - now->number) <= 0)
        return -EALREADY;
    epoch_text(text, s->net_id, ptr[0], ptr + 1);
    bool is_owners = keys_verify(ptr + 1 + KEYS_SHARED_BYTES, text, sizeof text, s->o.owner);
    crypto_wipe(text, sizeof text);
    if (!is_owners)
        return -EACCES;
    s->epochs[1] = *now;
    now->is_set = true;
    now->number = ptr[0];
    memcpy(now->secret, ptr + 1, sizeof now->secret);
    memcpy(now->body, ptr, sizeof now->body);
    return 0;
}

static const struct gsp_epoch *find_epoch(const struct gsp_seal *s, uint8_t number)
{
    for (unsigned i = 0; i < 2; i++)
        if (s->epochs[i].is_set && s->epochs[i].number == number)
            return &s->epochs[i];
    return NULL;
}

/* ---- sealing ---- */

/* The key of us and that node, in an epoch or (NULL) in none. */
static int pair_key(struct gsp_seal *s, uint16_t node, const struct gsp_epoch *epoch,
                    uint8_t out[KEYS_SHARED_BYTES])
{
    struct gsp_seal_peer *p = &s->peers[node];
    if (!p->has_shared) {
        int rc = keys_shared(p->shared, s->o.secret, p->key);
        if (rc < 0)
            return rc;
        p->has_shared = true;
    }
    if (epoch)
        keys_derive(out, epoch->secret, "MXpair", p->shared, sizeof p->shared);
    else
        keys_derive(out, p->shared, "MXslept", NULL, 0);
    return 0;
}

static void beside(uint8_t out[BESIDE_BYTES], const uint8_t *clear, uint64_t receiver_boot,
                   uint16_t receiver)
{
    struct wr w = wr_of(out, BESIDE_BYTES);
    put_raw(&w, clear, GSP_SEAL_CLEAR_BYTES);
    put_u64(&w, receiver_boot);
    put_u16(&w, receiver);
}

static void put_head(struct gsp_seal *s, struct wr *w, unsigned type, unsigned epoch,
                     size_t all, uint32_t receiver_tag)
{
    put_u16(w, MAGIC);
    put_u8(w, VERSION);
    put_u8(w, (uint8_t)epoch);
    put_u32(w, s->net_id);
    put_u16(w, (uint16_t)all);
    put_u8(w, CLASS_PAIR);
    put_u8(w, (uint8_t)type);
    put_u32(w, s->o.self);
    put_u64(w, s->boot);
    put_u64(w, ++s->counter);
    put_u32(w, receiver_tag);
}

/* Returns the length, or -errno. their_boot: the receiver's life, as we know it or it says; 0:
 * unknown. */
static int seal(struct gsp_seal *s, uint16_t to, unsigned type, uint64_t their_boot,
                const void *ptr, size_t len_bytes, uint8_t *out)
{
    uint8_t key[KEYS_SHARED_BYTES], also[BESIDE_BYTES];
    const struct gsp_epoch *epoch = type == GSP_SEAL_EPOCH ? NULL : &s->epochs[0];
    struct wr w = wr_of(out, GSP_SEALED_MAX);
    size_t all = len_bytes + GSP_SEAL_EXTRA_BYTES;
    if (all > GSP_SEALED_MAX)
        return -EMSGSIZE;
    int rc = pair_key(s, to, epoch, key);
    if (rc < 0)
        return rc;
    put_head(s, &w, type, epoch ? epoch->number : 0, all, (uint32_t)their_boot);
    beside(also, out, their_boot, to);
    keys_seal(w.at, ptr, len_bytes, also, sizeof also, out + GSP_SEAL_CLEAR_BYTES, key);
    crypto_wipe(key, sizeof key);
    return (int)all;
}

int gsp_seal_out(struct gsp_seal *s, uint16_t to, const void *ptr, size_t len_bytes,
                 uint8_t out[GSP_SEALED_MAX])
{
    static const uint8_t zeros[HELLO_BYTES];
    if (to >= s->o.ids || to == s->o.self || !s->peers[to].has_key)
        return -ENOENT;
    if (is_revoked(&s->peers[to]))
        return -EKEYREVOKED;
    if (!s->epochs[0].is_set)
        return -ENOKEY;
    if (!s->peers[to].boot)
        return seal(s, to, GSP_SEAL_HELLO, 0, zeros, sizeof zeros, out);
    return seal(s, to, GSP_SEAL_BODY, s->peers[to].boot, ptr, len_bytes, out);
}

int gsp_seal_revoke_out(struct gsp_seal *s, uint16_t to,
                        const uint8_t revocation[GSP_REVOKE_BYTES], uint8_t out[GSP_SEALED_MAX])
{
    if (to >= s->o.ids || to == s->o.self || !s->peers[to].has_key || !s->peers[to].boot)
        return -ENOENT;
    if (is_revoked(&s->peers[to]))
        return -EKEYREVOKED;
    if (!s->epochs[0].is_set)
        return -ENOKEY;
    if (s->peers[to].epoch != s->epochs[0].number)
        return -EAGAIN;
    return seal(s, to, GSP_SEAL_REVOKE, s->peers[to].boot, revocation, GSP_REVOKE_BYTES, out);
}

/* ---- certificates that travel ---- */

/* The receiver's tag of such a datagram: whether the sender needs the receiver's, too. */
enum {
    CERT_ANSWER = 0,
    CERT_ASKS = 1,
    CERT_ALL = GSP_SEAL_CLEAR_BYTES + KEYS_NONCE_BYTES + GSP_CERT_BYTES
};

static int cert_out(struct gsp_seal *s, uint32_t tag, uint8_t *out)
{
    struct wr w = wr_of(out, CERT_ALL);
    put_head(s, &w, GSP_SEAL_CERT, 0, CERT_ALL, tag);
    put_raw(&w, s->own_cert, sizeof s->own_cert);
    return CERT_ALL;
}

int gsp_seal_cert_out(struct gsp_seal *s, uint16_t to, uint8_t out[GSP_SEALED_MAX])
{
    if (to >= s->o.ids || to == s->o.self)
        return -ENOENT;
    return cert_out(s, s->peers[to].has_key ? CERT_ANSWER : CERT_ASKS, out);
}

/* ---- opening ---- */

static int take_head(const struct gsp_seal *s, const uint8_t *ptr, size_t len_bytes,
                     struct head *h)
{
    struct rd r = rd_of(ptr, len_bytes);
    uint16_t magic, length;
    uint32_t net_id;
    uint8_t version, class;
    if (len_bytes < GSP_SEAL_EXTRA_BYTES || len_bytes > GSP_SEALED_MAX)
        return -EPROTO;
    if (get_u16(&r, &magic) < 0 || get_u8(&r, &version) < 0 || get_u8(&r, &h->epoch) < 0 ||
        get_u32(&r, &net_id) < 0 || get_u16(&r, &length) < 0 || get_u8(&r, &class) < 0 ||
        get_u8(&r, &h->type) < 0 || get_u32(&r, &h->sender) < 0 || get_u64(&r, &h->boot) < 0 ||
        get_u64(&r, &h->counter) < 0 || get_u32(&r, &h->receiver_tag) < 0)
        return -EPROTO;
    h->clear = ptr;
    h->nonce = ptr + GSP_SEAL_CLEAR_BYTES;
    h->sealed = r.at;
    h->sealed_bytes = rd_left(&r);
    return magic == MAGIC && version == VERSION && net_id == s->net_id && length == len_bytes &&
                   class == CLASS_PAIR && h->type >= GSP_SEAL_BODY &&
                   h->type <= GSP_SEAL_REVOKE && h->boot
               ? 0
               : -EPROTO;
}

static bool is_spent(struct gsp_allowance *a, int64_t now_ms, unsigned per_s, unsigned most)
{
    uint32_t now = (uint32_t)now_ms, passed = now - a->at_ms;
    uint64_t more = (uint64_t)passed * per_s / 1000;
    if (more) {
        uint64_t left = a->left + more;
        a->left = (uint16_t)(left < most ? left : most);
        a->at_ms = now;
    }
    if (!a->left)
        return true;
    a->left--;
    return false;
}

/* A count for each address, before anything that costs. */
static bool is_too_much(struct gsp_seal *s, uint64_t source, int64_t now_ms)
{
    return is_spent(&s->sources[source % GSP_SOURCES], now_ms, GSP_SOURCE_PER_S,
                    GSP_SOURCE_BURST_MAX);
}

/* A certificate that says of whom it is. Only one that is new is verified, and only so many in
 * a second. */
static int take_cert(struct gsp_seal *s, const struct head *h, int64_t now_ms, int64_t now_s,
                     struct gsp_seal_in *in)
{
    struct gsp_seal_peer *p = &s->peers[h->sender];
    struct gsp_cert c;
    if (h->sealed_bytes != GSP_CERT_BYTES || h->receiver_tag > CERT_ASKS || h->epoch)
        return -EPROTO;
    int rc = gsp_cert_peek(h->sealed, h->sealed_bytes, &c);
    if (rc < 0 || c.node != h->sender || c.net_id != s->net_id)
        return -EPROTO;
    if (is_revoked(p) && c.serial <= p->serial)
        return -EKEYREVOKED;
    if (!p->has_key || c.serial > p->serial) {
        if (is_spent(&s->certs, now_ms, GSP_CERT_PER_S, GSP_CERT_BURST_MAX)) {
            s->counts.limited++;
            return -EBUSY;
        }
        rc = gsp_seal_certify(s, h->sealed, h->sealed_bytes, now_s);
        if (rc < 0) {
            s->counts.forged++;
            return rc;
        }
        s->counts.introduced++;
        in->is_new_node = true;
    }
    in->from = (uint16_t)h->sender;
    if (h->receiver_tag == CERT_ASKS && gsp_cert_peek(s->own_cert, GSP_CERT_BYTES, &c) == 0) {
        _Static_assert(CERT_ALL <= sizeof in->answer, "room");
        in->answer_bytes = (size_t)cert_out(s, CERT_ANSWER, in->answer);
    }
    return 0;
}

/* False: it has come before, or is too old to know. */
static bool is_first(struct gsp_seal_peer *p, uint64_t counter)
{
    uint64_t bit = 1ull << counter % 64;
    uint64_t *word = &p->came[counter / 64 % (GSP_REPLAY_BITS / 64)];
    if (counter > p->highest) {
        if (counter - p->highest >= GSP_REPLAY_BITS)
            memset(p->came, 0, sizeof p->came);
        else
            for (uint64_t c = p->highest + 1; c <= counter; c++)
                p->came[c / 64 % (GSP_REPLAY_BITS / 64)] &= ~(1ull << c % 64);
        p->highest = counter;
    } else if (p->highest - counter >= GSP_REPLAY_BITS || (*word & bit)) {
        return false;
    }
    *word |= bit;
    return true;
}

static void answer(struct gsp_seal *s, uint16_t to, unsigned type, uint64_t their_boot,
                   const void *ptr, size_t len_bytes, size_t asked_bytes,
                   struct gsp_seal_in *in)
{
    _Static_assert(GSP_EPOCH_BODY_BYTES + GSP_SEAL_EXTRA_BYTES <= sizeof in->answer, "room");
    if (len_bytes + GSP_SEAL_EXTRA_BYTES > asked_bytes || !s->epochs[0].is_set)
        return;
    int n = seal(s, to, type, their_boot, ptr, len_bytes, in->answer);
    in->answer_bytes = n > 0 ? (size_t)n : 0;
}

/* It was opened and is meant for this life of ours: is it of the sender's newest, and new? */
static int take_boot(struct gsp_seal *s, const struct head *h, size_t len_bytes,
                     struct gsp_seal_in *in)
{
    struct gsp_seal_peer *p = &s->peers[h->sender];
    uint32_t life = (uint32_t)(h->boot >> 32), known = (uint32_t)(p->boot >> 32);
    if (h->boot != p->boot) {
        if (p->boot && life <= known) {
            uint8_t body[4];
            struct wr w = wr_of(body, sizeof body);
            put_u32(&w, known);
            s->counts.former_life++;
            answer(s, in->from, GSP_SEAL_OLD, h->boot, body, sizeof body, len_bytes, in);
            return -ESTALE;
        }
        p->boot = h->boot;
        p->highest = 0;
        memset(p->came, 0, sizeof p->came);
    }
    if (is_first(p, h->counter))
        return 0;
    s->counts.replayed++;
    return -EALREADY;
}

static void tell_epoch(struct gsp_seal *s, const struct head *h, struct gsp_seal_in *in)
{
    answer(s, in->from, GSP_SEAL_EPOCH, h->boot, s->epochs[0].body, GSP_EPOCH_BODY_BYTES,
           h->sealed_bytes + GSP_SEAL_CLEAR_BYTES + KEYS_NONCE_BYTES, in);
}

static int take_body(struct gsp_seal *s, const struct head *h, const uint8_t *body, size_t len,
                     struct gsp_seal_in *in)
{
    struct rd r = rd_of(body, len);
    uint32_t life;
    switch ((enum gsp_seal_type)h->type) {
    case GSP_SEAL_BODY:
        in->len_bytes = len;
        if (h->epoch != s->epochs[0].number) /* it does not know the new one */
            tell_epoch(s, h, in);
        return 0;
    case GSP_SEAL_HELLO: return 0;
    case GSP_SEAL_OLD:
        if (get_u32(&r, &life) < 0)
            return -EPROTO;
        if (life >= s->o.life && life - s->o.life < LIFE_AHEAD)
            in->life_needed = life + 1;
        return 0;
    case GSP_SEAL_EPOCH: {
        int rc = gsp_seal_epoch(s, body, len);
        in->has_new_epoch = rc == 0;
        if (rc == -EALREADY && body[0] != s->epochs[0].number)
            tell_epoch(s, h, in);
        return rc == -EALREADY ? 0 : rc;
    }
    case GSP_SEAL_REVOKE:
        in->has_revocation = len == GSP_REVOKE_BYTES;
        return in->has_revocation ? 0 : -EPROTO;
    case GSP_SEAL_CERT: break; /* is not sealed */
    }
    return -EPROTO;
}

static int open_for(struct gsp_seal *s, const struct head *h, const struct gsp_epoch *epoch,
                    uint64_t our_boot, uint8_t *body)
{
    uint8_t key[KEYS_SHARED_BYTES], also[BESIDE_BYTES];
    if (pair_key(s, (uint16_t)h->sender, epoch, key) < 0)
        return -EBADMSG;
    beside(also, h->clear, our_boot, s->o.self);
    int rc = keys_open(body, h->sealed, h->sealed_bytes, also, sizeof also, h->nonce, key);
    crypto_wipe(key, sizeof key);
    s->counts.forged += rc < 0;
    return rc;
}

int gsp_seal_in(struct gsp_seal *s, uint64_t source, int64_t now_ms, const uint8_t *ptr,
                size_t len_bytes, int64_t now_s, uint8_t *body, struct gsp_seal_in *in)
{
    static const uint8_t zeros[HELLO_BYTES];
    struct head h;
    const struct gsp_epoch *epoch = NULL;
    memset(in, 0, sizeof *in);
    if (take_head(s, ptr, len_bytes, &h) < 0) {
        s->counts.malformed++;
        return -EPROTO;
    }
    if (h.sender >= s->o.ids || h.sender == s->o.self ||
        (!s->peers[h.sender].has_key && h.type != GSP_SEAL_CERT)) {
        s->counts.unknown++;
        return -EPROTO;
    }
    if (is_too_much(s, source, now_ms)) {
        s->counts.limited++;
        return -EBUSY;
    }
    if (h.type == GSP_SEAL_CERT)
        return take_cert(s, &h, now_ms, now_s, in);
    in->from = (uint16_t)h.sender;
    if (is_revoked(&s->peers[h.sender]))
        return -EKEYREVOKED;
    if (now_s >= (int64_t)s->peers[h.sender].expires_s)
        return -ETIME;
    if (h.type != GSP_SEAL_EPOCH && !(epoch = find_epoch(s, h.epoch))) {
        s->counts.old_epoch++;
        tell_epoch(s, &h, in);
        return -ESTALE;
    }
    bool is_first_word = h.type == GSP_SEAL_HELLO && h.receiver_tag == 0;
    if (!is_first_word && h.receiver_tag != (uint32_t)s->boot) {
        /* It knows a former life of ours, or nobody sealed this at all: only that node can open
         * what we say. */
        s->counts.former_life++;
        if (h.type == GSP_SEAL_BODY)
            answer(s, in->from, GSP_SEAL_HELLO, h.boot, zeros, sizeof zeros, len_bytes, in);
        return -ESTALE;
    }
    int rc = open_for(s, &h, epoch, is_first_word ? 0 : s->boot, body);
    if (rc < 0)
        return rc;
    if (is_first_word) {
        /* It may be an old one, so it proves nothing of its life: but that life can open this.
         */
        answer(s, in->from, GSP_SEAL_HELLO, h.boot, zeros, sizeof zeros, len_bytes, in);
        return 0;
    }
    rc = take_boot(s, &h, len_bytes, in);
    if (rc < 0)
        return rc;
    if (epoch)
        s->peers[h.sender].epoch = epoch->number;
    rc = take_body(s, &h, body, h.sealed_bytes - KEYS_TAG_BYTES, in);
    s->counts.opened += rc == 0;
    return rc;
}
