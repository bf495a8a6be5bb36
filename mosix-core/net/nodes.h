/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nodes.h: the nodes of a cluster, from a static map, and the key that they share.
 * Must not know: connections.
 * The map: one node a line, "NAME ADDRESS [PORT]"; "#" begins a comment. Names are letters,
 * digits, ".", "_" and "-", not only digits, and none of the words of migrate(1). A node's
 * number is its place in the map, from 1 on. */
#ifndef MOSIX_CORE_NET_NODES_H
#define MOSIX_CORE_NET_NODES_H

#include "common/base/err.h"
#include "common/sys/crypto.h"

#include <stdint.h>

enum {
    MX_NODES_MAX = 256,
    MX_NODE_NAME_MAX = 63,    /* bytes */
    MX_PORT = 7722,           /* if the map says nothing else */
    MX_CONFIG_MAX = 64 << 10, /* bytes of a map, and of a key */
};

struct mx_node {
    char name[MX_NODE_NAME_MAX + 1];
    char address[64]; /* numeric, of IPv4 or IPv6 */
    uint16_t port;
};

struct mx_nodes {
    unsigned count;
    struct mx_node list[MX_NODES_MAX];
};

/* Reads a map. Returns 0; -EINVAL with the line's number; -ENOSPC over MX_NODES_MAX; or the
 * error of reading. */
MUST int mx_nodes_read(struct mx_nodes *n, const char *path, struct err *e);

/* By name, number or address. Returns its index, or -ENOENT. */
MUST int mx_nodes_find(const struct mx_nodes *n, const char *what);

/* A key: 64 hexadecimal digits in a file that only its owner can read. Returns 0; -EPERM when
 * others can; -EINVAL. */
MUST int mx_key_read(uint8_t key[CRYPTO_KEY_BYTES], const char *path, struct err *e);

#endif
