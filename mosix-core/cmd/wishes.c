/* SPDX-License-Identifier: GPL-2.0-or-later */
/* wishes.c: reads mosrun's options.
 * Must not know: how they are made true. */
#include "mosix-core/cmd/wishes.h"

#include "common/base/attr.h"
#include "mosix-core/mosixd/mark.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* Letters of the original that need what is not there. */
static const struct {
    char letter;
    const char *words;
} unbuilt[] = {
    { 'q', "is not built yet: the queue" },
    { 'Q', "is not built yet: the queue" },
    { 'P', "is not built yet: the queue" },
    { 'S', "is not built yet: running a file of commands" },
    { 'T', "is not possible: programs read their clocks without asking anybody" },
    { 'X', "is not needed: the files of a program that was moved are at home, its temporary "
           "ones too" },
};

int mosrun_wrong(const char *text)
{
    fprintf(stderr, "mosrun: %s; see mosrun --help\n", text);
    return MOSRUN_WRONG;
}

static int refuse(const char *word)
{
    for (unsigned i = 0; i < ARRAY_LEN(unbuilt); i++)
        if (unbuilt[i].letter == word[1]) {
            fprintf(stderr, "mosrun: %s %s\n", word, unbuilt[i].words);
            return MOSRUN_WRONG;
        }
    fprintf(stderr, "mosrun: there is no option %s; see mosrun --help\n", word);
    return MOSRUN_WRONG;
}

void mosrun_help(void)
{
    puts(
        "Usage: mosrun [OPTION...] PROGRAM [ARGUMENT...]\n"
        "       mosrun [OPTION...] -RFILE [-OFD=FILE[,FD=FILE...]]\n"
        "       mosrun -IFILE\n"
        "Runs a program that migrate may move between the nodes of a cluster.\n"
        "\n"
        "Where it begins\n"
        "  -h      on this node, its home (as if nothing is said)\n"
        "  -rNODE, -NUMBER, -ADDRESS\n"
        "          on that node; it fails when the node does not answer\n"
        "  -jN-M,...\n"
        "          on one of the nodes of these numbers, by chance\n"
        "  -b      on the node with the least load that has room for -m\n"
        "  -G[CLASS]\n"
        "          and -b: on a node of another cluster, if none of this one has room\n"
        "  -F      with these: at home when the node does not answer\n"
        "  -E[/DIRECTORY], -M[/DIRECTORY]\n"
        "          its home is that node: it is started there by mrc, in the directory of the\n"
        "          same name or this one, as an ordinary process (-E) or by mosrun (-M)\n"
        "What it is\n"
        "  -JID    the number of the job that it and its children are part of\n"
        "  -L, -l  locked against automatic moves, or not\n"
        "  -mMB    it will need so much memory\n"
        "  -DDD:HH:MM\n"
        "          it will run so long: days, hours and minutes\n"
        "  -d N    what it did is forgotten by N of 10000 parts a second; noted only\n"
        "  -c, -n  it computes, whatever it calls; or is like others\n"
        "  -i      all of standard input is its own (as always)\n"
        "  -t      its clocks are those of where it runs (as always)\n"
        "  -e, -w, -u\n"
        "          for what is not supported away: it comes home for that in any case\n"
        "  -z      the first argument is the name that the program is told\n"
        "      --proc-files\n"
        "          its open() understands /proc/self/where, nmigs, lock and so on\n"
        "Checkpoints\n"
        "  -CFILE  they are called FILE.1, FILE.2, ... (default ckpt.PID.1, ...)\n"
        "  -AMIN   one is made every so many minutes\n"
        "  -NMAX   so many are kept: then the oldest gives way\n"
        "  -RFILE  instead of a program: one is made again of a checkpoint\n"
        "  -OFD=FILE\n"
        "          with -R: descriptor FD is of another file\n"
        "  -IFILE  instead of a program: says what is in a checkpoint, and whether it is "
        "whole\n"
        "\n"
        "      --help, --version\n"
        "\n"
        "Other options of the original are refused, with why.");
}

/* ---- values ---- */

static bool get_number(const char *text, unsigned long most, unsigned long *n)
{
    char *end;
    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    *n = strtoul(text, &end, 10);
    return !*end && !errno && *n <= most;
}

static int get_job(const char *text, struct mosrun_wishes *w)
{
    unsigned long n;
    if (!get_number(text, MX_JOB_ID_MAX, &n))
        return mosrun_wrong("-J needs a number, as in -J5");
    w->job = (unsigned)n;
    w->has_job = true;
    return 0;
}

