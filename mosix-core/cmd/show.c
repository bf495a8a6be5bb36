/* SPDX-License-Identifier: GPL-2.0-or-later */
/* show.c: mosctl's verbs that look: the daemon's answers as text.
 * Must not know: how nodes come to be known. Source: docs/control.md. */
#include "mosix-core/cmd/nodelist.h"
#include "mosix-core/cmd/mosctl.h"

#include "common/sys/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- fields ---- */

static const char *words(const struct json_value *o, const char *key)
{
    const char *text = jval_words(jval_in(o, key));
    return text ? text : "-";
}

/* A figure as text, or "-". */
static const char *figure(const struct json_value *o, const char *key)
{
    static char texts[16][24];
    static unsigned next;
    char *text = texts[next++ % 16]; /* those of a line are in use at a time */
    int64_t value;
    if (!jval_whole(jval_in(o, key), &value))
        return "-";
    snprintf(text, sizeof texts[0], "%" PRId64, value);
    return text;
}

static const char *hundredths(const struct json_value *o, const char *key)
{
    static char texts[4][32];
    static unsigned next;
    char *text = texts[next++ % 4];
    int64_t value;
    if (!jval_whole(jval_in(o, key), &value) || value < 0)
        return "-";
    snprintf(text, sizeof texts[0], "%" PRId64 ".%02d", value / 100, (int)(value % 100));
    return text;
}

/* Ages as people read them. */
static const char *age(const struct json_value *o)
{
    static char text[32];
    int64_t ms;
    if (!jval_whole(jval_in(o, "age_ms"), &ms))
        return "-";
    if (ms < 100 * 1000)
        snprintf(text, sizeof text, "%d.%ds", (int)(ms / 1000), (int)(ms / 100 % 10));
    else
        snprintf(text, sizeof text, "%" PRId64 "m", ms / 60000);
    return text;
}

/* ---- status ---- */

/* "3/64"; "3 shut" of a node that takes none. */
static const char *guests(const struct json_value *n)
{
    static char text[40];
    if (jval_true(jval_in(n, "is_blocked")))
        snprintf(text, sizeof text, "%s shut", figure(n, "guests"));
    else
        snprintf(text, sizeof text, "%s/%s", figure(n, "guests"), figure(n, "guests_max"));
    return text;
}

static void show_line(const struct json_value *n)
{
    char state[16];
    snprintf(state, sizeof state, "%.10s%s", words(n, "state"),
             jval_true(jval_in(n, "is_revoked")) ? "!" : "");
    printf("%5s %-16s %-8s %6s %6s %6s %4s/%-4s %7s/%-7s %8s\n", figure(n, "number"),
           words(n, "name"), state, age(n), hundredths(n, "load_centi"), figure(n, "speed"),
           figure(n, "idle_cores"), figure(n, "cores"), figure(n, "memory_free_mb"),
           figure(n, "memory_mb"), guests(n));
}

static void show_raw(const struct json_value *n)
{
    static const char *const figures[] = { "age_ms",    "load_centi",     "load_raw_centi",
                                           "speed",     "cores",          "idle_cores",
                                           "memory_mb", "memory_free_mb", "guests",
                                           "frozen" };
    printf("%s\t%s\t%s\t%s", figure(n, "number"), words(n, "name"), words(n, "address"),
           words(n, "state"));
    for (unsigned i = 0; i < ARRAY_LEN(figures); i++)
        printf("\t%s", figure(n, figures[i]));
    putchar('\n');
}

static bool is_it(const struct json_value *n, const char *what)
{
    return strcmp(figure(n, "number"), what) == 0 || strcmp(words(n, "name"), what) == 0 ||
           strcmp(words(n, "address"), what) == 0;
}

static int show_nodes(const struct json_value *top, const char *what,
                      void (*show)(const struct json_value *n), struct err *e)
{
    const struct json_value *nodes = jval_in(top, "nodes"), *found = NULL;
    for (size_t i = 0; i < jval_count(nodes); i++) {
        const struct json_value *n = jval_at(nodes, i);
        if (what && (found || !is_it(n, what)))
            continue;
        found = n;
        show(n);
    }
    if (what && !found)
        return err_say(e, ENOENT, "no node is called %.80s", what);
    const char *state = words(found, "state");
    if (what && strcmp(state, "alive") != 0 && strcmp(state, "suspect") != 0)
        return err_say(e, EHOSTDOWN, "node %.80s is %s", words(found, "name"), state);
    return 0;
}

static int status(const struct mosctl_options *o, const char *what, bool has_heading,
                  void (*show)(const struct json_value *n), struct err *e)
{
    struct nodelist l;
    int rc = nodelist_ask(&l, "status\n", e);
    if (rc < 0)
        return rc;
    if (o->is_json) {
        fputs(l.text, stdout);
    } else {
        if (has_heading)
            printf("%5s %-16s %-8s %6s %6s %6s %4s/%-4s %7s/%-7s %8s\n", "NODE", "NAME",
                   "STATE", "AGE", "LOAD", "SPEED", "IDLE", "CORE", "FREE", "MB", "GUESTS");
        rc = show_nodes(l.top, what, show, e);
    }
    nodelist_drop(&l);
    return rc;
}

