/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bestnode.c: prints the node on which one more program would run fastest, by what this node
 * knows. Must not know: how nodes come to be known. It is advice: nothing is reserved. */
#include "mosix-core/cmd/nodelist.h"

#include "common/sys/opt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct bestnode_options {
    bool is_json, is_remote;
    long long memory_mb;
};

static const struct opt table[] = {
#define OPT_STRUCT struct bestnode_options
#include "common/sys/opt_begin.h"
#include "mosix-core/cmd/bestnode.def"
#include "common/sys/opt_end.h"
};

static const struct opt_program program = {
    "bestnode", "[-jr] [-m MB]",
    "Prints the name of the node on which one more program would run fastest.", table,
    ARRAY_LEN(table)
};

/* How long a second of a standard core's work would take there, in milliseconds: a core for
 * itself while one is idle, else its share. -1: not to be had. */
static int64_t cost_of(const struct json_value *n, int64_t cluster,
                       const struct bestnode_options *o)
{
    int64_t own, raw, speed, cores, idle, free_mb;
    const char *state = jval_words(jval_in(n, "state"));
    if (!state || strcmp(state, "alive") != 0 || jval_true(jval_in(n, "is_blocked")) ||
        (o->is_remote && jval_true(jval_in(n, "is_self"))))
        return -1;
    if (!jval_whole(jval_in(n, "cluster"), &own) || own != cluster ||
        !jval_whole(jval_in(n, "load_raw_centi"), &raw) ||
        !jval_whole(jval_in(n, "speed"), &speed) || !jval_whole(jval_in(n, "cores"), &cores) ||
        !jval_whole(jval_in(n, "idle_cores"), &idle) ||
        !jval_whole(jval_in(n, "memory_free_mb"), &free_mb))
        return -1;
    if (free_mb < o->memory_mb || speed <= 0 || cores <= 0 || raw < 0)
        return -1;
    int64_t alone = 1000 * 10000 / speed; /* 10000: standard speed */
    return idle > 0 ? alone : alone * (raw * cores + 100) / (100 * cores);
}

int main(int argc, char **argv)
{
    struct bestnode_options o = { .is_json = false };
    struct nodelist l = { .text = NULL };
    struct err e = { "" };
    const struct json_value *best = NULL;
    int64_t least = 0, cluster = -1, number = 0;
    int first, rc = opt_parse(&program, argc, argv, &o, &first, &e);
    if (rc == OPT_DONE)
        return 0;
    if (rc == 0 && first < argc)
        rc = err_say(&e, EINVAL, "takes no arguments but options");
    if (rc < 0) {
        fprintf(stderr, "bestnode: %s\n", e.text);
        return 2;
    }
    rc = nodelist_ask(&l, "status\n", &e);
    const struct json_value *nodes = rc < 0 ? NULL : jval_in(l.top, "nodes");
    for (size_t i = 0; i < jval_count(nodes); i++)
        if (jval_true(jval_in(jval_at(nodes, i), "is_self")) &&
            !jval_whole(jval_in(jval_at(nodes, i), "cluster"), &cluster))
            rc = err_say(&e, EPROTO, "mosixd does not say which cluster this is");
    for (size_t i = 0; i < jval_count(nodes); i++) {
        int64_t cost = cost_of(jval_at(nodes, i), cluster, &o);
        if (cost >= 0 && (!best || cost < least)) {
            best = jval_at(nodes, i);
            least = cost;
        }
    }
    if (rc == 0 && (!best || !jval_whole(jval_in(best, "number"), &number)))
        rc = err_say(&e, EHOSTDOWN, "no node is known to be alive and to have room");
    const char *name = jval_words(jval_in(best, "name"));
    const char *address = jval_words(jval_in(best, "address"));
    if (rc < 0 || !name || !address)
        fprintf(stderr, "bestnode: %s\n", e.text);
    else if (o.is_json)
        printf("{\"schema\":\"mosix/1\",\"kind\":\"best\",\"number\":%" PRId64
               ",\"name\":\"%s\",\"address\":\"%s\",\"cost_ms\":%" PRId64 "}\n",
               number, name, address, least);
    else
        puts(name);
    rc = rc < 0 || !name || !address;
    nodelist_drop(&l);
    return rc;
}
