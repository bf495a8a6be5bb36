/* SPDX-License-Identifier: GPL-2.0-or-later */
/* options.c: mrc's command line.
 * Must not know: what is made of it. */
#include "mrc/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct opt table[] = {
#define OPT_STRUCT struct mrc_options
#include "common/sys/opt_begin.h"
#include "mrc/options.def"
#include "common/sys/opt_end.h"
};

static const struct opt_program program = {
    .name = "mrc",
    .usage = "[options] [user@]host[:port] [--] [command [argument]...]\n"
             "[options] local: [--] [command [argument]...]\n"
             "[options] --hosts list [--] command [argument]...\n"
             "ps\n"
             "stop [--jobs] [host]\n"
             "cache [show|clear] [user@]host",
    .about =
        "Runs a command on another computer as if it ran here: this computer's files at their "
        "own paths,\n"
        "terminal, pipes, signals and exit status stay here. Without a command: a login shell.",
    .options = table,
    .option_count = sizeof table / sizeof table[0],
};

/* [user@]host[:port], ssh://[user@]host[:port], [v6]:port, local: */
static int parse_host(struct mrc_options *o, const char *text, struct err *e)
{
    if (!strcmp(text, "local:")) {
        o->is_local = true;
        snprintf(o->host, sizeof o->host, "local");
        return 0;
    }
    if (!strncmp(text, "ssh://", 6))
        text += 6;
    const char *at = strrchr(text, '@');
    if (at) {
        if (at == text || (size_t)(at - text) >= sizeof o->user)
            return err_say(e, EINVAL, "the user name in \"%s\" is empty or too long", text);
        memcpy(o->user, text, (size_t)(at - text));
        text = at + 1;
    }
    const char *end = text + strlen(text), *port = NULL;
    if (*text == '[') {
        const char *close = strchr(text, ']');
        if (!close || (close[1] && close[1] != ':'))
            return err_say(e, EINVAL,
                           "\"%s\" is not a host: after \"]\" comes nothing or :port", text);
        port = close[1] ? close + 2 : NULL;
        text++;
        end = close;
    } else {
        const char *colon = strchr(text, ':');
        if (colon && !strchr(colon + 1, ':')) { /* two colons: an IPv6 address */
            port = colon + 1;
            end = colon;
        }
    }
    if (end == text || (size_t)(end - text) >= sizeof o->host || *text == '-')
        return err_say(e, EINVAL, "\"%s\" is not the name of a host", text);
    memcpy(o->host, text, (size_t)(end - text));
    o->host[end - text] = 0;
    if (port) {
        char *tail;
        unsigned long number = strtoul(port, &tail, 10);
        if (!*port || *tail || number < 1 || number > 65535)
            return err_say(e, EINVAL, "\"%s\" is not a port: host:port takes 1 to 65535", port);
        if (!o->port) {
            strncpy(o->port_text, port, sizeof o->port_text - 1);
            o->port = o->port_text;
        }
    }
    return 0;
}

static const struct {
    const char *name;
    enum mrc_verb verb;
} verbs[] = { { "ps", VERB_PS }, { "stop", VERB_STOP }, { "cache", VERB_CACHE } };

static enum mrc_verb verb_of(const char *word)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(verbs[i].name, word) == 0)
            return verbs[i].verb;
    return VERB_JOB;
}

/* [show|clear] host */
static int parse_cache(struct mrc_options *o, char **words, struct err *e)
{
    o->is_clearing = *words && !strcmp(*words, "clear");
    if (o->is_clearing || (*words && !strcmp(*words, "show")))
        words++;
    if (!*words || words[1])
        return err_say(e, EINVAL, "usage: mrc cache [show|clear] [user@]host; a host named "
                                  "\"cache\" is reached by mrc -- cache");
    return parse_host(o, *words, e);
}

/* words: what follows the command's name. */
static int parse_verb(struct mrc_options *o, char **words, struct err *e)
{
    for (; *words; words++) {
        bool is_host = o->verb == VERB_STOP && !o->host[0] && words[0][0] != '-';
        if (o->verb == VERB_STOP && strcmp(*words, "--jobs") == 0)
            o->with_jobs = true;
        else if (is_host && strlen(*words) < sizeof o->host)
            snprintf(o->host, sizeof o->host, "%s", *words);
        else
            return err_say(e, EINVAL,
                           "mrc %s does not take \"%s\"; a host of that name is reached by "
                           "mrc -- %s",
                           o->verb == VERB_PS ? "ps" : "stop", *words,
                           o->verb == VERB_PS ? "ps" : "stop");
    }
    return 0;
}

