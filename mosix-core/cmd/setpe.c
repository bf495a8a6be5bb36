/* SPDX-License-Identifier: GPL-2.0-or-later */
/* setpe.c: checks a map of nodes, makes it the one that counts, or prints that.
 * Must not know: what the daemon does with a map. */
#include "mosix-core/cmd/client.h"
#include "mosix-core/cmd/nodelist.h"

#include "common/sys/mem.h"
#include "common/sys/opt.h"
#include "gossip/keyfile.h"
#include "mosix-core/net/nodes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct setpe_options {
    bool is_check, is_write, is_read;
    const char *dir, *file;
};

static const struct opt table[] = {
#define OPT_STRUCT struct setpe_options
#include "common/sys/opt_begin.h"
#include "mosix-core/cmd/setpe.def"
#include "common/sys/opt_end.h"
};

static const struct opt_program program = {
    "setpe", "-c|-w|-r [-d DIR] [-f FILE]",
    "Checks the map of the nodes of a cluster, makes it the one that counts, or prints that.",
    table, ARRAY_LEN(table)
};

static int check(const char *file, struct err *e)
{
    AUTO_FREE struct mx_nodes *n = calloc(1, sizeof *n);
    int rc = n ? mx_map_read(n, file, e) : err_set(e, ENOMEM, "read %s", file);
    if (rc == 0)
        fprintf(stderr, "setpe: %s: %u nodes in %u clusters\n", file, n->count,
                n->cluster_count);
    return rc;
}

/* If the daemon refuses it, the file is as it was: it is the daemon that knows all rules. */
static int write_map(const char *file, const char *dir, struct err *e)
{
    char to[1024], answer[512];
    int new_bytes = 0, old_bytes = 0;
    AUTO_FREE char *new = malloc(MX_CONFIG_MAX), *old = malloc(MX_CONFIG_MAX);
    if (!new || !old)
        return err_set(e, ENOMEM, "write the map");
    if ((size_t)snprintf(to, sizeof to, "%s/mosix.map", dir) >= sizeof to)
        return err_say(e, ENAMETOOLONG, "%s is too long a name", dir);
    int rc = check(file, e);
    if (rc == 0)
        rc = new_bytes = gsp_file_read(file, false, new, MX_CONFIG_MAX, e);
    if (rc >= 0)
        rc = old_bytes = gsp_file_read(to, false, old, MX_CONFIG_MAX, e);
    if (rc >= 0)
        rc = gsp_file_replace(to, 0644, false, new, (size_t)new_bytes, e);
    if (rc < 0)
        return rc;
    rc = mx_client_ask("reload\n", answer, sizeof answer, e);
    if (rc >= 0)
        return 0;
    struct err why = { "" };
    if (rc == -ECONNREFUSED) {
        fputs("setpe: no mosixd runs here: it will read the map when it starts\n", stderr);
        return 0;
    }
    if (gsp_file_replace(to, 0644, false, old, (size_t)old_bytes, &why) < 0)
        return err_in(e, rc, "%s stays as mosixd refuses it (%s)", to, why.text);
    int back = mx_client_ask("reload\n", answer, sizeof answer, &why);
    return back < 0 ? err_in(e, rc, "%s is back, and refused, too", to) : rc;
}

/* As mosix.map has it. */
static int print_map(struct err *e)
{
    struct nodelist l;
    int64_t cluster, last = -1, number, port;
    int rc = nodelist_ask(&l, "status\n", e);
    if (rc < 0)
        return rc;
    const struct json_value *nodes = jval_in(l.top, "nodes"),
                            *list = jval_in(l.top, "clusters");
    for (size_t i = 0; i < jval_count(nodes); i++) {
        const struct json_value *n = jval_at(nodes, i);
        const char *name = jval_words(jval_in(n, "name"));
        const char *address = jval_words(jval_in(n, "address"));
        if (!name || !address || !jval_whole(jval_in(n, "cluster"), &cluster) ||
            !jval_whole(jval_in(n, "number"), &number) ||
            !jval_whole(jval_in(n, "port"), &port))
            continue;
        for (size_t c = 0; cluster != last && c < jval_count(list); c++) {
            int64_t which;
            const char *called = jval_words(jval_in(jval_at(list, c), "name"));
            if (called && jval_whole(jval_in(jval_at(list, c), "number"), &which) &&
                which == cluster && (last >= 0 || which != 0 || strcmp(called, "main") != 0))
                printf("cluster %" PRId64 " %s\n", which, called);
        }
        last = cluster;
        printf("%" PRId64 " %s %s", number, name, address);
        if (port != MX_PORT)
            printf(" %" PRId64, port);
        putchar('\n');
    }
    nodelist_drop(&l);
    return 0;
}

int main(int argc, char **argv)
{
    struct setpe_options o = { .dir = "/etc/mosix" };
    struct err e = { "" };
    char file[1024];
    int first, rc = opt_parse(&program, argc, argv, &o, &first, &e);
    if (rc == OPT_DONE)
        return 0;
    if (rc == 0 && (first < argc || o.is_check + o.is_write + o.is_read != 1))
        rc = err_say(&e, EINVAL, "needs one of -c, -w and -r, and no arguments but options");
    if (rc == 0 && strlen(o.dir) > 900)
        rc = err_say(&e, EINVAL, "%.80s... is too long a name", o.dir);
    if (rc < 0) {
        fprintf(stderr, "setpe: %s\n", e.text);
        return 2;
    }
    snprintf(file, sizeof file, "%.900s/mosix.map", o.dir);
    const char *from = o.file ? o.file : file;
    rc = o.is_check ? check(from, &e) : o.is_write ? write_map(from, o.dir, &e) : print_map(&e);
    if (rc < 0)
        fprintf(stderr, "setpe: %s\n", e.text);
    return rc < 0;
}