static int get_memory(const char *text, struct mosrun_wishes *w)
{
    unsigned long n;
    if (!get_number(text, 1 << 24, &n))
        return mosrun_wrong("-m needs a number of MiB, as in -m500");
    w->settings.memory = (uint32_t)n;
    return 0;
}

static int get_class(const char *text, struct mosrun_wishes *w)
{
    unsigned long n;
    if (!get_number(text, 65535, &n))
        return mosrun_wrong("-G needs a number up to 65535, or none, as in -G2");
    w->settings.class = (uint32_t)n;
    return 0;
}

static int get_files(const char *text, struct mosrun_wishes *w)
{
    unsigned long n;
    if (!get_number(text, 100000, &n) || !n)
        return mosrun_wrong("-N needs a number from 1 to 100000, as in -N3");
    w->settings.files = (uint32_t)n;
    return 0;
}

static int get_minutes(const char *text, struct mosrun_wishes *w)
{
    char *end;
    double minutes = isdigit((unsigned char)*text) || *text == '.' ? strtod(text, &end) : -1;
    if (minutes <= 0 || *end || minutes > 366 * 24 * 60)
        return mosrun_wrong("-A needs minutes, as in -A30 or -A0.5");
    w->every = minutes * 60 < 1 ? 1 : (uint32_t)(minutes * 60);
    return 0;
}

static int get_node(const char *text, struct mosrun_wishes *w)
{
    if (!*text || strlen(text) >= sizeof w->node)
        return mosrun_wrong("-r needs a node, as in -rn1");
    snprintf(w->node, sizeof w->node, "%s", text);
    return 0;
}

/* "1-5,9": one of them. Each number that is named is as probable as any other. */
static int get_ranges(const char *text, struct mosrun_wishes *w)
{
    unsigned long first, last, seen = 0, chosen = 0;
    const char *at = text;
    while (isdigit((unsigned char)*at)) {
        char *end;
        first = last = strtoul(at, &end, 10);
        if (*end == '-' && isdigit((unsigned char)end[1]))
            last = strtoul(end + 1, &end, 10);
        if (first < 1 || last < first || last > 65535)
            break;
        unsigned long count = last - first + 1;
        uint32_t chance;
        if (getrandom(&chance, sizeof chance, 0) != sizeof chance)
            return mosrun_wrong("there is no chance here");
        seen += count;
        if (chance % seen < count)
            chosen = first + chance % seen;
        at = end;
        if (!*at) {
            snprintf(w->node, sizeof w->node, "%lu", chosen);
            return 0;
        }
        if (*at++ != ',')
            break;
    }
    return mosrun_wrong("-j needs numbers of nodes, as in -j1-5,9");
}

/* "1=out,3=other"; the list is cut up where it is, and the paths are made absolute, as the
 * program's directory is another. */
static int get_others(char *text, struct mosrun_wishes *w)
{
    char cwd[4000];
    for (char *word = text, *next; word; word = next) {
        char *equals = strchr(word, '=');
        unsigned long n;
        next = strchr(word, ',');
        if (next)
            *next++ = 0;
        if (!equals || (next && equals > next) || !equals[1])
            return mosrun_wrong("-O needs a descriptor and a file, as in -O1=out");
        *equals = 0;
        if (!get_number(word, 1 << 20, &n) || w->other_count == MOSRUN_OTHERS_MAX)
            return mosrun_wrong("-O needs a descriptor and a file, as in -O1=out");
        char *path = equals + 1;
        if (path[0] != '/' &&
            (!getcwd(cwd, sizeof cwd) || asprintf(&path, "%s/%s", cwd, equals + 1) < 0))
            return mosrun_wrong("the working directory can't be found");
        w->others[w->other_count++] = (struct mx_restore_other){ (unsigned)n, path };
    }
    return 0;
}

/* "DD:HH:MM", "HH:MM" or "MM". */
static int get_expected(const char *text, struct mosrun_wishes *w)
{
    static const unsigned per[] = { 24 * 3600, 3600, 60 };
    unsigned parts = 1;
    uint64_t seconds = 0;
    for (const char *at = text; *at; at++)
        parts += *at == ':';
    for (unsigned i = 3 - parts; parts <= 3 && i < 3; i++) {
        char *end;
        unsigned long n = isdigit((unsigned char)*text) ? strtoul(text, &end, 10) : 100000;
        bool is_last = i == 2;
        if (n > 99999 || *end != (is_last ? 0 : ':'))
            break;
        seconds += (uint64_t)n * per[i];
        text = end + !is_last;
        w->expected = is_last && seconds <= UINT32_MAX ? (uint32_t)seconds : 0;
    }
    return w->expected && !*text
               ? 0
               : mosrun_wrong("-D needs days, hours and minutes, as in -D1:12:30 or -D90");
}

