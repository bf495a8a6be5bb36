/* SPDX-License-Identifier: GPL-2.0-or-later */
/* drive.c: sockets, timers and keys around gsp_step().
 * Must not know: files, what figures mean. */
#include "gossip/drive.h"

#include "common/sys/clock.h"
#include "common/sys/crypto.h"
#include "common/sys/fd.h"
#include "gossip/drive_mail.h"
#include "gossip/keyfile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What is signed by a node's key begins so: for one purpose only. */
static const uint8_t claim_kind[] = { 'M', 'X', 'k', '1' };
enum {
    LATE_MAX_MS = 60000, /* so long a datagram may have lain */
    AGAIN_MS = 1000,     /* between revocations that are told again */
};

struct gsp_drive {
    struct gsp_drive_opts o;
    struct gsp_cert cert;
    struct gsp *core;
    struct gsp_seal *seal;
    void *core_memory, *seal_memory;
    struct gsp_mail mail;
    struct place {
        struct sockaddr_storage at;
        socklen_t len_bytes;  /* 0: not in the map */
        uint16_t revocations; /* of ours that it was told in this life of its */
        int64_t changed_ms;   /* when its state did */
    } * places;
    uint8_t (*revoked)[GSP_REVOKE_BYTES];
    unsigned revoked_count, again; /* again: the one that is told next */
    int64_t again_ms;
    uint64_t salt; /* of sources' hashes */
    struct loop_fd on_mail;
    struct loop_timer timer;
    bool is_started;
    uint64_t wrong; /* datagrams that were opened and made no sense */
};

/* ---- sending ---- */

static void post(struct gsp_drive *d, uint16_t to, const uint8_t *ptr, size_t len_bytes)
{
    const struct place *p = &d->places[to];
    if (p->len_bytes)
        gsp_mail_put(&d->mail, &p->at, p->len_bytes, ptr, len_bytes);
}

/* Each node is told each revocation soon in each of its lives, by everybody: one with each
 * datagram that goes there anyhow. Datagrams are lost: so it goes on for ever, one a second to
 * whomever we talk to then. */
static void post_revocation(struct gsp_drive *d, uint16_t to)
{
    uint8_t out[GSP_SEALED_MAX];
    struct place *p = &d->places[to];
    int64_t now_ms = (int64_t)clock_mono_ms();
    bool is_again = p->revocations >= d->revoked_count;
    if (!d->revoked_count || (is_again && now_ms < d->again_ms))
        return;
    unsigned which = is_again ? d->again++ % d->revoked_count : p->revocations;
    int n = gsp_seal_revoke_out(d->seal, to, d->revoked[which], out);
    if (n < 0)
        return;
    post(d, to, out, (size_t)n);
    if (is_again)
        d->again_ms = now_ms + AGAIN_MS;
    else
        p->revocations++;
}

static void on_send(void *ctx, uint16_t to, const uint8_t *ptr, size_t len_bytes)
{
    struct gsp_drive *d = ctx;
    uint8_t out[GSP_SEALED_MAX];
    if (to >= d->o.ids || !d->places[to].len_bytes)
        return;
    bool is_met = d->seal->peers[to].has_key && d->seal->peers[to].boot;
    if (!is_met) {
        int n = gsp_seal_cert_out(d->seal, to, out);
        if (n > 0)
            post(d, to, out, (size_t)n);
    }
    int n = gsp_seal_out(d->seal, to, ptr, len_bytes, out);
    if (n < 0)
        return;
    post(d, to, out, (size_t)n);
    if (is_met)
        post_revocation(d, to);
}

/* ---- signatures ---- */

static size_t signed_text(const struct gsp_claim *c, uint8_t out[4 + GSP_SIGNED_MAX])
{
    memcpy(out, claim_kind, sizeof claim_kind);
    return sizeof claim_kind + gsp_claim_signed(c, out + sizeof claim_kind);
}

static void on_sign(void *ctx, const struct gsp_claim *c, uint8_t out[GSP_SIGNATURE_BYTES])
{
    const struct gsp_drive *d = ctx;
    uint8_t text[4 + GSP_SIGNED_MAX];
    size_t len = signed_text(c, text);
    keys_sign(out, text, len, d->o.secret);
}

/* A descriptor brings its node's certificate: the owner has signed it, so whoever brings it. */
static void meet(struct gsp_drive *d, const struct gsp_claim *c)
{
    struct gsp_cert cert;
    const struct gsp_seal_peer *p = &d->seal->peers[c->subject];
    if (c->descriptor_bytes < GSP_CERT_BYTES ||
        gsp_cert_peek(c->descriptor, GSP_CERT_BYTES, &cert) < 0 || cert.node != c->subject ||
        (p->has_key && cert.serial <= p->serial))
        return;
    if (gsp_seal_certify(d->seal, c->descriptor, GSP_CERT_BYTES, clock_wall_ms() / 1000) == 0)
        d->seal->counts.introduced++;
}

