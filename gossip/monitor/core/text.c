/* SPDX-License-Identifier: GPL-2.0-or-later */
/* text.c: texts put together in memory of the caller's.
 * Must not know: what they say. */
#include "gossip/monitor/core/text.h"

#include <string.h>

struct text text_of(char *ptr, size_t size_bytes)
{
    if (size_bytes)
        ptr[0] = 0;
    return (struct text){ ptr, 0, size_bytes, !size_bytes };
}

void text_put_n(struct text *t, const char *ptr, size_t len_bytes)
{
    if (t->is_cut || len_bytes >= t->size_bytes - t->len_bytes) {
        t->is_cut = true;
        return;
    }
    memcpy(t->ptr + t->len_bytes, ptr, len_bytes);
    t->len_bytes += len_bytes;
    t->ptr[t->len_bytes] = 0;
}

void text_put(struct text *t, const char *words)
{
    text_put_n(t, words, strlen(words));
}

/* At least so many digits. */
static void put_digits(struct text *t, uint64_t number, unsigned digits)
{
    char backwards[24], forwards[24];
    unsigned n = 0;
    do {
        backwards[n++] = (char)('0' + number % 10);
        number /= 10;
    } while (number || (n < digits && n < sizeof backwards - 1));
    for (unsigned i = 0; i < n; i++)
        forwards[i] = backwards[n - 1 - i];
    text_put_n(t, forwards, n);
}

void text_int(struct text *t, int64_t number)
{
    if (number < 0)
        text_put(t, "-");
    put_digits(t, number < 0 ? 0 - (uint64_t)number : (uint64_t)number, 1);
}

void text_fixed(struct text *t, int64_t number, unsigned decimals)
{
    uint64_t size = number < 0 ? 0 - (uint64_t)number : (uint64_t)number, unit = 1;
    for (unsigned i = 0; i < decimals; i++)
        unit *= 10;
    if (number < 0)
        text_put(t, "-");
    put_digits(t, size / unit, 1);
    if (!decimals)
        return;
    text_put(t, ".");
    put_digits(t, size % unit, decimals);
}

void text_json(struct text *t, const char *words)
{
    static const char hex[] = "0123456789abcdef";
    text_put(t, "\"");
    for (const char *c = words; *c; c++) {
        unsigned char u = (unsigned char)*c;
        if (u == '"' || u == '\\') {
            char two[2] = { '\\', *c };
            text_put_n(t, two, 2);
        } else if (u < 0x20 || u == 0x7f || u == '<' || u == '>' || u == '&') {
            /* so that an answer which somebody takes for a page has no marks in it */
            char six[6] = { '\\', 'u', '0', '0', hex[u >> 4], hex[u & 15] };
            text_put_n(t, six, 6);
        } else {
            text_put_n(t, c, 1);
        }
    }
    text_put(t, "\"");
}

void text_label(struct text *t, const char *words)
{
    for (const char *c = words; *c; c++) {
        if (*c == '\n')
            text_put(t, "\\n");
        else if (*c == '"' || *c == '\\')
            text_put_n(t, (char[2]){ '\\', *c }, 2);
        else
            text_put_n(t, c, 1);
    }
}

void text_age(struct text *t, int64_t ms)
{
    int64_t s = ms / 1000;
    if (ms < 0) {
        text_put(t, "-");
    } else if (ms < 9950) {
        text_fixed(t, (ms + 50) / 100, 1);
        text_put(t, "s");
    } else if (s < 100) {
        text_int(t, s);
        text_put(t, "s");
    } else if (s < 100 * 60) {
        text_int(t, s / 60);
        text_put(t, "m");
    } else if (s < 100 * 3600) {
        text_int(t, s / 3600);
        text_put(t, "h");
    } else {
        text_int(t, s / 86400 < 999 ? s / 86400 : 999);
        text_put(t, "d");
    }
}

void text_size(struct text *t, int64_t mb)
{
    static const char units[] = "MGTPE";
    unsigned unit = 0;
    int64_t tenths;
    if (mb < 0) {
        text_put(t, "-");
        return;
    }
    for (tenths = mb < INT64_MAX / 10 ? mb * 10 : INT64_MAX; tenths >= 10000 && unit < 4;
         unit++)
        tenths /= 1024;
    if (unit && tenths < 100)
        text_fixed(t, tenths, 1);
    else
        text_int(t, tenths / 10 < 9999 ? tenths / 10 : 9999);
    text_put_n(t, &units[unit], 1);
}
