/* SPDX-License-Identifier: GPL-2.0-or-later */
/* host.c: addresses, and hosts that a request may be for.
 * Must not know: sockets. */
#include "gossip/monitor/core/host.h"

#include <errno.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits only, to 65535; 0 is any free port. */
static int port_of(const char *words, uint16_t *port)
{
    unsigned n = 0;
    if (!*words)
        return -EINVAL;
    for (; *words; words++) {
        if (!is_digit(*words) || n > UINT16_MAX)
            return -EINVAL;
        n = n * 10 + (unsigned)(*words - '0');
    }
    if (n > UINT16_MAX)
        return -EINVAL;
    *port = (uint16_t)n;
    return 0;
}

/* The host part: its length without brackets, where it begins, and what follows it ("" or
 * ":PORT"). */
static int split(const char *words, const char **host, size_t *len, const char **rest)
{
    if (words[0] == '[') {
        const char *end = strchr(words, ']');
        if (!end)
            return -EINVAL;
        *host = words + 1;
        *len = (size_t)(end - words - 1);
        *rest = end + 1;
        return *len && (!**rest || **rest == ':') ? 0 : -EINVAL;
    }
    const char *colon = strchr(words, ':');
    if (colon && strchr(colon + 1, ':')) { /* an IPv6 address without brackets has no port */
        *host = words;
        *len = strlen(words);
        *rest = words + *len;
        return 0;
    }
    *host = words;
    *len = colon ? (size_t)(colon - words) : strlen(words);
    *rest = words + *len;
    return 0;
}

int mon_host_parse(const char *words, char host[MON_HOST_MAX + 1], uint16_t *port)
{
    const char *at, *rest;
    size_t len;
    uint16_t p = MON_HOST_PORT;
    if (split(words, &at, &len, &rest) < 0 || len > MON_HOST_MAX || !*words)
        return -EINVAL;
    if (*rest && port_of(rest + 1, &p) < 0)
        return -EINVAL;
    if (!len) {
        at = "127.0.0.1";
        len = strlen(at);
    }
    memcpy(host, at, len);
    host[len] = 0;
    *port = p;
    return 0;
}

static bool is_same_name(const char *a, size_t len, const char *b)
{
    if (len && a[len - 1] == '.') /* the root of all names */
        len--;
    if (strlen(b) != len)
        return false;
    for (size_t i = 0; i < len; i++) {
        char x = a[i] >= 'A' && a[i] <= 'Z' ? (char)(a[i] + 32) : a[i],
             y = b[i] >= 'A' && b[i] <= 'Z' ? (char)(b[i] + 32) : b[i];
        if (x != y)
            return false;
    }
    return true;
}

/* Four numbers with dots, as browsers write every IPv4 address that they go to. */
static bool is_ipv4(const char *at, size_t len)
{
    unsigned dots = 0, digits = 0;
    for (size_t i = 0; i < len; i++) {
        if (is_digit(at[i]) && digits < 3) {
            digits++;
        } else if (at[i] == '.' && digits) {
            dots++;
            digits = 0;
        } else {
            return false;
        }
    }
    return dots == 3 && digits;
}

static bool is_ipv6(const char *at, size_t len)
{
    bool has_colon = false;
    for (size_t i = 0; i < len; i++) {
        char c = at[i];
        has_colon = has_colon || c == ':';
        if (!is_digit(c) && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F') && c != ':' &&
            c != '.')
            return false;
    }
    return has_colon;
}

bool mon_host_is_ours(const char *host_header, const char *const *names)
{
    const char *at, *rest;
    size_t len;
    uint16_t port;
    if (!host_header || strlen(host_header) > MON_HOST_MAX + 8 ||
        split(host_header, &at, &len, &rest) < 0 || !len)
        return false;
    if (*rest && port_of(rest + 1, &port) < 0)
        return false;
    if (is_same_name(at, len, "localhost") || is_ipv4(at, len) ||
        (host_header[0] == '[' && is_ipv6(at, len)))
        return true;
    for (; names && *names; names++)
        if (is_same_name(at, len, *names))
            return true;
    return false;
}