int mosctl_status(const struct mosctl_options *o, const char *what, struct err *e)
{
    return status(o, what, true, show_line, e);
}

int mosctl_rstatus(const struct mosctl_options *o, const char *what, struct err *e)
{
    return status(o, what, false, show_raw, e);
}

/* ---- this node ---- */

static void show_object(const struct json_value *o, const char *title, const char *const *keys)
{
    printf("%-12s", title);
    for (; *keys; keys++)
        printf(" %s %s", *keys, figure(o, *keys));
    putchar('\n');
}

/* Whose they are, one a line: the process that has it here, its program, its home and its
 * number there. */
static int show_guests(struct err *e)
{
    struct nodelist l;
    int rc = nodelist_ask(&l, "processes\n", e);
    if (rc < 0)
        return rc;
    const struct json_value *guests = jval_in(l.top, "guests");
    for (size_t i = 0; i < jval_count(guests); i++) {
        const struct json_value *g = jval_at(guests, i);
        printf("%-12s %s %s of %s, there %s, priority %s%s\n", "guest", figure(g, "pid"),
               words(g, "command"), words(g, "home_name"), figure(g, "home_pid"),
               figure(g, "priority"), jval_true(jval_in(g, "is_leaving")) ? ", leaves" : "");
    }
    nodelist_drop(&l);
    return 0;
}

int mosctl_localstatus(const struct mosctl_options *o, const char *what, struct err *e)
{
    static const char *const psi[] = { "cpu_some_centi",    "memory_some_centi",
                                       "memory_full_centi", "io_some_centi",
                                       "io_full_centi",     NULL };
    static const char *const rules[] = { "block",      "stay",    "lstay", "maxguests",
                                         "gridguests", "maxload", NULL };
    static const char *const memory[] = { "total_mb", "available_mb", "swap_mb", "swap_free_mb",
                                          NULL };
    static const char *const gossip[] = { "epoch",     "health", "suspected", "died",
                                          "refuted",   "forged", "limited",   "unknown",
                                          "malformed", NULL };
    struct nodelist l;
    if (what)
        return err_say(e, EINVAL, "localstatus takes no arguments but options");
    int rc = nodelist_ask(&l, "local\n", e);
    if (rc < 0)
        return rc;
    const struct json_value *n = jval_in(l.top, "node"), *load = jval_in(l.top, "load");
    const struct json_value *config = jval_in(l.top, "config");
    if (o->is_json) {
        fputs(l.text, stdout);
        nodelist_drop(&l);
        return 0;
    }
    printf("%-12s %s %s at %s port %s, cluster %s, life %s\n", "node", figure(n, "number"),
           words(n, "name"), words(n, "address"), figure(n, "port"), figure(n, "cluster"),
           figure(n, "life"));
    printf("%-12s kernel %s, x86-64 level %s, mosixd %s, up %s s\n", "system",
           words(n, "kernel"), figure(n, "cpu_level"), words(n, "version"),
           figure(l.top, "uptime_s"));
    printf("%-12s own %s, told %s, runnable %s, one minute %s; speed %s, cores %s, idle %s\n",
           "load", hundredths(load, "own_centi"), hundredths(load, "told_centi"),
           hundredths(load, "runnable_centi"), hundredths(load, "one_min_centi"),
           figure(n, "speed"), figure(n, "cores"), figure(n, "idle_cores"));
    show_object(jval_in(l.top, "memory"), "memory", memory);
    show_object(jval_in(l.top, "psi"), "pressure", psi);
    show_object(jval_in(l.top, "gossip"), "gossip", gossip);
    printf("%-12s guests %s, of other clusters %s, frozen %s\n", "processes",
           figure(n, "guests"), figure(l.top, "guests_of_partners"), figure(n, "frozen"));
    rc = show_guests(e);
    show_object(jval_in(l.top, "rules"), "rules", rules);
    printf("%-12s %s\n", "partition", words(n, "partition"));
    printf("%-12s %s, read at %s%s%s\n", "map", words(config, "map"), figure(config, "read_s"),
           jval_words(jval_in(config, "error")) ? "; a newer one is refused: " : "",
           jval_words(jval_in(config, "error")) ? words(config, "error") : "");
    nodelist_drop(&l);
    return rc;
}

int mosctl_whois(const struct mosctl_options *o, const char *what, struct err *e)
{
    char request[128];
    struct nodelist l;
    if (!what)
        return err_say(e, EINVAL, "whois needs a node: its number, name or address");
    snprintf(request, sizeof request, "whois %.100s\n", what);
    int rc = nodelist_ask(&l, request, e);
    if (rc < 0)
        return rc;
    if (o->is_json)
        fputs(l.text, stdout);
    else
        printf("%s %s %s %s\n", figure(l.top, "number"), words(l.top, "name"),
               words(l.top, "address"), words(l.top, "cluster_name"));
    nodelist_drop(&l);
    return 0;
}
