/* SPDX-License-Identifier: GPL-2.0-or-later */
/* table.c: the broker's core: who holds which token, who waits for it.
 * Must not know: sockets, clocks, what tokens stand for.
 * A claim is one member's relation to one token; it lives while something is held, wanted or
 * asked for, and the token while there are claims. */
#include "mrcfs/lease/table.h"

#include <errno.h>

enum { FIRST_SLOTS = 256 };

struct mfs_lease_token {
    struct mfs_lease_token *next; /* in its slot */
    struct mfs_lease_key key;
    struct link claims;
    struct link waiting;
};

struct claim {
    struct mfs_lease_token *token;
    struct mfs_lease_party *party;
    struct link of_token;
    struct link of_party;
    struct link waiting; /* in while wanted */
    struct link asked;   /* in while a REVOKE is unanswered */
    int64_t asked_ms;
    uint8_t held;
    uint8_t wanted;
    uint8_t asked_to;
};

static struct claim *of_token(struct link *l)
{
    return LIST_ENTRY(l, struct claim, of_token);
}

static struct claim *of_waiting(struct link *l)
{
    return LIST_ENTRY(l, struct claim, waiting);
}

int mfs_lease_table_init(struct mfs_lease_table *t, const struct mfs_lease_table_opts *o)
{
    *t = (struct mfs_lease_table){ .o = *o, .slot_count = FIRST_SLOTS };
    list_init(&t->asked);
    t->slots = o->alloc(o->ctx, FIRST_SLOTS * sizeof *t->slots);
    return t->slots ? 0 : -ENOMEM;
}

void mfs_lease_table_fini(struct mfs_lease_table *t)
{
    if (t->slots)
        t->o.release(t->o.ctx, t->slots);
    t->slots = NULL;
}

void mfs_lease_party_init(struct mfs_lease_party *p)
{
    list_init(&p->claims);
    p->claim_count = 0;
}

/* ---- tokens and claims ---- */

static struct mfs_lease_token **slot_of(const struct mfs_lease_table *t,
                                        const struct mfs_lease_key *key)
{
    return &t->slots[mfs_lease_hash(key) & (t->slot_count - 1)];
}

static struct mfs_lease_token *find_token(const struct mfs_lease_table *t,
                                          const struct mfs_lease_key *key)
{
    struct mfs_lease_token *k = *slot_of(t, key);
    while (k && !mfs_lease_is_same(&k->key, key))
        k = k->next;
    return k;
}

/* Doubles the slots; without memory it just gets slower. */
static void grow(struct mfs_lease_table *t)
{
    size_t old_count = t->slot_count;
    struct mfs_lease_token **old = t->slots,
                           **slots = t->o.alloc(t->o.ctx, 2 * old_count * sizeof *slots);
    if (!slots)
        return;
    t->slots = slots;
    t->slot_count = 2 * old_count;
    for (size_t i = 0; i < old_count; i++) {
        for (struct mfs_lease_token *k = old[i], *next; k; k = next) {
            next = k->next;
            struct mfs_lease_token **slot = slot_of(t, &k->key);
            k->next = *slot;
            *slot = k;
        }
    }
    t->o.release(t->o.ctx, old);
}

static struct mfs_lease_token *add_token(struct mfs_lease_table *t,
                                         const struct mfs_lease_key *key)
{
    struct mfs_lease_token *k = t->o.alloc(t->o.ctx, sizeof *k);
    if (!k)
        return NULL;
    if (t->token_count >= t->slot_count)
        grow(t);
    k->key = *key;
    list_init(&k->claims);
    list_init(&k->waiting);
    struct mfs_lease_token **slot = slot_of(t, key);
    k->next = *slot;
    *slot = k;
    t->token_count++;
    return k;
}

static void free_token_if_unclaimed(struct mfs_lease_table *t, struct mfs_lease_token *k)
{
    if (!list_is_empty(&k->claims))
        return;
    struct mfs_lease_token **at = slot_of(t, &k->key);
    while (*at != k)
        at = &(*at)->next;
    *at = k->next;
    t->token_count--;
    t->o.release(t->o.ctx, k);
}

