/* SPDX-License-Identifier: GPL-2.0-or-later */
/* govern.c: mosctl's verbs of who administers a node: what it takes, who leaves, priorities of
 * partners. Must not know: what the daemon does with a rule. */
#include "mosix-core/cmd/client.h"
#include "mosix-core/cmd/mosctl.h"
#include "mosix-core/cmd/nodelist.h"
#include "mosix-core/net/lines.h"
#include "mosix-core/net/nodes.h"

#include "common/sys/mem.h"
#include "gossip/keyfile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LOOK_US = 200 * 1000, /* between looks at who is still here */
    END_MS = 10 * 1000,   /* until a daemon that was told to end has ended */
    GRID_GUESTS = 10,     /* the original's, when nothing is said */
};

static int set_rule(const char *name, long value, struct err *e)
{
    char request[96], answer[256];
    snprintf(request, sizeof request, "rule %s %ld\n", name, value);
    int rc = mx_client_ask(request, answer, sizeof answer, e);
    return rc < 0 ? rc : 0;
}

static int no_argument(const char *what, struct err *e)
{
    return what ? err_say(e, EINVAL, "'%.80s' is one argument too many", what) : 0;
}

static int get_rule(const char *name, int64_t *value, struct err *e)
{
    struct nodelist l;
    int rc = nodelist_ask(&l, "local\n", e);
    if (rc < 0)
        return rc;
    if (!jval_whole(jval_in(jval_in(l.top, "rules"), name), value))
        rc = err_say(e, EPROTO, "mosixd does not say what %s is", name);
    nodelist_drop(&l);
    return rc;
}

/* Shows it without an argument. */
static int number_rule(const char *name, const char *what, struct err *e)
{
    int64_t value;
    long number = what ? mx_line_number(what, 0, 1000000) : 0;
    if (number < 0)
        return err_say(e, EINVAL, "'%.80s' is no number", what);
    if (what)
        return set_rule(name, number, e);
    int rc = get_rule(name, &value, e);
    if (rc == 0)
        printf("%" PRId64 "\n", value);
    return rc;
}

