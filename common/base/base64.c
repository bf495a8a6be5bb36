/* SPDX-License-Identifier: GPL-2.0-or-later */
/* base64.c: RFC 4648 base64.
 * Must not know: what is coded. */
#include "common/base/base64.h"

#include <errno.h>
#include <limits.h>

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int base64_encode(char *out, size_t size_bytes, const void *ptr, size_t len_bytes)
{
    if (len_bytes > INT_MAX / 2 || BASE64_SIZE(len_bytes) > size_bytes)
        return -ENOSPC;
    const uint8_t *in = ptr;
    char *at = out;
    for (size_t i = 0; i < len_bytes; i += 3) {
        size_t have = len_bytes - i < 3 ? len_bytes - i : 3;
        uint32_t v = (uint32_t)in[i] << 16;
        v |= have > 1 ? (uint32_t)in[i + 1] << 8 : 0;
        v |= have > 2 ? in[i + 2] : 0;
        *at++ = alphabet[v >> 18];
        *at++ = alphabet[v >> 12 & 63];
        *at++ = have > 1 ? alphabet[v >> 6 & 63] : '=';
        *at++ = have > 2 ? alphabet[v & 63] : '=';
    }
    *at = 0;
    return (int)(at - out);
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int base64_decode(void *out, size_t size_bytes, const char *text, size_t text_len)
{
    uint8_t *at = out;
    uint32_t bits = 0;
    unsigned have = 0;
    size_t done = 0;
    for (size_t i = 0; i < text_len; i++) {
        char c = text[i];
        if (c == '\n' || c == '\r' || c == ' ' || c == '\t')
            continue;
        if (c == '=')
            break;
        int v = value_of(c);
        if (v < 0)
            return -EPROTO;
        bits = bits << 6 | (uint32_t)v;
        have += 6;
        if (have < 8)
            continue;
        have -= 8;
        if (done == size_bytes || done == INT_MAX)
            return -ENOSPC;
        at[done++] = (uint8_t)(bits >> have);
    }
    return (int)done;
}