static int get_decay(const char *text, struct mosrun_wishes *w)
{
    unsigned long n;
    if (!get_number(text, 10000, &n))
        return mosrun_wrong("-d needs a number up to 10000, as in -d 500");
    w->settings.decay = (uint32_t)n;
    return 0;
}

static int get_batch(const char *text, enum mosrun_batch batch, struct mosrun_wishes *w)
{
    if (*text && *text != '/')
        return mosrun_wrong("-E and -M may have a directory, as in -M/tmp");
    w->batch = batch;
    w->batch_dir = *text ? text : NULL;
    return 0;
}

static int get_file(const char *text, const char **file)
{
    if (!*text)
        return mosrun_wrong("-C, -R and -I need a file, as in -Rcount.1");
    *file = text;
    return 0;
}

/* ---- words ---- */

static int get_flag(char letter, struct mosrun_wishes *w)
{
    switch (letter) {
    case 'h':
        w->node[0] = 0;
        w->is_best = false;
        return 0;
    case 'b': w->is_best = true; return 0;
    case 'F': w->is_lenient = true; return 0;
    case 'L': w->settings.lock = 1; return 0;
    case 'l': w->settings.lock = 0; return 0;
    case 'G': w->settings.class = 1; return 0;
    case 'c': w->settings.cpujob = 1; return 0;
    case 'n': w->settings.cpujob = 0; return 0;
    case 'z': w->has_name = true; return 0;
    case 'E': return get_batch("", MOSRUN_BATCH_NATIVE, w);
    case 'M': return get_batch("", MOSRUN_BATCH_MOSIX, w);
    case 't':
    case 'i':
    case 'e':
    case 'w':
    case 'u': return 0;
    default: return -1;
    }
}

static int get_value(char letter, char *value, struct mosrun_wishes *w)
{
    switch (letter) {
    case 'D': return get_expected(value, w);
    case 'd': return get_decay(value, w);
    case 'E': return get_batch(value, MOSRUN_BATCH_NATIVE, w);
    case 'M': return get_batch(value, MOSRUN_BATCH_MOSIX, w);
    case 'J': return get_job(value, w);
    case 'G': return get_class(value, w);
    case 'm': return get_memory(value, w);
    case 'N': return get_files(value, w);
    case 'A': return get_minutes(value, w);
    case 'r': return get_node(value, w);
    case 'j': return get_ranges(value, w);
    case 'O': return get_others(value, w);
    case 'C': return get_file(value, &w->checkpoint);
    case 'R': return get_file(value, &w->recover);
    case 'I': return get_file(value, &w->inspect);
    default: return -1;
    }
}

/* Where it begins is decided here; all else mosrun does there. */
static int pass(struct mosrun_wishes *w, const char *word)
{
    if (isdigit((unsigned char)word[1]) || strchr("rjhbFEM", word[1]))
        return 0;
    if (w->passed_count == MOSRUN_PASSED_MAX)
        return mosrun_wrong("so many options make no sense");
    w->passed[w->passed_count++] = word;
    return 0;
}

int mosrun_parse(int argc, char **argv, struct mosrun_wishes *w)
{
    int i = 1;
    for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
        char *word = argv[i];
        int rc = -1;
        if (strcmp(word, "--") == 0)
            return i + 1;
        int status = pass(w, word);
        if (status)
            return -status;
        if (strcmp(word, "--proc-files") == 0) {
            w->has_proc_files = true;
            continue;
        }
        if (strcmp(word, "-d") == 0 &&
            i + 1 < argc) { /* the only one whose value may stand apart */
            rc = get_decay(argv[++i], w);
            if (rc == 0)
                rc = pass(w, argv[i]);
            if (rc)
                return -rc;
            continue;
        }
        if (isdigit((unsigned char)word[1]) &&
            strspn(word + 1, "0123456789.") == strlen(word + 1))
            rc = get_node(word + 1, w);
        else if (!word[2])
            rc = get_flag(word[1], w);
        if (rc < 0)
            rc = get_value(word[1], word + 2, w);
        if (rc != 0)
            return -(rc < 0 ? refuse(word) : rc);
    }
    return i;
}