/* clang-format off */
#define SWITCH(verb, rule, value)                                                              \
    int mosctl_##verb(const struct mosctl_options *o UNUSED, const char *what, struct err *e)  \
    {                                                                                          \
        int rc = no_argument(what, e);                                                         \
        return rc < 0 ? rc : set_rule(#rule, value, e);                                        \
    }
#define NUMBER(rule)                                                                           \
    int mosctl_##rule(const struct mosctl_options *o UNUSED, const char *what, struct err *e)  \
    {                                                                                          \
        return number_rule(#rule, what, e);                                                    \
    }
/* clang-format on */
SWITCH(stay, stay, 1)
SWITCH(nostay, stay, 0)
SWITCH(lstay, lstay, 1)
SWITCH(nolstay, lstay, 0)
SWITCH(block, block, 1)
SWITCH(noblock, block, 0)
SWITCH(closegrid, gridguests, 0)
NUMBER(maxguests)
NUMBER(gridguests)
NUMBER(maxload)

int mosctl_opengrid(const struct mosctl_options *o UNUSED, const char *what, struct err *e)
{
    long number = what ? mx_line_number(what, 0, 1000000) : GRID_GUESTS;
    return number < 0 ? err_say(e, EINVAL, "'%.80s' is no number", what)
                      : set_rule("gridguests", number, e);
}

/* ---- leaving ---- */

/* How many guests are here, or of other clusters only; or -errno. */
static int count_guests(bool is_partners_only, struct err *e)
{
    struct nodelist l;
    int64_t count = 0;
    int rc = nodelist_ask(&l, "local\n", e);
    if (rc < 0)
        return rc;
    const struct json_value *in = is_partners_only ? l.top : jval_in(l.top, "node");
    if (!jval_whole(jval_in(in, is_partners_only ? "guests_of_partners" : "guests"), &count))
        rc = err_say(e, EPROTO, "mosixd does not say how many guests there are");
    nodelist_drop(&l);
    return rc < 0 ? rc : (int)count;
}

/* Those that come meanwhile are asked, too: who wants none says block first. */
static int expel(bool is_partners_only, struct err *e)
{
    const char *request = is_partners_only ? "expel partners\n" : "expel all\n";
    char answer[256];
    for (;;) {
        int rc = mx_client_ask(request, answer, sizeof answer, e);
        if (rc < 0)
            return rc;
        usleep(LOOK_US); /* they leave one by one, and nobody calls */
        rc = count_guests(is_partners_only, e);
        if (rc <= 0)
            return rc;
    }
}

int mosctl_expel(const struct mosctl_options *o UNUSED, const char *what, struct err *e)
{
    int rc = no_argument(what, e);
    return rc < 0 ? rc : expel(false, e);
}

/* Asks those of our processes that are away, or in other clusters only, to come home. Returns
 * how many there were; or -errno. One that just moves is asked at the next look. */
static int call_home(struct err *e)
{
    struct nodelist l;
    char request[64], answer[256];
    int count = 0, rc = nodelist_ask(&l, "processes\n", e);
    if (rc < 0)
        return rc;
    const struct json_value *jobs = jval_in(l.top, "jobs");
    for (size_t i = 0; i < jval_count(jobs); i++) {
        const struct json_value *job = jval_at(jobs, i);
        const char *phase = jval_words(jval_in(job, "phase"));
        struct err why = { "" };
        int64_t where = -1, pid;
        bool is_home = jval_whole(jval_in(job, "where"), &where) && where == 0;
        if (!jval_whole(jval_in(job, "pid"), &pid) ||
            (is_home && phase && strcmp(phase, "settled") == 0))
            continue;
        count++;
        snprintf(request, sizeof request, "migrate %" PRId64 " home\n", pid);
        rc = mx_client_ask(request, answer, sizeof answer, &why);
        if (rc == -ECONNREFUSED)
            break;
    }
    nodelist_drop(&l);
    return rc == -ECONNREFUSED ? err_say(e, ECONNREFUSED, "mosixd has ended") : count;
}

int mosctl_bring(const struct mosctl_options *o UNUSED, const char *what, struct err *e)
{
    int rc = no_argument(what, e);
    while (rc == 0 && (rc = call_home(e)) > 0) {
        usleep(LOOK_US); /* nobody calls */
        rc = 0;
    }
    return rc;
}

/* Guests of other clusters go; none come. */
int mosctl_isolate(const struct mosctl_options *o UNUSED, const char *what, struct err *e)
{
    int rc = no_argument(what, e);
    if (rc == 0)
        rc = set_rule("gridguests", 0, e);
    if (rc == 0)
        rc = expel(true, e);
    return rc < 0 ? rc : mosctl_bring(o, NULL, e);
}

/* It tells the others first. */
static int await_end(struct err *e)
{
    char answer[1024];
    struct err why = { "" };
    for (unsigned i = 0; i < END_MS * 1000 / LOOK_US; i++) {
        if (mx_client_ask("whois 1\n", answer, sizeof answer, &why) == -ECONNREFUSED)
            return 0;
        usleep(LOOK_US); /* nobody calls */
    }
    return err_say(e, ETIMEDOUT, "mosixd has not ended within %d s", END_MS / 1000);
}

/* Nobody comes, all leave, the node's own come home, and mosixd ends. A node that was not
 * blocked is none when it is started again. */
int mosctl_shutdown(const struct mosctl_options *o, const char *what, struct err *e)
{
    char answer[256];
    int64_t was_blocked = 0;
    int rc = no_argument(what, e);
    if (rc == 0)
        rc = get_rule("block", &was_blocked, e);
    if (rc == 0)
        rc = set_rule("block", 1, e);
    if (rc == 0)
        rc = expel(false, e);
    if (rc == 0)
        rc = mosctl_bring(o, NULL, e);
    if (rc == 0)
        rc = set_rule("block", was_blocked != 0, e);
    if (rc == 0)
        rc = mx_client_ask("end\n", answer, sizeof answer, e);
    return rc < 0 ? rc : await_end(e);
}

/* ---- priorities ---- */

/* The line of the partner with its fourth word changed; comments stay. Returns whether there
 * was one. */
static bool change_line(const char *from, const char *partner, const char *priority, char *to,
                        size_t size)
{
    bool is_found = false;
    size_t len = 0;
    while (*from && len < size) {
        char name[64], takes[16], goes[16];
        int line = (int)strcspn(from, "\n");
        const char *comment = memchr(from, '#', (size_t)line);
        int words = comment ? (int)(comment - from) : line;
        char copy[256];
        snprintf(copy, sizeof copy, "%.*s", words, from);
        if (sscanf(copy, "%63s %15s %15s", name, takes, goes) == 3 &&
            strcmp(name, partner) == 0) {
            is_found = true;
            len += (size_t)snprintf(to + len, size - len, "%s %s %s %s%s%.*s\n", name, takes,
                                    goes, priority, comment ? " " : "", line - words,
                                    comment ? comment : "");
        } else {
            len += (size_t)snprintf(to + len, size - len, "%.*s\n", line, from);
        }
        from += line + (from[line] == '\n');
    }
    return is_found && len < size;
}

/* If the daemon refuses it, the file is as it was. */
int mosctl_cngpri(const struct mosctl_options *o, const char *what, struct err *e)
{
    char path[MOSCTL_PATH_MAX], answer[512];
    struct err why = { "" };
    if (!what || !o->value)
        return err_say(e, EINVAL, "cngpri needs a partner and a priority");
    if (strspn(o->value, "0123456789") != strlen(o->value))
        return err_say(e, EINVAL, "'%.80s' is no priority", o->value);
    /* The default of the owner's verbs is the current directory. */
    snprintf(path, sizeof path, "%.900s/partners",
             strcmp(o->dir, ".") == 0 ? "/etc/mosix" : o->dir);
    AUTO_FREE char *old = malloc(MX_CONFIG_MAX), *new = malloc(MX_CONFIG_MAX);
    if (!old || !new)
        return err_set(e, ENOMEM, "read %s", path);
    int rc = gsp_file_read(path, false, old, MX_CONFIG_MAX, e);
    if (rc < 0)
        return rc;
    if (!change_line(old, what, o->value, new, MX_CONFIG_MAX))
        return err_say(e, ENOENT, "%s has no partner %.80s", path, what);
    rc = gsp_file_replace(path, 0644, false, new, strlen(new), e);
    if (rc == 0)
        rc = mx_client_ask("reload\n", answer, sizeof answer, e);
    if (rc >= 0)
        return 0;
    if (gsp_file_replace(path, 0644, false, old, strlen(old), &why) < 0 ||
        mx_client_ask("reload\n", answer, sizeof answer, &why) < 0)
        return err_in(e, rc, "%s may not be as it was", path);
    return rc;
}
