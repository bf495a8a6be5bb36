/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kept.c: answers that are kept. Must not know: processes, sockets.
 * A call is told from another by all that would be sent of it, so an answer fits whatever
 * pointers are NULL or not. */
#include "mosix-core/abi/kept.h"

#include <string.h>

enum whose { ANY, OWN };

static const struct {
    const char *name;
    uint8_t group;
    enum whose whose;
} kept[] = {
#define KEEP(name, number, until)
#define KEPT(name, group, whose) { #name, MX_KEEP_##group, whose },
#define ENDS(name, group)
#include "mosix-core/abi/kept.def"
#undef KEEP
#undef KEPT
#undef ENDS
};

static const struct {
    const char *name;
    uint8_t group;
} ends[] = {
#define KEEP(name, number, until)
#define KEPT(name, group, whose)
#define ENDS(name, group) { #name, MX_KEEP_##group },
#include "mosix-core/abi/kept.def"
#undef KEEP
#undef KEPT
#undef ENDS
};

unsigned mx_kept_ends(const char *name)
{
    unsigned groups = 0;
    for (unsigned i = 0; i < ARRAY_LEN(ends); i++)
        if (strcmp(ends[i].name, name) == 0)
            groups |= ends[i].group;
    return groups;
}

void mx_kept_forget(struct mx_answers *k, unsigned groups)
{
    for (unsigned i = 0; i < MX_KEPT_SLOTS; i++)
        if (k->slots[i].group & groups)
            k->slots[i].ask_bytes = 0;
}

/* The group of a call, of those that may be kept; 0: none. */
static uint8_t group_of(const struct mx_answers *k, const char *name, const uint64_t *args)
{
    for (unsigned i = 0; k->may && i < ARRAY_LEN(kept); i++)
        if (strcmp(kept[i].name, name) == 0)
            return kept[i].whose == OWN && (uint32_t)args[0] != 0
                       ? 0
                       : (uint8_t)(kept[i].group & k->may);
    return 0;
}

/* What is known of another thread counts for nothing. */
static void become(struct mx_answers *k, int64_t of)
{
    if (k->of != of)
        mx_kept_forget(k, 0xff);
    k->of = of;
}

bool mx_kept_give(struct mx_answers *k, int64_t of, const struct mx_call_line *line,
                  const uint64_t args[MX_CALL_ARGS], const struct mx_call_memory *m,
                  int64_t *result)
{
    uint8_t ask[MX_KEPT_ASK_MAX];
    struct wr w = wr_of(ask, sizeof ask);
    struct mx_call_wait wait;
    if (!group_of(k, line->name, args) || mx_call_ask(line, args, m, &w, &wait) < 0)
        return false;
    become(k, of);
    for (unsigned i = 0; i < MX_KEPT_SLOTS; i++) {
        if (k->slots[i].ask_bytes != wr_len(&w) ||
            memcmp(k->slots[i].ask, ask, wr_len(&w)) != 0)
            continue;
        struct rd r = rd_of(k->slots[i].answer, k->slots[i].answer_bytes);
        return mx_call_give(&wait, &r, m, result) == 0;
    }
    return false;
}

void mx_kept_note(struct mx_answers *k, int64_t of, const struct mx_call_line *line,
                  const uint64_t args[MX_CALL_ARGS], const struct rd *answer)
{
    static const struct mx_call_memory none = { NULL, NULL, NULL }; /* nothing is sent */
    uint8_t ask[MX_KEPT_ASK_MAX];
    struct wr w = wr_of(ask, sizeof ask);
    struct mx_call_wait wait;
    struct rd r = *answer;
    int64_t result;
    uint8_t group = group_of(k, line->name, args);
    if (!group || rd_left(&r) > MX_KEPT_ANSWER_MAX || get_i64(&r, &result) < 0 || result < 0 ||
        mx_call_ask(line, args, &none, &w, &wait) < 0)
        return;
    become(k, of);
    unsigned at = k->next++ % MX_KEPT_SLOTS;
    k->slots[at].group = group;
    k->slots[at].ask_bytes = (uint8_t)wr_len(&w);
    k->slots[at].answer_bytes = (uint16_t)rd_left(answer);
    memcpy(k->slots[at].ask, ask, wr_len(&w));
    memcpy(k->slots[at].answer, answer->at, rd_left(answer));
}
