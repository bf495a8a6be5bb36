/* SPDX-License-Identifier: GPL-2.0-or-later */
/* opt.c: option tables to getopt_long and --help.
 * Must not know: any program. */
#include "common/sys/opt.h"

#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HELP_COLUMN = 28, /* where help texts start */
    HELP_WIDTH = 80,
    LONG_BASE = 0x1000 /* getopt value of the long name of option 0 */
};

static const struct opt builtin[] = {
    { .long_name = "help", .help = "print this text and end", .kind = OPT_KIND_FLAG },
    { .short_name = 'V',
      .long_name = "version",
      .help = "print the version and end",
      .kind = OPT_KIND_FLAG },
};

/* The program's options, then ours. */
static const struct opt *option_at(const struct opt_program *p, size_t i)
{
    return i < p->option_count ? &p->options[i] : &builtin[i - p->option_count];
}

static size_t option_total(const struct opt_program *p)
{
    return p->option_count + ARRAY_LEN(builtin);
}

static const struct opt *by_letter(const struct opt_program *p, int letter)
{
    for (size_t i = 0; i < option_total(p); i++)
        if (option_at(p, i)->short_name == letter)
            return option_at(p, i);
    return NULL;
}

/* "--port" or "-p" for messages. */
static void spell(const struct opt *o, char *text, size_t size_bytes)
{
    if (o->long_name)
        snprintf(text, size_bytes, "--%s", o->long_name);
    else
        snprintf(text, size_bytes, "-%c", o->short_name);
}

static int wrong(const struct opt *o, const char *arg, const char *expected, struct err *e)
{
    char name[64];
    spell(o, name, sizeof name);
    err_set(e, 0, "option %s: '%s' is not %s", name, arg, expected);
    return -EINVAL;
}

static int take_number(const struct opt *o, const char *arg, long long *v, struct err *e)
{
    char *end;
    errno = 0;
    long long x = strtoll(arg, &end, 10);
    bool is_number = (isdigit((unsigned char)*arg) || *arg == '-') && end != arg && !*end;
    if (!is_number || errno || x < o->min || x > o->max) {
        char expected[80];
        snprintf(expected, sizeof expected, "a whole number from %lld to %lld", o->min, o->max);
        return wrong(o, arg, expected, e);
    }
    *v = x;
    return 0;
}

static int take_choice(const struct opt *o, const char *arg, int *v, struct err *e)
{
    size_t len = strlen(arg);
    int place = 0;
    for (const char *word = o->arg_name; word; place++) {
        const char *bar = strchr(word, '|');
        size_t word_len = bar ? (size_t)(bar - word) : strlen(word);
        if (len == word_len && !memcmp(word, arg, len)) {
            *v = place;
            return 0;
        }
        word = bar ? bar + 1 : NULL;
    }
    char expected[120];
    snprintf(expected, sizeof expected, "one of %s", o->arg_name);
    return wrong(o, arg, expected, e);
}

static int take_list(const char *arg, const struct opt *o, struct opt_list *list, struct err *e)
{
    if (list->len >= OPT_LIST_MAX) {
        char name[64];
        spell(o, name, sizeof name);
        return err_say(e, ENOSPC, "option %s: more than %d are given", name, OPT_LIST_MAX);
    }
    list->items[list->len].id = (int)o->min;
    list->items[list->len].arg = arg;
    list->len++;
    return 0;
}

static int apply(const struct opt *o, const char *arg, void *target, struct err *e)
{
    void *field = (char *)target + o->offset;
    switch (o->kind) {
    case OPT_KIND_SECTION: break;
    case OPT_KIND_FLAG: *(bool *)field = true; break;
    case OPT_KIND_COUNT: *(int *)field += 1; break;
    case OPT_KIND_SET: *(int *)field = (int)o->min; break;
    case OPT_KIND_TEXT: *(const char **)field = arg; break;
    case OPT_KIND_NUMBER: return take_number(o, arg, field, e);
    case OPT_KIND_CHOICE: return take_choice(o, arg, field, e);
    case OPT_KIND_LIST: return take_list(arg, o, field, e);
    }
    return 0;
}

/* What getopt_long wants. */
struct getopt_tables {
    char letters[2 * OPT_TABLE_MAX + 3];
    struct option longs[OPT_TABLE_MAX + 1];
};

static int build(const struct opt_program *p, struct getopt_tables *g, struct err *e)
{
    if (option_total(p) > OPT_TABLE_MAX)
        return err_say(e, ENOSPC, "%s has more than %d options", p->name, OPT_TABLE_MAX);
    memset(g, 0, sizeof *g);
    size_t letters = 0, longs = 0;
    g->letters[letters++] = '+'; /* stop at the first argument that is no option */
    g->letters[letters++] = ':'; /* tell a missing argument from an unknown option */
    for (size_t i = 0; i < option_total(p); i++) {
        const struct opt *o = option_at(p, i);
        if (o->short_name) {
            g->letters[letters++] = (char)o->short_name;
            if (o->arg_name)
                g->letters[letters++] = ':';
        }
        if (o->long_name)
            g->longs[longs++] =
                (struct option){ .name = o->long_name,
                                 .has_arg = o->arg_name ? required_argument : no_argument,
                                 .val = LONG_BASE + (int)i };
    }
    return 0;
}

