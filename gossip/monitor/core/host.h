/* SPDX-License-Identifier: GPL-2.0-or-later */
/* host.h: addresses that mosweb listens at, and hosts that a request may be for.
 * Must not know: sockets. */
#ifndef GOSSIP_MONITOR_CORE_HOST_H
#define GOSSIP_MONITOR_CORE_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MON_HOST_MAX = 255, MON_HOST_PORT = 7723 };

/* "ADDRESS", "ADDRESS:PORT", "[IPV6]:PORT", ":PORT" (host is then "127.0.0.1") to host, without
 * brackets, and port. Returns 0; -EINVAL it is none of these. */
int mon_host_parse(const char *words, char host[MON_HOST_MAX + 1], uint16_t *port);

/* Is a request with this Host header one for us? A name can be given by anybody to our address
 * (DNS rebinding: a page elsewhere then reads ours as its own), a number can't. So: numbers,
 * localhost, and the names of names (ending with NULL). */
bool mon_host_is_ours(const char *host_header, const char *const *names);

#endif