int mrc_options_host(struct mrc_options *o, const char *text, struct err *e)
{
    int rc = parse_host(o, text, e);
    if (rc < 0 || !o->login)
        return rc;
    if (strlen(o->login) >= sizeof o->user)
        return err_say(e, EINVAL, "the user name \"%s\" is too long", o->login);
    snprintf(o->user, sizeof o->user, "%s", o->login);
    return 0;
}

/* --hosts: what would need one host, or one terminal. */
static int check_several(const struct mrc_options *o, struct err *e)
{
    if (!o->command[0])
        return err_say(e, EINVAL, "--hosts needs a command");
    const char *which = o->tty ? "-t" : o->background ? "-f" : o->no_command ? "-N" : NULL;
    if (which)
        return err_say(e, EINVAL, "%s is for one host, not for --hosts", which);
    return 0;
}

/* The command of --as-ssh: as ssh does it, its words are put together for the user's shell there. */
static int join_command(struct mrc_options *o, struct err *e)
{
    static char *run[] = { (char *)"/bin/sh", (char *)"-c", (char *)"exec \"${SHELL:-/bin/sh}\" -c \"$0\"",
                           NULL, NULL };
    size_t size = 1;
    for (char **word = o->command; *word; word++)
        size += strlen(*word) + 1;
    char *at = run[3] = calloc(1, size); /* needed to the end */
    if (!at)
        return err_set(e, ENOMEM, "the command");
    for (char **word = o->command; *word; word++)
        at = stpcpy(stpcpy(at, word == o->command ? "" : " "), *word);
    o->command = run;
    return 0;
}

/* Options that stand for others. */
static int settle(struct mrc_options *o, struct err *e)
{
    if (o->ip_version && o->ssh_options.len < OPT_LIST_MAX)
        o->ssh_options.items[o->ssh_options.len++].arg =
            o->ip_version == 4 ? "AddressFamily=inet" : "AddressFamily=inet6";
    if (!o->as_ssh)
        return 0;
    o->view = VIEW_CHOICE_NONE;
    if (!o->command[0])
        return 0;
    o->no_tty |= !o->tty; /* ssh gives a command none unless it is asked to */
    return join_command(o, e);
}

static int parse_words(struct mrc_options *o, int argc, char **argv, struct err *e);

int mrc_options_parse(struct mrc_options *o, int argc, char **argv, struct err *e)
{
    const char *name = strrchr(argv[0], '/');
    o->as_ssh = strcmp(name ? name + 1 : argv[0], "mrc-ssh") == 0;
    int rc = parse_words(o, argc, argv, e);
    return rc == 0 && o->verb == VERB_JOB ? settle(o, e) : rc;
}

static int parse_words(struct mrc_options *o, int argc, char **argv, struct err *e)
{
    static char *none[] = { NULL };
    int first;
    int rc = opt_parse(&program, argc, argv, o, &first, e);
    if (rc)
        return rc;
    o->command = none;
    if (o->hosts.len) {
        o->command = argv + first;
        return check_several(o, e);
    }
    if (first >= argc)
        return err_say(e, EINVAL, "no host given; try mrc --help");
    if (o->parallel || o->output)
        return err_say(e, EINVAL, "--parallel and --output go with --hosts");
    bool is_host = first > 1 && strcmp(argv[first - 1], "--") == 0;
    o->verb = is_host ? VERB_JOB : verb_of(argv[first]);
    if (o->verb == VERB_CACHE) {
        if (o->login)
            snprintf(o->user, sizeof o->user, "%s", o->login);
        return parse_cache(o, argv + first + 1, e);
    }
    if (o->verb != VERB_JOB)
        return parse_verb(o, argv + first + 1, e);
    if ((rc = mrc_options_host(o, argv[first], e)) < 0)
        return rc;
    first++;
    if (first < argc && !strcmp(argv[first], "--"))
        first++;
    if (first < argc)
        o->command = argv + first;
    if (o->background && !o->command[0])
        return err_say(e, EINVAL, "-f needs a command");
    return 0;
}
