/* SPDX-License-Identifier: GPL-2.0-or-later */
/* answer.c: writing JSON.
 * Must not know: what is answered. */
#include "mosix-core/mosixd/answer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put(struct mx_answer *a, const char *ptr, size_t len_bytes)
{
    if (a->len_bytes + len_bytes > a->room_bytes) {
        size_t room = a->room_bytes ? 2 * a->room_bytes : 4096;
        room = room < a->max_bytes ? room : a->max_bytes;
        char *more =
            a->is_full || a->len_bytes + len_bytes > room ? NULL : realloc(a->ptr, room);
        if (!more) {
            a->is_full = true;
            return;
        }
        a->ptr = more;
        a->room_bytes = room;
    }
    memcpy(a->ptr + a->len_bytes, ptr, len_bytes);
    a->len_bytes += len_bytes;
}

static void put_quoted(struct mx_answer *a, const char *text)
{
    put(a, "\"", 1);
    for (; *text; text++) {
        char c = *text < ' ' || *text > '~' ? '?' : *text;
        if (c == '"' || c == '\\')
            put(a, "\\", 1);
        put(a, &c, 1);
    }
    put(a, "\"", 1);
}

static void begin(struct mx_answer *a, const char *key)
{
    if (a->has_field)
        put(a, ",", 1);
    a->has_field = true;
    if (key) {
        put_quoted(a, key);
        put(a, ":", 1);
    }
}

void mx_answer_open(struct mx_answer *a, const char *key, char bracket)
{
    begin(a, key);
    put(a, &bracket, 1);
    a->has_field = false;
}

void mx_answer_close(struct mx_answer *a, char bracket)
{
    put(a, &bracket, 1);
    a->has_field = true;
}

void mx_answer_number(struct mx_answer *a, const char *key, int64_t value)
{
    char text[24];
    begin(a, key);
    put(a, text, (size_t)snprintf(text, sizeof text, "%" PRId64, value));
}

void mx_answer_bool(struct mx_answer *a, const char *key, bool value)
{
    begin(a, key);
    put(a, value ? "true" : "false", value ? 4 : 5);
}

void mx_answer_text(struct mx_answer *a, const char *key, const char *text)
{
    if (!text) {
        mx_answer_null(a, key);
        return;
    }
    begin(a, key);
    put_quoted(a, text);
}

void mx_answer_null(struct mx_answer *a, const char *key)
{
    begin(a, key);
    put(a, "null", 4);
}

void mx_answer_maybe(struct mx_answer *a, const char *key, bool is_there, int64_t value)
{
    if (is_there)
        mx_answer_number(a, key, value);
    else
        mx_answer_null(a, key);
}
