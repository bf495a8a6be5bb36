/* SPDX-License-Identifier: GPL-2.0-or-later */
/* table.h: what a node knows of all nodes, as monitors show it.
 * Must not know: where it comes from, how it is shown.
 * Texts in it are printable ASCII: what was not became "?" when it was read. */
#ifndef GOSSIP_MONITOR_CORE_TABLE_H
#define GOSSIP_MONITOR_CORE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MON_NODES_MAX = 65534,
    MON_CLUSTERS_MAX = 256,
    MON_PROCESSES_MAX = 10000,
    MON_NAME_MAX = 63,
    MON_WORDS_MAX = 127
};

/* A figure that is not known. */
enum { MON_UNKNOWN = -1 };

enum mon_figure {
#define FIGURE(name, metric, kind, help) MON_##name,
#include "gossip/monitor/core/figures.def"
#undef FIGURE
    MON_FIGURES
};

/* Worst last but one: what is left or unknown is no fault. */
enum mon_state { MON_ALIVE, MON_SUSPECT, MON_DEAD, MON_LEFT, MON_NEVER, MON_STATES };

struct mon_node {
    char name[MON_NAME_MAX + 1], address[48], kernel[32], version[20];
    uint32_t number;
    uint16_t cluster; /* place among the table's */
    uint8_t state;    /* enum mon_state */
    bool is_self, is_certified, is_revoked, is_blocked;
    int64_t figures[MON_FIGURES]; /* 0 and more, or MON_UNKNOWN */
};

struct mon_cluster {
    char name[MON_NAME_MAX + 1];
    uint32_t number;
    bool is_own;
    uint32_t states[MON_STATES]; /* nodes in each; counted here, not taken from anybody */
};

struct mon_table {
    struct mon_node *nodes;
    size_t count;
    struct mon_cluster clusters[MON_CLUSTERS_MAX];
    size_t cluster_count;
    int64_t time_s;
    uint32_t self;
    bool is_static; /* nothing is known of other nodes */
};

/* Sums over nodes that are alive or suspect and whose figure is known. */
struct mon_totals {
    uint32_t nodes, states[MON_STATES], with_figures;
    int64_t cores, memory_mb, memory_free_mb, swap_mb, swap_used_mb, guests, frozen;
    int64_t load_centi, load_raw_centi; /* average over cores */
    int64_t oldest_ms; /* the greatest age of a living node's figures; MON_UNKNOWN: none */
};

enum { MON_ALL_CLUSTERS = -1 };

extern const char *const mon_state_names[MON_STATES]; /* as in JSON */

/* cluster: a place, or MON_ALL_CLUSTERS. */
void mon_totals(const struct mon_table *t, int cluster, struct mon_totals *out);

/* Counts the states of each cluster anew. */
void mon_count_states(struct mon_table *t);

/* A figure with what is derived of others: memory used, in percent and so on. MON_UNKNOWN if
 * one of them is. */
int64_t mon_memory_used_pct(const struct mon_node *n);
int64_t mon_swap_used_mb(const struct mon_node *n);

enum mon_sort {
    MON_BY_NUMBER,
    MON_BY_NAME,
    MON_BY_LOAD,
    MON_BY_MEMORY,
    MON_BY_GUESTS,
    MON_BY_AGE,
    MON_BY_STATE,
    MON_SORTS
};
extern const char *const mon_sort_names[MON_SORTS];

struct mon_choice {
    int cluster; /* a place, or MON_ALL_CLUSTERS */
    enum mon_sort sort;
    bool with_dead;   /* also the dead, those that left and those never heard of */
    const char *find; /* a part of the name or address; NULL: all */
};

/* Fills order, of room for t->count, with places of nodes that are chosen, in their order.
 * Returns how many. */
size_t mon_choose(const struct mon_table *t, const struct mon_choice *c, uint32_t *order);

/* The bytes of the processes answer. */
struct mon_process {
    char command[32], where_name[MON_NAME_MAX + 1], phase[24], why[MON_WORDS_MAX + 1];
    int64_t pid, job, uid, moves, other_pid; /* other_pid: of a guest, its number at home */
    bool is_guest;                           /* where_name is its home */
};

struct mon_processes {
    struct mon_process *list;
    size_t count;
    bool is_cut; /* there are more than MON_PROCESSES_MAX */
};

#endif
