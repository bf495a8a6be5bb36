/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mosps.c: lists the processes of jobs whose home is this node.
 * Must not know: how jobs move. */
#include "mosix-core/cmd/client.h"
#include "mosix-core/mosixd/mosixd.h"
#include "mosix-core/mosixd/settings.h"

#include "common/sys/opt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct mosps_options {
    bool is_all, is_why, is_time;
};

static const struct opt table[] = {
#define OPT_STRUCT struct mosps_options
#include "common/sys/opt_begin.h"
#include "mosix-core/cmd/mosps.def"
#include "common/sys/opt_end.h"
};

static const struct opt_program program = { "mosps", "[-atw]",
                                            "Lists processes that mosrun has started on this "
                                            "node: where they are, and what becomes of them.",
                                            table, ARRAY_LEN(table) };

/* A letter for each of what is set. */
static void flags_of(const struct mx_settings *s, char text[8])
{
    snprintf(text, 8, "%s%s%s%s", s->lock ? "L" : "", s->cpujob ? "C" : "", s->every ? "A" : "",
             s->lock || s->cpujob || s->every ? "" : "-");
}

/* Of a process here: seconds since it began; -1: it is gone. */
static long age_s(int pid)
{
    char path[40], text[1024] = "", *at;
    unsigned long long began = 0;
    double up_s = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return -1;
    at = fgets(text, sizeof text, f) ? strrchr(text, ')') : NULL; /* a name may have anything */
    fclose(f);
    for (unsigned i = 0; at && i < 20; i++)
        at = strchr(at + 1, ' ');
    f = fopen("/proc/uptime", "re");
    if (!f)
        return -1;
    bool is_known = at && sscanf(at, "%llu", &began) == 1 && fscanf(f, "%lf", &up_s) == 1;
    fclose(f);
    return is_known ? (long)(up_s - (double)began / (double)sysconf(_SC_CLK_TCK)) : -1;
}

/* "1:02:30", days only if there are any; minutes are enough. */
static void put_time(long seconds, char text[24])
{
    long minutes = (seconds < 0 ? -seconds : seconds) / 60, days = minutes / (24 * 60);
    const char *sign = seconds < 0 ? "-" : "";
    if (days)
        snprintf(text, 24, "%s%ld:%02ld:%02ld", sign, days, minutes / 60 % 24, minutes % 60);
    else
        snprintf(text, 24, "%s%ld:%02ld", sign, minutes / 60, minutes % 60);
}

static void show_time(const struct mx_settings *s, int pid)
{
    char says[24] = "-", left[24] = "-";
    long age = s->expected ? age_s(pid) : -1;
    if (s->expected)
        put_time((long)s->expected, says);
    if (age >= 0)
        put_time((long)s->expected - age, left);
    printf("%9s %9s ", says, left);
}

static void show(const char *line, const struct mosps_options *o)
{
    int pid;
    unsigned uid, job, moves;
    char comm[32], where[80], phase[32], why[256], noted[MX_SETTINGS_TEXT_MAX], flags[8];
    struct mx_settings s = { 0 };
    if (sscanf(line, "%d\t%u\t%u\t%31[^\t]\t%79[^\t]\t%31[^\t]\t%u\t%255[^\t]\t%255[^\n]", &pid,
               &uid, &job, comm, where, phase, &moves, why, noted) != 9)
        return;
    if (!o->is_all && uid != getuid())
        return;
    mx_settings_get(&s, noted);
    flags_of(&s, flags);
    printf("%7d %-12s %-12s %5u %5u %-5s %6u ", pid, where, phase, moves, job, flags, s.memory);
    if (o->is_time)
        show_time(&s, pid);
    printf("%s", comm);
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
    if (!list ||
        mx_client_ask(o.is_why ? "list why\n" : "list\n", list, MX_LISTING_MAX, &e) < 0) {
        fprintf(stderr, "mosps: %s\n", list ? e.text : "no memory");
        free(list);
        return 1;
    }
    printf("%7s %-12s %-12s %5s %5s %-5s %6s %s%s\n", "PID", "WHERE", "STATE", "MOVES", "JOB",
           "FLAGS", "NEEDMB", o.is_time ? "  SAIDHHMM  LEFTHHMM " : "", "CMD");
    for (char *line = list, *next; (next = strchr(line, '\n')); line = next + 1) {
        *next = 0;
        show(line, &o);
    }
    free(list);
    return 0;
}
