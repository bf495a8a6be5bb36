/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ids.h: whose numbers mean whom on the other side: users and groups mapped by name.
 * Must not know: sockets, who asks. The mapping itself does no I/O; only mfs_names_load reads
 * files.
 *
 * The server maps; on the wire every number is the client's. In order:
 *  - the client's own user is the server's own user;
 *  - a name that both sides know: the number it has on the other side;
 *  - otherwise the number itself, if it has no name, or a name on one side only;
 *  - nobody. Nobody else is ever shown as, or taken for, one side's own user.
 * What one direction maps the other maps back. */
#ifndef MRCFS_IDS_H
#define MRCFS_IDS_H

#include "common/base/attr.h"
#include "common/base/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Users (or groups) of one side; more are left out. */
enum { MFS_NAMES_MAX = 16384, MFS_NAMES_BYTES_MAX = 256 * 1024, MFS_ID_NAME_MAX = 255 };

struct mfs_name {
    uint32_t number;
    char *text;
};

struct mfs_names {
    struct mfs_name *list;
    size_t count;
};

struct mfs_pair {
    uint32_t from;
    uint32_t to;
};

/* Sorted by from. */
struct mfs_pairs {
    struct mfs_pair *list;
    size_t count;
};

/* One kind of number (users or groups), both directions. */
struct mfs_id_map {
    bool is_single;
    uint32_t own_server;
    uint32_t own_client;
    struct mfs_pairs to_client;   /* every named number of the server that has one there */
    struct mfs_pairs to_server;   /* every named number of the client that has one here */
    struct mfs_pairs used_server; /* every named number of the side: from only */
    struct mfs_pairs used_client;
};

/* Names of this computer from a file in the format of passwd(5) or group(5): lines of
 * name:x:number:… Lines that are none are skipped. Returns 0, or -errno (a missing file is an
 * empty list). */
MUST int mfs_names_load(const char *path, struct mfs_names *out);
/* struct mfs_name_rec one after the other, as hello carries them. Returns 0, -EPROTO, -ENOMEM.
 */
MUST int mfs_names_get(struct bytes records, struct mfs_names *out);
/* Writes them as hello carries them, at most MFS_NAMES_BYTES_MAX bytes. */
void mfs_names_put(struct wr *w, const struct mfs_names *names);
void mfs_names_fini(struct mfs_names *names);

struct mfs_id_map_opts {
    const struct mfs_names *server;
    const struct mfs_names *client;
    uint32_t own_server;
    uint32_t own_client;
    bool is_single; /* the client has only its own user: everybody else is nobody there */
};
/* Returns 0 or -ENOMEM. Keeps nothing of the names. */
MUST int mfs_id_map_init(struct mfs_id_map *m, const struct mfs_id_map_opts *o);
void mfs_id_map_fini(struct mfs_id_map *m);

/* The client's number for a server's; MFS_NOBODY when there is none. */
uint32_t mfs_id_to_client(const struct mfs_id_map *m, uint32_t server);
/* The server's number for a client's. Returns 0, or -EINVAL when there is none. */
MUST int mfs_id_to_server(const struct mfs_id_map *m, uint32_t client, uint32_t *server);

#endif
