/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nodes.h: the nodes of a cluster, and of others that it deals with, from a map; and the key
 * that all share where there are no certificates. Must not know: connections, who is alive.
 * Two kinds of maps; in both "#" begins a comment, and names are letters, digits, ".", "_" and
 * "-", not only digits, and none of the words of migrate(1).
 *   mosix.map: "NUMBER NAME ADDRESS [PORT]", numbers ascending; "cluster NUMBER NAME" begins
 *     the nodes of another cluster (those before belong to cluster 0, "main").
 *   nodes, the static one: "NAME ADDRESS [PORT]"; a node's number is its place, from 1 on. */
#ifndef MOSIX_CORE_NET_NODES_H
#define MOSIX_CORE_NET_NODES_H

#include "common/base/err.h"
#include "common/sys/crypto.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
    MX_NODES_MAX = 16384,
    MX_NUMBER_MAX = 65534,   /* of a node */
    MX_CLUSTERS_MAX = 64,    /* in a map */
    MX_PARTITIONS_MAX = 64,  /* of a cluster */
    MX_NODE_NAME_MAX = 63,   /* bytes */
    MX_PORT = 7722,          /* if the map says nothing else */
    MX_CONFIG_MAX = 1 << 20, /* bytes of a map, and of a key */
};

struct mx_node {
    char name[MX_NODE_NAME_MAX + 1];
    char address[48]; /* numeric, of IPv4 or IPv6 */
    uint16_t port, number;
    uint8_t cluster;
    uint8_t partition; /* index + 1; 0: of none */
    uint32_t revoked;  /* certificates of it up to this serial count no more */
};

/* takes: its processes may come here; goes: ours may go there. Both of the own one. */
struct mx_cluster_entry {
    uint8_t number;
    bool takes, goes;
    uint16_t rank; /* of its processes here, see plan/admit.h */
    char name[MX_NODE_NAME_MAX + 1];
};

/* rank: of processes of the cluster's other nodes on nodes of this partition. */
struct mx_partition {
    uint16_t rank;
    char name[MX_NODE_NAME_MAX + 1];
};

struct mx_nodes {
    unsigned count, cluster_count, partition_count;
    struct mx_cluster_entry clusters[MX_CLUSTERS_MAX];
    struct mx_partition partitions[MX_PARTITIONS_MAX];
    struct mx_node list[MX_NODES_MAX];
};

/* Read a map, anew. Return 0; -EINVAL with the line's number; -ENOSPC over MX_NODES_MAX,
 * MX_CLUSTERS_MAX; or the error of reading. After an error *n is undefined. */
MUST int mx_nodes_read(struct mx_nodes *n, const char *path, struct err *e);
MUST int mx_map_read(struct mx_nodes *n, const char *path, struct err *e);
/* Partners: "CLUSTER take|refuse go|stay [PRIORITY]". Of clusters that it does not name nobody
 * is taken, and nobody goes there; without the file of none but the own one. */
MUST int mx_partners_read(struct mx_nodes *n, const char *path, struct err *e);
/* Partitions of one's own cluster: "NAME PRIORITY|refuse NODE...", a node by name, number or
 * address, or "FIRST-LAST" of numbers; one name may have several lines. Without the file there
 * are none. own: which of the nodes this is. */
MUST int mx_partitions_read(struct mx_nodes *n, const char *path, int own, struct err *e);

/* Which rank a process whose home is node from has on node here; both indices. */
uint16_t mx_nodes_rank(const struct mx_nodes *n, int here, int from);

/* By name, number or address. Returns its index, or -ENOENT. */
MUST int mx_nodes_find(const struct mx_nodes *n, const char *what);
MUST int mx_nodes_number(const struct mx_nodes *n, unsigned number);
/* NULL if it is not in the map. */
const struct mx_cluster_entry *mx_nodes_cluster(const struct mx_nodes *n, unsigned number);
/* Returns the length. */
socklen_t mx_node_address(const struct mx_node *n, struct sockaddr_storage *a);

/* One node as a text of a line's part, and back: what a keeper is told of a node that it may
 * know from an older map. mx_nodes_learn() returns its index, or -EPROTO, -ENOSPC. */
enum { MX_NODE_TEXT_MAX = 200 };
void mx_node_text(const struct mx_node *n, char text[MX_NODE_TEXT_MAX]);
MUST int mx_nodes_learn(struct mx_nodes *n, const char *text);

/* A key: 64 hexadecimal digits in a file that only its owner can read. Returns 0; -EPERM when
 * others can; -EINVAL. */
MUST int mx_key_read(uint8_t key[CRYPTO_KEY_BYTES], const char *path, struct err *e);

#endif