static bool on_verify(void *ctx, const struct gsp_claim *c)
{
    struct gsp_drive *d = ctx;
    uint16_t by = gsp_claim_signer(c);
    uint8_t text[4 + GSP_SIGNED_MAX];
    if (by >= d->o.ids || c->subject >= d->o.ids)
        return false;
    if (c->kind == GSP_CLAIM_DESCRIBE)
        meet(d, c);
    const struct gsp_seal_peer *p = &d->seal->peers[by];
    const uint8_t *key = by == d->cert.node ? d->cert.key : p->key;
    if (by != d->cert.node && (!p->has_key || p->serial <= p->revoked))
        return false;
    size_t len = signed_text(c, text);
    return keys_verify(c->signature, text, len, key);
}

static void on_tell(void *ctx, const struct gsp_change *c)
{
    struct gsp_drive *d = ctx;
    if (c->is_new_life || c->was == GSP_DEAD || c->was == GSP_LEFT)
        d->places[c->node].revocations = 0;
    if (c->was != c->state)
        d->places[c->node].changed_ms = (int64_t)clock_mono_ms();
    if (d->o.tell)
        d->o.tell(d->o.ctx, c);
}

/* ---- steps ---- */

static void on_timer(void *ctx);

static void step(struct gsp_drive *d, struct gsp_event *e)
{
    e->now_ms = (int64_t)clock_mono_ms();
    d->wrong += gsp_step(d->core, e) < 0; /* a member's, by its key: nothing has changed */
}

/* After everything: what was written goes out, and the timer is set. */
static void settle(struct gsp_drive *d)
{
    gsp_mail_flush(&d->mail);
    int64_t wait_ms = gsp_wake_ms(d->core) - (int64_t)clock_mono_ms();
    loop_timer_set(d->o.loop, &d->timer, wait_ms > 0 ? (uint64_t)wait_ms : 0, on_timer, d);
}

static void on_timer(void *ctx)
{
    struct gsp_drive *d = ctx;
    struct gsp_event e = { .what = GSP_TICK };
    step(d, &e);
    settle(d);
}

/* An event from the program: before the start it is only noted. */
static void say(struct gsp_drive *d, struct gsp_event *e)
{
    step(d, e);
    if (d->is_started)
        settle(d);
}

/* ---- receiving ---- */

static int learn_revocation(struct gsp_drive *d, const uint8_t *ptr, size_t len_bytes)
{
    struct gsp_revoke v;
    int rc = gsp_revoke_open(ptr, len_bytes, d->o.owner, &v);
    if (rc == 0 && v.node < d->o.ids && v.serial <= d->seal->peers[v.node].revoked)
        return 1;
    if (rc == 0)
        rc = d->revoked_count == GSP_REVOKED_MAX ? -ENOSPC
                                                 : gsp_seal_revoke(d->seal, ptr, len_bytes);
    if (rc == 0)
        memcpy(d->revoked[d->revoked_count++], ptr, GSP_REVOKE_BYTES);
    return rc;
}

static void take_revocation(struct gsp_drive *d, const uint8_t *body)
{
    if (learn_revocation(d, body, GSP_REVOKE_BYTES) == 0 && d->o.keep_revocation)
        d->o.keep_revocation(d->o.ctx, body);
}

static void take_life(struct gsp_drive *d, uint32_t needed)
{
    uint32_t random = 0;
    if (d->o.keep_life && d->o.keep_life(d->o.ctx, needed) < 0)
        return;
    if (crypto_random(&random, sizeof random) == 0)
        gsp_seal_live(d->seal, needed, random ? random : 1);
}

static void on_datagram(void *ctx, const struct gsp_letter *l)
{
    struct gsp_drive *d = ctx;
    uint8_t body[GSP_SEALED_MAX];
    struct gsp_seal_in in;
    int64_t now_ms = (int64_t)clock_mono_ms();
    int rc = gsp_seal_in(d->seal, gsp_mail_source(l, d->salt), now_ms, l->ptr, l->len_bytes,
                         clock_wall_ms() / 1000, body, &in);
    if (in.answer_bytes)
        gsp_mail_put(&d->mail, l->from, l->from_bytes, in.answer, in.answer_bytes);
    if (rc < 0 || in.from >= d->o.ids || !d->places[in.from].len_bytes)
        return;
    if (in.life_needed)
        take_life(d, in.life_needed);
    if (in.has_new_epoch && d->o.keep_epoch)
        d->o.keep_epoch(d->o.ctx, d->seal->epochs[0].body);
    if (in.has_revocation)
        take_revocation(d, body);
    if (!in.len_bytes)
        return;
    uint32_t waited_ms = l->waited_ms < LATE_MAX_MS ? l->waited_ms : LATE_MAX_MS;
    struct gsp_event e = {
        .what = GSP_RECV, .ptr = body, .len_bytes = in.len_bytes, .waited_ms = waited_ms
    };
    step(d, &e);
}

