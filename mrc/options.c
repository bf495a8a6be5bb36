/* SPDX-License-Identifier: GPL-2.0-or-later */
/* options.c: mrc's command line.
 * Must not know: what is made of it. */
#include "mrc/options.h"

#include "mrc/mrc.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a detached job. */
enum { DETACHED_S = MRC_RECONNECT_MAX_S };

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
             "ps [--json]\n"
             "top [--once] [--json]\n"
             "stop [--jobs] [host]\n"
             "cache [show|clear] [user@]host\n"
             "logs [[user@]host]\n"
             "doctor [--json] [user@]host\n"
             "attach [--files] [host:]job\n"
             "detach [--end|--forget] [host:]job",
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

/* What stands in the place of a host; which words may follow, and which host. */
static const struct verb {
    const char *name;
    enum mrc_verb verb;
    enum { HOST_NONE, HOST_NAME, HOST_OPTIONAL, HOST_NEEDED } host;
    const char *usage;
} verbs[] = {
    { "ps", VERB_PS, HOST_NONE, "[--json]" },
    { "top", VERB_TOP, HOST_NONE, "[--once] [--json]" },
    { "stop", VERB_STOP, HOST_NAME, "[--jobs] [host]" },
    { "cache", VERB_CACHE, HOST_NEEDED, "[show|clear] [user@]host" },
    { "logs", VERB_LOGS, HOST_OPTIONAL, "[[user@]host]" },
    { "doctor", VERB_DOCTOR, HOST_NEEDED, "[--json] [user@]host" },
    { "attach", VERB_ATTACH, HOST_NAME, "[--files] [host:]job|host" },
    { "detach", VERB_DETACH, HOST_NAME, "[--end|--forget] [host:]job|host" },
};

static const struct {
    enum mrc_verb verb;
    const char *word;
    size_t field; /* a bool of struct mrc_options */
} verb_words[] = {
    { VERB_STOP, "--jobs", offsetof(struct mrc_options, with_jobs) },
    { VERB_PS, "--json", offsetof(struct mrc_options, wants_json) },
    { VERB_TOP, "--json", offsetof(struct mrc_options, wants_json) },
    { VERB_TOP, "--once", offsetof(struct mrc_options, is_once) },
    { VERB_DOCTOR, "--json", offsetof(struct mrc_options, wants_json) },
    { VERB_ATTACH, "--files", offsetof(struct mrc_options, files_only) },
    { VERB_DETACH, "--forget", offsetof(struct mrc_options, is_forgetting) },
    { VERB_DETACH, "--end", offsetof(struct mrc_options, is_ending) },
    { VERB_CACHE, "clear", offsetof(struct mrc_options, is_clearing) },
    { VERB_CACHE, "show", offsetof(struct mrc_options, is_showing) },
};

static const struct verb *verb_of(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (strcmp(verbs[i].name, word) == 0)
            return &verbs[i];
    return NULL;
}

static bool take_word(struct mrc_options *o, const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(verb_words); i++)
        if (verb_words[i].verb == o->verb && !strcmp(verb_words[i].word, word)) {
            *(bool *)((char *)o + verb_words[i].field) = true;
            return true;
        }
    return false;
}

/* words: what follows the command's name. */
static int parse_verb(struct mrc_options *o, const struct verb *v, char **words, struct err *e)
{
    bool is_wrong = false;
    int rc = 0;
    o->verb = v->verb;
    if (o->login)
        snprintf(o->user, sizeof o->user, "%s", o->login);
    for (; *words && !is_wrong && rc == 0; words++) {
        if ((!o->host[0] || words[0][0] == '-') && take_word(o, *words))
            continue;
        is_wrong = v->host == HOST_NONE || o->host[0] || words[0][0] == '-';
        if (!is_wrong && v->host == HOST_NAME) /* as the hub knows it */
            is_wrong = snprintf(o->host, sizeof o->host, "%s", *words) >= (int)sizeof o->host;
        else if (!is_wrong)
            rc = parse_host(o, *words, e);
    }
    if (rc == 0 && (is_wrong || (v->host == HOST_NEEDED && !o->host[0])))
        rc = err_say(e, EINVAL, "usage: mrc %s %s; a host named \"%s\" is reached by mrc -- %s",
                     v->name, v->usage, v->name, v->name);
    return rc;
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
    if (o->nest.len && o->view == VIEW_CHOICE_ROOT)
        return err_say(e, EINVAL, "--nest does not go with --view root: mrc has no place there");
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

static int settle_times(struct mrc_options *o, struct err *e)
{
    o->reconnect_s = o->detach ? DETACHED_S : MRC_RECONNECT_S;
    int rc = o->reconnect_for ? mrc_reconnect_time("--reconnect-for ", o->reconnect_for, &o->reconnect_s, e) : 0;
    if (rc == 0 && o->freeze_after)
        rc = mrc_reconnect_time("--freeze-after ", o->freeze_after, &o->freeze_s, e);
    return rc;
}

/* What a job without its head can't have. */
static int check_detach(const struct mrc_options *o, struct err *e)
{
    static const char why[] = "%s does not go with --detach: it needs this computer";
    if (!o->detach)
        return o->keep_output ? err_say(e, EINVAL, "--keep-output goes with --detach") : 0;
    const char *which = o->forward_agent ? "-A"
                        : o->nest.len    ? "--nest"
                        : o->background  ? "-f"
                        : o->no_command  ? "-N"
                        : o->hosts.len   ? "--hosts"
                                         : NULL;
    if (which)
        return err_say(e, EINVAL, why, which);
    return o->reconnect_s ? 0 : err_say(e, EINVAL, "--reconnect-for 0 does not go with --detach: the job would end at once");
}

static int parse_words(struct mrc_options *o, int argc, char **argv, struct err *e)
{
    static char *none[] = { NULL };
    int first;
    int rc = opt_parse(&program, argc, argv, o, &first, e);
    if (rc == 0)
        rc = settle_times(o, e);
    if (rc == 0)
        rc = check_detach(o, e);
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
    const struct verb *v = is_host ? NULL : verb_of(argv[first]);
    if (v)
        return parse_verb(o, v, argv + first + 1, e);
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