/* A token has few claims: one per member. */
static struct claim *find_claim(struct mfs_lease_token *k, const struct mfs_lease_party *p)
{
    LIST_EACH(&k->claims, it, nx)
    if (of_token(it)->party == p)
        return of_token(it);
    return NULL;
}

static int add_claim(struct mfs_lease_table *t, struct mfs_lease_party *p,
                     const struct mfs_lease_key *key, struct claim **out)
{
    if (p->claim_count >= MFS_LEASE_CLAIMS_MAX)
        return -ENOSPC;
    struct mfs_lease_token *k = find_token(t, key);
    struct claim *c = t->o.alloc(t->o.ctx, sizeof *c);
    if (c && !k)
        k = add_token(t, key);
    if (!c || !k) {
        if (c)
            t->o.release(t->o.ctx, c);
        return -ENOMEM;
    }
    c->token = k;
    c->party = p;
    list_push_back(&k->claims, &c->of_token);
    list_push_back(&p->claims, &c->of_party);
    p->claim_count++;
    *out = c;
    return 0;
}

static void free_claim(struct mfs_lease_table *t, struct claim *c)
{
    list_remove(&c->of_token);
    list_remove(&c->of_party);
    list_remove(&c->waiting);
    list_remove(&c->asked);
    c->party->claim_count--;
    t->o.release(t->o.ctx, c);
}

/* ---- deciding ---- */

static void tell(struct mfs_lease_table *t, struct mfs_lease_party *p, uint8_t kind,
                 uint8_t mode, const struct mfs_lease_key *key)
{
    t->o.send(t->o.ctx, p, &(struct mfs_lease_message){ kind, mode, *key });
}

/* What others may keep while somebody holds mode. */
static uint8_t room_beside(uint8_t mode)
{
    return mode == MFS_LEASE_SHARED ? MFS_LEASE_SHARED : MFS_LEASE_NONE;
}

static bool is_free_for(struct mfs_lease_token *k, const struct claim *c, uint8_t mode)
{
    LIST_EACH(&k->claims, it, nx)
    if (of_token(it) != c && of_token(it)->held > room_beside(mode))
        return false;
    return true;
}

static void ask(struct mfs_lease_table *t, struct claim *c, uint8_t to, int64_t now_ms)
{
    if (link_is_in(&c->asked))
        return; /* asked again, if that is not enough, once it has answered */
    c->asked_to = to;
    c->asked_ms = now_ms;
    list_push_back(&t->asked, &c->asked);
    tell(t, c->party, MFS_LEASE_REVOKE, to, &c->token->key);
}

static void grant(struct mfs_lease_table *t, struct claim *c, uint8_t mode)
{
    c->held = mode;
    tell(t, c->party, MFS_LEASE_GRANT, mode, &c->token->key);
}

/* Grants what can be, in order, and asks for what the first one left waits for. */
static void serve(struct mfs_lease_table *t, struct mfs_lease_token *k, int64_t now_ms)
{
    while (!list_is_empty(&k->waiting)) {
        struct claim *c = of_waiting(k->waiting.next);
        if (is_free_for(k, c, c->wanted)) {
            if (link_is_in(&c->asked))
                return;
            list_remove(&c->waiting);
            uint8_t mode = c->wanted;
            c->wanted = MFS_LEASE_NONE;
            grant(t, c, mode);
            continue;
        }
        uint8_t room = room_beside(c->wanted);
        LIST_EACH(&k->claims, it, nx)
        if (of_token(it) != c && of_token(it)->held > room)
            ask(t, of_token(it), room, now_ms);
        return;
    }
}

/* c holds less than before. */
static void settle(struct mfs_lease_table *t, struct claim *c, int64_t now_ms)
{
    struct mfs_lease_token *k = c->token;
    if (!c->held && !c->wanted && !link_is_in(&c->asked))
        free_claim(t, c);
    serve(t, k, now_ms);
    free_token_if_unclaimed(t, k);
}