static void on_mail(void *ctx, uint32_t events UNUSED)
{
    struct gsp_drive *d = ctx;
    for (unsigned i = 0; i < GSP_DRIVE_ROUNDS; i++)
        if (gsp_mail_take(&d->mail, on_datagram, d) < GSP_DRIVE_BATCH)
            break;
    settle(d);
}

/* ---- life of it ---- */

static int prepare(struct gsp_drive *d, struct err *e)
{
    struct gsp_opts g = { .ids = d->o.ids,
                          .self = d->cert.node,
                          .cluster = d->cert.cluster,
                          .descriptor_max = GSP_DESCRIPTOR_MAX,
                          .period_ms = GSP_PERIOD_MS,
                          .window = GSP_ENTRIES,
                          .life = d->o.life,
                          .now_ms = (int64_t)clock_mono_ms(),
                          .send = on_send,
                          .tell = on_tell,
                          .sign = on_sign,
                          .verify = on_verify,
                          .ctx = d };
    struct gsp_seal_opts s = { .self = d->cert.node, .ids = d->o.ids, .life = d->o.life };
    int rc = crypto_random(&g.seed, sizeof g.seed);
    while (rc == 0 && s.random == 0)
        rc = crypto_random(&s.random, sizeof s.random);
    if (rc == 0)
        rc = crypto_random(&d->salt, sizeof d->salt);
    if (rc < 0)
        return err_set(e, -rc, "get random bytes");
    memcpy(s.owner, d->o.owner, sizeof s.owner);
    memcpy(s.secret, d->o.secret, sizeof s.secret);
    d->core = calloc(1, sizeof *d->core);
    d->seal = calloc(1, sizeof *d->seal);
    d->core_memory = calloc(1, gsp_memory_bytes(&g));
    d->seal_memory = calloc(1, gsp_seal_memory_bytes(&s));
    d->places = calloc(d->o.ids, sizeof *d->places);
    d->revoked = calloc(GSP_REVOKED_MAX, sizeof *d->revoked);
    if (!d->core || !d->seal || !d->core_memory || !d->seal_memory || !d->places || !d->revoked)
        return err_set(e, ENOMEM, "make the tables of the gossip");
    rc = gsp_seal_init(d->seal, &s, d->seal_memory);
    crypto_wipe(&s, sizeof s);
    if (rc == 0)
        rc = gsp_init(d->core, &g, d->core_memory);
    if (rc < 0)
        return err_set(e, -rc, "start the gossip");
    memcpy(d->seal->own_cert, d->o.cert, sizeof d->o.cert);
    rc = gsp_seal_epoch(d->seal, d->o.epoch, sizeof d->o.epoch);
    return rc < 0 ? err_say(e, EACCES, "the epoch is not this cluster's") : 0;
}

/* Sends claims of our own as soon as it begins: so the keys must be there before. */
int gsp_drive_new(struct gsp_drive **out, const struct gsp_drive_opts *o, struct err *e)
{
    struct gsp_drive *d = calloc(1, sizeof *d);
    if (!d)
        return err_set(e, ENOMEM, "start the gossip");
    d->o = *o;
    d->mail.fd = -1;
    int rc = gsp_cert_open(o->cert, sizeof o->cert, o->owner, clock_wall_ms() / 1000, &d->cert);
    if (rc == -ETIME)
        err_say(e, ETIME,
                "this node's certificate has expired: the owner must certify it anew");
    else if (rc < 0)
        err_say(e, -rc, "this node's certificate is not of this cluster's owner");
    else if (memcmp(d->cert.key, o->secret + KEYS_SECRET_BYTES - KEYS_PUBLIC_BYTES,
                    KEYS_PUBLIC_BYTES) != 0)
        rc = err_say(e, EACCES, "this node's certificate is for another key than its own");
    else if (d->cert.node >= o->ids)
        rc = err_say(e, EINVAL, "this node's number, %u, is too great for the map",
                     d->cert.node);
    if (rc == 0)
        rc = prepare(d, e);
    if (rc < 0) {
        gsp_drive_free(d);
        return rc;
    }
    *out = d;
    return 0;
}

int gsp_drive_start(struct gsp_drive *d, const struct sockaddr_storage *own,
                    socklen_t len_bytes, struct err *e)
{
    int rc = gsp_mail_open(&d->mail, own, len_bytes, e);
    if (rc == 0) {
        rc = loop_fd_add(d->o.loop, &d->on_mail, d->mail.fd, EPOLLIN, on_mail, d);
        if (rc < 0)
            return err_set(e, -rc, "watch a socket");
        d->is_started = true;
        settle(d);
    }
    return rc;
}

