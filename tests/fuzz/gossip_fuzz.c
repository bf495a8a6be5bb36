/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gossip_fuzz.c: any datagrams to one node of a cluster, each after some time, from others who
 * can sign whatever they like: what passes the check of datagrams is coded again to the same
 * bytes; the node's invariants hold after each step, it never sends what it would itself
 * refuse, and the datagrams that it sends are bounded by those that it got and by time. */
#include "gossip/core/gsp.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes);

enum { IDS = 40, SELF = 3, MAP = 8, SENT_MAX = 64 };

static unsigned long sent;

static void on_send(void *ctx, uint16_t to, const uint8_t *ptr, size_t len)
{
    const struct gsp *g = ctx;
    if (to == SELF || to >= g->o.ids || gsp_datagram_check(ptr, len) < 0)
        abort();
    sent++;
}

static void on_tell(void *ctx, const struct gsp_change *c)
{
    const struct gsp *g = ctx;
    if (c->node == SELF || (c->state == GSP_DEAD && c->was != GSP_SUSPECT) ||
        (c->state == GSP_DEAD && c->accuser_count < gsp_accusers_needed(g->members + 1)))
        abort();
}

static void on_sign(void *ctx UNUSED, const struct gsp_claim *c,
                    uint8_t out[GSP_SIGNATURE_BYTES])
{
    memset(out, c->kind, GSP_SIGNATURE_BYTES);
}

static bool on_verify(void *ctx UNUSED, const struct gsp_claim *c)
{
    return c->signature[0] != 0;
}

/* What passes the check can be taken apart, and is the same when it is written again. */
static void code_again(const uint8_t *ptr, size_t len)
{
    uint8_t copy[GSP_DATAGRAM_MAX];
    struct rd r = rd_of(ptr, len);
    struct wr w = wr_of(copy, sizeof copy);
    struct gsp_header h;
    if (gsp_datagram_check(ptr, len) < 0)
        return;
    if (gsp_header_get(&r, &h) < 0)
        abort();
    gsp_header_put(&w, &h);
    bool has_window = h.type == GSP_EXCHANGE || h.type == GSP_WINDOW;
    for (unsigned i = 0; has_window && i < h.entry_count; i++) {
        struct gsp_entry e;
        if (gsp_entry_get(&r, &e) < 0)
            abort();
        gsp_entry_put(&w, &e);
    }
    for (unsigned i = 0; i < h.claim_count; i++) {
        struct gsp_claim c;
        if (gsp_claim_get(&r, &c) < 0)
            abort();
        gsp_claim_put(&w, &c);
    }
    if (w.is_full || memcmp(copy, ptr, wr_len(&w)) != 0)
        abort();
    if (wr_len(&w) != len && (has_window || h.claim_count))
        abort();
}

static void step(struct gsp *g, struct gsp_event *e)
{
    /* A list may be answered by four datagrams, news by rounds; the rest follows the clock. */
    unsigned long before = sent;
    int rc = gsp_step(g, e);
    if (rc != 0 && e->what != GSP_RECV)
        abort();
    if (sent - before > SENT_MAX || gsp_check(g))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes)
{
    struct gsp g;
    struct gsp_opts o = { .ids = IDS,
                          .self = SELF,
                          .descriptor_max = 16,
                          .period_ms = GSP_PERIOD_MS,
                          .window = 16,
                          .life = 1000,
                          .seed = 1,
                          .send = on_send,
                          .tell = on_tell,
                          .sign = on_sign,
                          .verify = on_verify,
                          .ctx = &g };
    void *memory = calloc(1, gsp_memory_bytes(&o));
    int64_t now_ms = 0;
    struct rd r = rd_of(ptr, len_bytes);
    uint16_t len, after_ms;
    if (!memory || gsp_init(&g, &o, memory) < 0)
        abort();
    for (uint16_t i = 0; i < MAP; i++)
        step(&g, &(struct gsp_event){ .what = GSP_KNOW, .node = i, .cluster = i / 6 });
    step(&g, &(struct gsp_event){ .what = GSP_TELL_OWN,
                                  .ptr = (const uint8_t *)"self",
                                  .len_bytes = 4,
                                  .number = 256 });
    while (get_u16(&r, &len) == 0 && get_u16(&r, &after_ms) == 0 && rd_left(&r)) {
        size_t take = len < rd_left(&r) ? len : rd_left(&r);
        for (unsigned i = 0; i < 20 && gsp_wake_ms(&g) < now_ms + after_ms; i++) {
            now_ms = gsp_wake_ms(&g);
            step(&g, &(struct gsp_event){ .what = GSP_TICK, .now_ms = now_ms });
        }
        now_ms += after_ms;
        code_again(r.at, take);
        step(&g, &(struct gsp_event){
                     .what = GSP_RECV, .now_ms = now_ms, .ptr = r.at, .len_bytes = take });
        r.at += take;
    }
    free(memory);
    return 0;
}