void mfs_lease_party_gone(struct mfs_lease_table *t, struct mfs_lease_party *p, int64_t now_ms)
{
    LIST_EACH(&p->claims, it, nx)
    {
        struct claim *c = LIST_ENTRY(it, struct claim, of_party);
        struct mfs_lease_token *k = c->token;
        free_claim(t, c);
        serve(t, k, now_ms);
        free_token_if_unclaimed(t, k);
    }
}

static int want(struct mfs_lease_table *t, struct mfs_lease_party *p,
                const struct mfs_lease_message *m, struct claim *c, int64_t now_ms)
{
    bool is_try = m->kind == MFS_LEASE_TRY;
    if (!m->mode || (c && (c->wanted || c->held >= m->mode)))
        return -EPROTO;
    struct mfs_lease_token *k = c ? c->token : find_token(t, &m->key);
    if (is_try && k &&
        (!list_is_empty(&k->waiting) || (c && link_is_in(&c->asked)) ||
         !is_free_for(k, c, m->mode))) {
        tell(t, p, MFS_LEASE_REFUSE, MFS_LEASE_NONE, &m->key);
        return 0;
    }
    int rc = c ? 0 : add_claim(t, p, &m->key, &c);
    if (rc < 0) {
        if (is_try)
            tell(t, p, MFS_LEASE_REFUSE, MFS_LEASE_NONE, &m->key);
        return is_try ? 0 : rc;
    }
    if (is_try) {
        grant(t, c, m->mode);
        return 0;
    }
    c->wanted = m->mode;
    list_push_back(&c->token->waiting, &c->waiting);
    serve(t, c->token, now_ms);
    return 0;
}

int mfs_lease_table_take(struct mfs_lease_table *t, struct mfs_lease_party *p,
                         const struct mfs_lease_message *m, int64_t now_ms)
{
    struct mfs_lease_token *k = find_token(t, &m->key);
    struct claim *c = k ? find_claim(k, p) : NULL;
    uint8_t kept;
    switch (m->kind) {
    case MFS_LEASE_ACQUIRE:
    case MFS_LEASE_TRY: return want(t, p, m, c, now_ms);
    case MFS_LEASE_RELEASE:
        if (!c || c->wanted)
            return -EPROTO;
        if (c->held > m->mode)
            c->held = m->mode;
        settle(t, c, now_ms);
        return 0;
    case MFS_LEASE_GIVEN:
        if (!c || !link_is_in(&c->asked))
            return -EPROTO;
        list_remove(&c->asked);
        kept = m->mode < c->asked_to ? m->mode : c->asked_to;
        if (c->held > kept)
            c->held = kept;
        settle(t, c, now_ms);
        return 0;
    default: return -EPROTO;
    }
}

struct mfs_lease_party *mfs_lease_table_late(const struct mfs_lease_table *t, int64_t *since_ms)
{
    if (list_is_empty(&t->asked))
        return NULL;
    const struct claim *c = LIST_ENTRY(t->asked.next, struct claim, asked);
    *since_ms = c->asked_ms;
    return c->party;
}

bool mfs_lease_table_check(const struct mfs_lease_table *t)
{
    size_t tokens = 0;
    for (size_t i = 0; i < t->slot_count; i++) {
        for (struct mfs_lease_token *k = t->slots[i]; k; k = k->next) {
            size_t shared = 0, exclusive = 0, asked = 0;
            tokens++;
            LIST_EACH(&k->claims, it, nx)
            {
                const struct claim *c = of_token(it);
                shared += c->held == MFS_LEASE_SHARED;
                exclusive += c->held == MFS_LEASE_EXCLUSIVE;
                asked += link_is_in(&c->asked);
                if (!c->held && !c->wanted && !link_is_in(&c->asked))
                    return false;
                if (!c->wanted != !link_is_in(&c->waiting))
                    return false;
            }
            if (exclusive > 1 || (exclusive && shared) || list_is_empty(&k->claims))
                return false;
            /* Whoever waits has somebody to wait for. */
            if (!list_is_empty(&k->waiting) && !asked)
                return false;
        }
    }
    return tokens == t->token_count;
}