void gsp_drive_free(struct gsp_drive *d)
{
    if (!d)
        return;
    if (d->is_started) {
        loop_timer_del(&d->timer);
        loop_fd_del(&d->on_mail);
    }
    gsp_mail_close(&d->mail);
    if (d->seal)
        gsp_seal_fini(d->seal);
    free(d->core);
    free(d->seal);
    free(d->core_memory);
    free(d->seal_memory);
    free(d->places);
    free(d->revoked);
    crypto_wipe(d, sizeof *d);
    free(d);
}

/* ---- what the program says and asks ---- */

void gsp_drive_map(struct gsp_drive *d, uint16_t node, uint8_t cluster,
                   const struct sockaddr_storage *a, socklen_t len_bytes)
{
    if (node >= d->o.ids)
        return;
    d->places[node].at = *a; /* its state stays what it is */
    d->places[node].len_bytes = len_bytes;
    struct gsp_event e = { .what = GSP_KNOW, .node = node, .cluster = cluster };
    if (node != d->cert.node)
        say(d, &e);
}

void gsp_drive_unmap(struct gsp_drive *d, uint16_t node)
{
    if (node < d->o.ids)
        d->places[node] = (struct place){ .len_bytes = 0 };
}

void gsp_drive_facts(struct gsp_drive *d, const struct gsp_facts *f)
{
    struct gsp_event e = { .what = GSP_FACTS, .facts = *f };
    say(d, &e);
}

void gsp_drive_about(struct gsp_drive *d, uint32_t number, const void *ptr, size_t len_bytes)
{
    uint8_t text[GSP_DESCRIPTOR_MAX];
    if (len_bytes > GSP_ABOUT_MAX)
        return;
    memcpy(text, d->o.cert, GSP_CERT_BYTES);
    memcpy(text + GSP_CERT_BYTES, ptr, len_bytes);
    struct gsp_event e = { .what = GSP_TELL_OWN,
                           .number = number,
                           .ptr = text,
                           .len_bytes = GSP_CERT_BYTES + len_bytes };
    say(d, &e);
}

const uint8_t *gsp_drive_about_of(const struct gsp_drive *d, uint16_t node, size_t *len_bytes)
{
    const struct gsp_described *v = node < d->o.ids ? gsp_described_of(d->core, node) : NULL;
    if (!v || v->len_bytes < GSP_CERT_BYTES)
        return NULL;
    *len_bytes = v->len_bytes - GSP_CERT_BYTES;
    return v->bytes + GSP_CERT_BYTES;
}

int gsp_drive_epoch(struct gsp_drive *d, const uint8_t *ptr, size_t len_bytes)
{
    int rc = gsp_seal_epoch(d->seal, ptr, len_bytes);
    if (rc == 0 && d->o.keep_epoch)
        d->o.keep_epoch(d->o.ctx, d->seal->epochs[0].body);
    return rc == -EALREADY ? 1 : rc;
}

int gsp_drive_revoke(struct gsp_drive *d, const uint8_t *ptr, size_t len_bytes)
{
    int rc = learn_revocation(d, ptr, len_bytes);
    if (rc == 0 && d->o.keep_revocation)
        d->o.keep_revocation(d->o.ctx, ptr);
    return rc;
}

void gsp_drive_silence(struct gsp_drive *d)
{
    d->o.tell = NULL;
    d->o.keep_epoch = d->o.keep_revocation = NULL;
    d->o.keep_life = NULL;
    d->mail.fd = -1; /* it is closed there, and the number may be another file's */
}

void gsp_drive_leave(struct gsp_drive *d)
{
    struct gsp_event e = { .what = GSP_GO };
    say(d, &e);
}

bool gsp_drive_is_gone(const struct gsp_drive *d)
{
    return d->core->is_gone;
}

const struct gsp *gsp_drive_core(const struct gsp_drive *d)
{
    return d->core;
}

const struct gsp_seal *gsp_drive_seal(const struct gsp_drive *d)
{
    return d->seal;
}

const struct gsp_traffic *gsp_drive_traffic(const struct gsp_drive *d)
{
    return &d->mail.traffic;
}

bool gsp_drive_is_heard(const struct gsp_drive *d, uint16_t node)
{
    const struct gsp_peer *p = &d->core->peers[node];
    return node == d->cert.node || p->has_entry || gsp_life(p->incarnation) ||
           p->descriptor_number;
}

int64_t gsp_drive_changed_ms(const struct gsp_drive *d, uint16_t node)
{
    return d->places[node].changed_ms;
}
