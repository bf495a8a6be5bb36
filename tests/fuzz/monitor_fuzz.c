/* SPDX-License-Identifier: GPL-2.0-or-later */
/* monitor_fuzz.c: any bytes as mosixd's answers. What is taken for a table is printable, can be
 * ordered, and is drawn at any size. */
#include "gossip/monitor/core/layout.h"
#include "gossip/monitor/decode.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes);

static void must_be_words(const char *words, size_t size)
{
    size_t len = strnlen(words, size);
    if (len == size)
        abort();
    for (size_t i = 0; i < len; i++)
        if (words[i] < ' ' || words[i] > '~')
            abort();
}

static void draw(const struct mon_table *t, unsigned rows, unsigned cols, unsigned key)
{
    static struct mon_cell cells[30 * 100];
    const struct mon_screen s = { rows, cols, cells };
    const struct mon_source from = { NULL, 0 };
    uint32_t *order = malloc((t->count + 1) * sizeof *order);
    struct mon_view v;
    if (!order)
        return;
    mon_view_init(&v);
    mon_view_key(&v, t, order, key);
    mon_layout(&s, &v, t, order, mon_view_choose(&v, t, order), &from);
    free(order);
}

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes)
{
    struct mon_table t;
    struct mon_processes p;
    struct mon_local l;
    struct err e = { "" };
    const char *answer = (const char *)ptr;
    if (mon_decode_status(answer, len_bytes, &t, &e) == 0) {
        for (size_t i = 0; i < t.count; i++) {
            const struct mon_node *n = &t.nodes[i];
            if (n->cluster >= t.cluster_count || n->state >= MON_STATES)
                abort();
            must_be_words(n->name, sizeof n->name);
            must_be_words(n->address, sizeof n->address);
            must_be_words(n->kernel, sizeof n->kernel);
        }
        for (const char *key = "123mrxgfsu"; *key; key++) {
            draw(&t, 24, 80, (unsigned char)*key);
            draw(&t, 5, 20, (unsigned char)*key);
        }
        mon_table_fini(&t);
    } else {
        must_be_words(e.text, sizeof e.text);
    }
    if (mon_decode_processes(answer, len_bytes, &p, NULL) == 0) {
        for (size_t i = 0; i < p.count; i++)
            must_be_words(p.list[i].command, sizeof p.list[i].command);
        mon_processes_fini(&p);
    }
    if (mon_decode_local(answer, len_bytes, &l, NULL) == 0)
        must_be_words(l.config_error, sizeof l.config_error);
    return 0;
}
