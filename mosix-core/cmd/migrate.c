/* SPDX-License-Identifier: GPL-2.0-or-later */
/* migrate.c: asks for a process, or those of a job, to be moved. It does not wait for the move.
 * Must not know: how jobs move. */
#include "mosix-core/cmd/client.h"
#include "mosix-core/mosixd/mosixd.h"

#include "config.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WRONG = 2, FAILED = 1 };

static const char *const checkpoints[] = { "checkpoint", "chkstop", "chkexit" };

static int usage(FILE *to)
{
    fputs("Usage: migrate PID|-jID NODE|home|out|freeze|continue|checkpoint|chkstop|chkexit\n"
          "Asks for a process of mosrun's, or for all of yours of job ID, to go on at a node: "
          "its\n"
          "name, number or address, or home; or for a guest to leave this node. mosps shows "
          "what became of it. Or writes it to a "
          "file,\n"
          "of which mosrun -R makes it again, and then lets it go on, stops it, or ends it.\n"
          "freeze: its memory goes to disk and it stands still, until continue.\n",
          to);
    return to == stdout ? 0 : WRONG;
}

static int migrate_one(long pid, const char *where)
{
    char request[128], answer[512];
    struct err e = { "" };
    bool is_checkpoint = false, is_out = strcmp(where, "out") == 0;
    for (unsigned i = 0; i < sizeof checkpoints / sizeof *checkpoints; i++)
        is_checkpoint |= strcmp(where, checkpoints[i]) == 0;
    bool is_frost = strcmp(where, "freeze") == 0 || strcmp(where, "continue") == 0;
    if (is_frost)
        snprintf(request, sizeof request, "%s %ld\n", where, pid);
    else
        snprintf(request, sizeof request, "%s %ld %.63s\n",
                 is_checkpoint ? "checkpoint"
                 : is_out      ? "out"
                               : "migrate",
                 pid, where);
    int rc = is_checkpoint ? mx_client_ask_long(request, answer, sizeof answer, &e)
                           : mx_client_ask(request, answer, sizeof answer, &e);
    if (rc < 0) {
        fprintf(stderr, "migrate: %s\n", e.text);
        return FAILED;
    }
    if (strncmp(answer, "ok ", 3) == 0)
        fputs(answer + 3, stdout);
    return 0;
}

/* Of one's own: of others' there are rights to ask for one by one. */
static int migrate_job(unsigned id, const char *where)
{
    char *list = malloc(MX_LISTING_MAX), *at = list;
    struct err e = { "" };
    int worst = 0, found = 0, pid;
    unsigned uid, job;
    if (!list || mx_client_ask("list\n", list, MX_LISTING_MAX, &e) < 0) {
        fprintf(stderr, "migrate: %s\n", list ? e.text : "no memory");
        free(list);
        return FAILED;
    }
    for (; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL)
        if (sscanf(at, "%d\t%u\t%u", &pid, &uid, &job) == 3 && uid == getuid() && job == id) {
            found++;
            worst |= migrate_one(pid, where);
        }
    free(list);
    if (!found)
        fprintf(stderr, "migrate: you have no process of job %u\n", id);
    return found ? worst : FAILED;
}

int main(int argc, char **argv)
{
    char *end;
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return usage(stdout);
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return puts("migrate " PACKAGE_VERSION) < 0;
    if (argc != 3)
        return usage(stderr);
    bool is_job = strncmp(argv[1], "-j", 2) == 0;
    const char *digits = is_job ? argv[1] + 2 : argv[1];
    unsigned long number = strtoul(digits, &end, 10);
    if (!*digits || *end || digits[0] == '-' || number > 0x7fffffff)
        return usage(stderr);
    return is_job ? migrate_job((unsigned)number, argv[2]) : migrate_one((long)number, argv[2]);
}
