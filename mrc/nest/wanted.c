/* SPDX-License-Identifier: GPL-2.0-or-later */
/* wanted.c: what a job's mrc may want.
 * Must not know: processes. */
#include "mrc/nest/wanted.h"

#include "common/sys/log.h"
#include "common/sys/mem.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What only the user of the first mrc may say, by the field that tells it was said. */
static const char *reserved(const struct mrc_options *w)
{
    const struct {
        bool is_said;
        const char *option;
    } rows[] = {
        { w->config_file != NULL, "-F" },
        { w->jump != NULL, "-J" },
        { w->via != NULL, "--via" },
        { w->identities.len > 0, "-i" },
        { w->ssh_options.len > 0, "-o" },
        { w->trees.len > 0, "--head, --target, --scratch, --overlay, --ro" },
        { w->hiding.len > 0, "--hide, --show" },
        { w->nest.len > 0, "--nest" },
        { w->hosts.len > 0, "--hosts" },
        { w->view == VIEW_CHOICE_ROOT, "--view root" },
        { w->forward_agent, "-A" },
        { w->background, "-f" },
        { w->no_command, "-N" },
        { w->is_local, "local:" },
        { w->verb != VERB_JOB, "this command" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].is_said)
            return rows[i].option;
    return NULL;
}

/* Names go into commands: into our ProxyCommand, and into what ssh_config may run for a host. */
static bool is_plain(const char *name)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:";
    return name[0] != '-' && strspn(name, plain) == strlen(name);
}

static bool is_allowed(const struct mrc_options *o, const char *host)
{
    for (size_t i = 0; i < o->nest.len; i++)
        if (fnmatch(o->nest.items[i].arg, host, 0) == 0)
            return true;
    return false;
}

/* The first ProxyCommand counts: before all that the user said. */
static int put_proxy(struct mrc_options *o, const char *dial_name, struct err *e)
{
    char self[PATH_MAX], *text;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0)
        return err_set(e, errno, "read /proc/self/exe");
    self[n] = 0;
    if (strchr(self, '\''))
        return err_say(e, EINVAL, "mrc is in a directory with a quote in its name: %s", self);
    if (o->ssh_options.len == OPT_LIST_MAX ||
        asprintf(&text, "ProxyCommand='%s' --nest-dial %s %%h %%p", self, dial_name) < 0)
        return err_set(e, ENOMEM, "options of ssh");
    memmove(o->ssh_options.items + 1, o->ssh_options.items,
            o->ssh_options.len * sizeof o->ssh_options.items[0]);
    o->ssh_options.items[0].arg = text; /* to the end */
    o->ssh_options.len++;
    return 0;
}

static int copy_texts(struct bytes texts, const char *first, char ***out, struct err *e)
{
    char **list = calloc(JOB_ARGS_MAX + 1, sizeof *list);
    uint8_t *copy = malloc(texts.len + 1); /* both to the end */
    if (!list || !copy)
        return err_set(e, ENOMEM, "arguments");
    memcpy(copy, texts.ptr, texts.len);
    list[0] = (char *)first;
    int count = job_texts((struct bytes){ copy, texts.len }, list + (first != NULL),
                          JOB_ARGS_MAX);
    *out = list;
    return count < 0 ? err_set(e, -count, "arguments") : count + (first != NULL);
}

static int take(struct mrc_options *o, const struct job_spec *spec, struct mrc_options *w,
                struct err *e)
{
    char **argv;
    int argc = copy_texts(spec->argv, "mrc", &argv, e);
    if (argc < 0)
        return argc;
    int rc = mrc_options_parse(w, argc, argv, e);
    if (rc != 0)
        return rc;
    const char *option = reserved(w);
    if (option)
        return err_say(e, EPERM, "a job's own mrc does not take %s: that is said where its "
                                 "files are", option);
    if (!is_plain(w->host) || !is_plain(w->user) || (w->port && !is_plain(w->port)))
        return err_say(e, EPERM,
                       "a job's own mrc takes names of letters, digits, dots, dashes and colons "
                       "only");
    if (!is_allowed(o, w->host))
        return err_say(e, EPERM,
                       "%s: this job may not start others there: mrc --nest %s at its head "
                       "allows it",
                       w->host, w->host);
    rc = copy_texts(spec->env, NULL, &o->job_env, e);
    char cwd[PATH_MAX];
    if (rc >= 0 && (bytes_to_text(spec->cwd, cwd, sizeof cwd) < 0 || cwd[0] != '/'))
        return err_say(e, EPROTO, "the working directory of the job");
    if (rc >= 0 && !(o->job_cwd = strdup(w->directory ? w->directory : cwd)))
        return err_set(e, ENOMEM, "working directory");
    return rc < 0 ? rc : 0;
}

int mrc_nest_wanted(struct mrc_options *o, const struct job_spec *spec, const char *dial_name)
{
    static struct mrc_options w;
    struct err e = { "" };
    int rc = take(o, spec, &w, &e);
    if (rc == 0)
        rc = put_proxy(o, dial_name, &e);
    if (rc < 0)
        log_error("%s", e.text);
    if (rc != 0)
        return rc;
    memcpy(o->host, w.host, sizeof o->host);
    memcpy(o->user, w.user, sizeof o->user);
    memcpy(o->port_text, w.port_text, sizeof o->port_text);
    o->port = w.port == w.port_text ? o->port_text : w.port;
    o->login = w.login;
    o->command = w.command;
    o->env = w.env;
    o->tty = w.tty;
    o->no_tty = w.no_tty;
    o->no_input = w.no_input;
    o->quiet = w.quiet;
    o->verbose = w.verbose;
    o->stats = w.stats;
    o->consistency = w.consistency;
    o->compress = w.compress;
    o->no_cache |= w.no_cache;
    o->no_profile |= w.no_profile;
    o->no_pid_ns = w.no_pid_ns;
    o->is_local = o->background = o->no_command = false;
    o->hosts.len = 0;
    o->via = NULL;
    o->no_hub = true; /* the connection is the first job's, and ends with it */
    return 0;
}
