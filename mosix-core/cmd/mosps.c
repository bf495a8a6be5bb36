/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mosps.c: lists the processes of jobs whose home is this node.
 * Must not know: how jobs move. */
#include "mosix-core/cmd/client.h"
#include "mosix-core/mosixd/mosixd.h"

#include "common/sys/opt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct mosps_options {
    bool is_all, is_why;
};

static const struct opt table[] = {
#define OPT_STRUCT struct mosps_options
#include "common/sys/opt_begin.h"
#include "mosix-core/cmd/mosps.def"
#include "common/sys/opt_end.h"
};

static const struct opt_program program = { "mosps", "[-aw]",
                                            "Lists processes that mosrun has started on this "
                                            "node: where they are, and what becomes of them.",
                                            table, ARRAY_LEN(table) };

static void show(const char *line, const struct mosps_options *o)
{
    int pid;
    unsigned uid, job, moves;
    char comm[32], where[80], phase[32], why[256];
    if (sscanf(line, "%d\t%u\t%u\t%31[^\t]\t%79[^\t]\t%31[^\t]\t%u\t%255[^\n]", &pid, &uid,
               &job, comm, where, phase, &moves, why) != 8)
        return;
    if (!o->is_all && uid != getuid())
        return;
    printf("%7d %-12s %-12s %5u %5u %s", pid, where, phase, moves, job, comm);
    if (o->is_why && strcmp(why, "-") != 0)
        printf(" (%s)", why);
    putchar('\n');
}

int main(int argc, char **argv)
{
    struct mosps_options o = { 0 };
    struct err e = { "" };
    int first, rc = opt_parse(&program, argc, argv, &o, &first, &e);
    if (rc == OPT_DONE)
        return 0;
    if (rc == 0 && first < argc)
        rc = err_say(&e, EINVAL, "takes no arguments but options");
    if (rc < 0) {
        fprintf(stderr, "mosps: %s\n", e.text);
        return 2;
    }
    char *list = malloc(MX_LISTING_MAX);
    if (!list || mx_client_ask("list\n", list, MX_LISTING_MAX, &e) < 0) {
        fprintf(stderr, "mosps: %s\n", list ? e.text : "no memory");
        free(list);
        return 1;
    }
    printf("%7s %-12s %-12s %5s %5s %s\n", "PID", "WHERE", "STATE", "MOVES", "JOB", "CMD");
    for (char *line = list, *next; (next = strchr(line, '\n')); line = next + 1) {
        *next = 0;
        show(line, &o);
    }
    free(list);
    return 0;
}
