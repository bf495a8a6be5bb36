/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cluster.h: what the daemon knows of its cluster: configuration, keys, gossip, figures.
 * Must not know: jobs, what is asked on the control socket.
 * Children of the daemon have a copy as it was when they were made, and only look. */
#ifndef MOSIX_CORE_MOSIXD_CLUSTER_H
#define MOSIX_CORE_MOSIXD_CLUSTER_H

#include "gossip/drive.h"
#include "gossip/keyfile.h"
#include "mosix-core/mosixd/readings.h"
#include "mosix-core/mosixd/rules.h"
#include "mosix-core/net/wire.h"

#include <sys/types.h>

enum {
    MX_FIGURES_MS = 1000, /* between readings */
    MX_ABOUT_MS = 60000,  /* what changes of a node beside load is told no more often */
    MX_PATH_MAX = 256,    /* bytes of a name of a file of the configuration */
    MX_IDS_SPARE = 4096,  /* numbers above the map's greatest that a later map may use */
};

struct mx_daemon;

struct mx_cluster {
    struct mx_daemon *d; /* whose nodes, self and identity are filled here */
    struct mx_readings readings;
    /* Of a configuration. */
    char config[MX_PATH_MAX], state[MX_PATH_MAX];
    char problem[256]; /* why a newer configuration is not used; empty: none is refused */
    int64_t read_s;
    /* Where there is gossip; NULL with a static map. */
    struct gsp_drive *drive;
    struct gsp_cert cert;
    uint8_t revoked[GSP_REVOKED_MAX][GSP_REVOKE_BYTES];
    unsigned revoked_count;
    uint32_t life, about_number, ids;
    struct mx_about told;
    int64_t told_ms, started_ms, started_s;
    unsigned guests, partner_guests, children; /* of other nodes; of the daemon */
    unsigned frozen;                           /* processes whose images are kept here */
    struct mx_rules rules;
    char rules_path[MX_PATH_MAX];
    const char *run; /* where guests have their sockets */
    struct loop *loop;
    struct loop_timer timer;
};

/* d: kept. Reads DIR/mosix.map and keys, or, where there is no such map, DIR/nodes and DIR/key.
 * node: the name for a static map, else NULL or a check. state: NULL for DIR/var. Returns 0 or
 * -errno with words; then nothing has begun. */
MUST int mx_cluster_read(struct mx_cluster *c, struct mx_daemon *d, const char *config,
                         const char *state, const char *node, struct err *e);
/* Figures, and gossip if there is one. loop, run: kept. */
MUST int mx_cluster_start(struct mx_cluster *c, struct loop *loop, const char *run,
                          struct err *e);
/* The configuration anew: all of it, or, if anything of it is wrong, nothing, with words in
 * problem. */
void mx_cluster_reload(struct mx_cluster *c);
/* What that would say: 0, or -errno with words. Nothing changes. */
MUST int mx_cluster_try_reload(const struct mx_cluster *c, struct err *e);
/* Says to the others that it goes. False: there is nobody to tell. */
bool mx_cluster_leave(struct mx_cluster *c);
void mx_cluster_stop(struct mx_cluster *c);

/* From the owner, by a request: an epoch or a revocation. Returns 0; 1: known before; -errno
 * with words. */
MUST int mx_cluster_take(struct mx_cluster *c, const uint8_t *ptr, size_t len_bytes,
                         struct err *e);

/* What that would return, in a copy. */
MUST int mx_cluster_check(const struct mx_cluster *c, const uint8_t *ptr, size_t len_bytes,
                          struct err *e);

/* May a process of ours go to that node now? 0; -EHOSTDOWN, -EKEYREVOKED, -EPERM with words. */
MUST int mx_cluster_may_go(const struct mx_cluster *c, int node, struct err *e);
/* The request of a keeper to go there: home, or a node by name, number or address, if it may.
 */
MUST int mx_cluster_target(const struct mx_cluster *c, const char *where, char *line,
                           size_t size, struct err *e);
/* What the administrator has said, anew from its file. */
void mx_cluster_read_rules(struct mx_cluster *c);

/* What is known of one node, for whoever shows or decides. Ages in milliseconds; -1: none. */
struct mx_known {
    unsigned state; /* enum gsp_state; UNKNOWN: nothing was ever heard of it */
    int64_t since_ms, age_ms;
    bool is_certified, is_revoked, has_about;
    struct gsp_facts facts;
    struct mx_about about;
    uint32_t life;
};
void mx_cluster_look(const struct mx_cluster *c, int node, struct mx_known *k);

#endif