static const struct opt *by_value(const struct opt_program *p, int value)
{
    return value >= LONG_BASE ? option_at(p, (size_t)(value - LONG_BASE)) : by_letter(p, value);
}

/* Words for '?' and ':' of getopt_long. */
static int complain(const struct opt_program *p, int found, const char *arg, struct err *e)
{
    const struct opt *o = optopt ? by_value(p, optopt) : NULL;
    char name[64];
    if (o)
        spell(o, name, sizeof name);
    if (o && found == ':')
        err_set(e, 0, "option %s needs an argument (%s); see %s --help", name, o->arg_name,
                p->name);
    else if (o)
        err_set(e, 0, "option %s takes no argument, but has one in '%s'", name, arg);
    else if (optopt)
        err_set(e, 0, "unknown option '-%c'; see %s --help", optopt, p->name);
    else
        err_set(e, 0, "unknown or shortened option '%s'; see %s --help", arg, p->name);
    return -EINVAL;
}

static int print_version(const struct opt_program *p)
{
    printf("%s %s\n", p->name, PACKAGE_VERSION);
    return fflush(stdout) || ferror(stdout) ? -EIO : 0;
}

int opt_parse(const struct opt_program *p, int argc, char **argv, void *target, int *first_out,
              struct err *e)
{
    struct getopt_tables g;
    int rc = build(p, &g, e);
    if (rc < 0)
        return rc;
    optind = 0; /* start afresh */
    opterr = 0;
    for (;;) {
        int found = getopt_long(argc, argv, g.letters, g.longs, NULL);
        if (found < 0)
            break;
        if (found == '?' || found == ':')
            return complain(p, found, argv[optind - 1], e);
        const struct opt *o = by_value(p, found);
        if (o == &builtin[0] || o == &builtin[1]) {
            rc = o == &builtin[0] ? opt_help(p) : print_version(p);
            return rc < 0 ? err_set(e, -rc, "write to standard output") : OPT_DONE;
        }
        rc = apply(o, o->arg_name ? optarg : NULL, target, e);
        if (rc < 0)
            return rc;
    }
    *first_out = optind;
    return 0;
}

int opt_apply(const struct opt_program *p, const char *long_name, const char *value,
              void *target, struct err *e)
{
    for (size_t i = 0; i < p->option_count; i++) {
        const struct opt *o = &p->options[i];
        if (!o->long_name || strcmp(o->long_name, long_name))
            continue;
        if (!value != !o->arg_name) {
            err_set(e, 0, value ? "option %s takes no value" : "option %s needs a value",
                    long_name);
            return -EINVAL;
        }
        return apply(o, value, target, e);
    }
    err_set(e, 0, "unknown option '%s'", long_name);
    return -ENOENT;
}

/* Prints text from column HELP_COLUMN on, broken at spaces; at is the column reached. */
static void print_help(const char *text, int at)
{
    if (at > HELP_COLUMN - 2) {
        putchar('\n');
        at = 0;
    }
    printf("%*s", HELP_COLUMN - at, "");
    at = HELP_COLUMN;
    while (*text) {
        int len = (int)strcspn(text, " ");
        if (at > HELP_COLUMN && at + 1 + len > HELP_WIDTH) {
            printf("\n%*s", HELP_COLUMN, "");
            at = HELP_COLUMN;
        }
        at += printf("%s%.*s", at > HELP_COLUMN ? " " : "", len, text);
        text += len;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static void print_option(const struct opt *o)
{
    int at = o->short_name ? printf("  -%c%s", o->short_name, o->long_name ? ", " : "")
                           : printf("      ");
    if (o->long_name)
        at += printf("--%s", o->long_name);
    if (o->arg_name)
        at += printf(" %s", o->arg_name);
    print_help(o->help, at);
}

int opt_help(const struct opt_program *p)
{
    const char *line = p->usage;
    for (bool is_first = true; line && *line; is_first = false) {
        int len = (int)strcspn(line, "\n");
        printf("%s %s %.*s\n", is_first ? "Usage:" : "      ", p->name, len, line);
        line += len + (line[len] == '\n');
    }
    if (p->about)
        printf("%s\n", p->about);
    for (size_t i = 0; i < option_total(p); i++) {
        const struct opt *o = option_at(p, i);
        if (i == p->option_count)
            printf("\nOther:\n");
        if (o->kind == OPT_KIND_SECTION)
            printf("\n%s:\n", o->help);
        else if (o->help)
            print_option(o);
    }
    return fflush(stdout) || ferror(stdout) ? -EIO : 0;
}
