/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bestnode.c: prints the node on which one more program would run fastest, by what this node
 * knows. Must not know: by which rule: that is mosixd's, as for mosrun -b. It is advice:
 * nothing is reserved. */
#include "mosix-core/cmd/client.h"

#include "common/sys/opt.h"

#include <errno.h>
#include <stdio.h>

struct bestnode_options {
    bool is_json, is_remote, has_partners;
    long long memory_mb;
};

static const struct opt table[] = {
#define OPT_STRUCT struct bestnode_options
#include "common/sys/opt_begin.h"
#include "mosix-core/cmd/bestnode.def"
#include "common/sys/opt_end.h"
};

static const struct opt_program program = {
    "bestnode", "[-Gjr] [-m MB]",
    "Prints the name of the node on which one more program would run fastest.", table,
    ARRAY_LEN(table)
};

int main(int argc, char **argv)
{
    struct bestnode_options o = { .is_json = false };
    struct err e = { "" };
    char request[64], answer[256], name[64], address[48];
    unsigned number;
    unsigned long long cost_us;
    int first, rc = opt_parse(&program, argc, argv, &o, &first, &e);
    if (rc == OPT_DONE)
        return 0;
    if (rc == 0 && first < argc)
        rc = err_say(&e, EINVAL, "takes no arguments but options");
    if (rc < 0) {
        fprintf(stderr, "bestnode: %s\n", e.text);
        return 2;
    }
    snprintf(request, sizeof request, "best %lld look%s%s\n", o.memory_mb,
             o.is_remote ? " remote" : "", o.has_partners ? " partners" : "");
    rc = mx_client_ask(request, answer, sizeof answer, &e);
    if (rc >= 0 &&
        sscanf(answer, "ok %63s %u %47s %llu", name, &number, address, &cost_us) != 4)
        rc = err_say(&e, EPROTO, "mosixd answers what makes no sense");
    if (rc < 0)
        fprintf(stderr, "bestnode: %s\n", e.text);
    else if (o.is_json)
        printf("{\"schema\":\"mosix/1\",\"kind\":\"best\",\"number\":%u,\"name\":\"%s\","
               "\"address\":\"%s\",\"cost_ms\":%llu}\n",
               number, name, address, cost_us / 1000);
    else
        puts(name);
    return rc < 0;
}
