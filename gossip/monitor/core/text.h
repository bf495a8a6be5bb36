/* SPDX-License-Identifier: GPL-2.0-or-later */
/* text.h: texts put together in memory of the caller's, never beyond it.
 * Must not know: what they say. */
#ifndef GOSSIP_MONITOR_CORE_TEXT_H
#define GOSSIP_MONITOR_CORE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ptr has size_bytes, of which the last stays free for a NUL; it is always there. is_cut:
 * something had no room, and nothing was added since. */
struct text {
    char *ptr;
    size_t len_bytes, size_bytes;
    bool is_cut;
};

struct text text_of(char *ptr, size_t size_bytes);

void text_put(struct text *t, const char *words);
void text_put_n(struct text *t, const char *ptr, size_t len_bytes);
void text_int(struct text *t, int64_t number);
/* number / 10^decimals: text_fixed(t, 153, 2) is "1.53"; zeros at the end stay. */
void text_fixed(struct text *t, int64_t number, unsigned decimals);
/* As a string of JSON, with its quotes; bytes that are no UTF-8 may be in it only if they were
 * in words. */
void text_json(struct text *t, const char *words);
/* As the value of a label of OpenMetrics, without quotes. */
void text_label(struct text *t, const char *words);

/* A duration for people, at most 4 characters: "0.3s", "12s", "5m", "3h", "9d", "999d"; below 0
 * "-". */
void text_age(struct text *t, int64_t ms);
/* Mebibytes for people, at most 5 characters: "512M", "7.8G", "1.5T"; below 0 "-". */
void text_size(struct text *t, int64_t mb);

#endif
