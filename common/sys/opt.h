/* SPDX-License-Identifier: GPL-2.0-or-later */
/* opt.h: a program's options from one table: parsing, --help, --version.
 * Must not know: any program.
 * The table is the program's options.def, which also feeds the shell completion
 * (build-aux/options2completion.awk) and the check against the man page
 * (tests/tidy/check-options). A program uses it like this:
 *
 *     struct mrc_options { const char *port; bool is_quiet; struct opt_list view; };
 *     static const struct opt table[] = {
 *     #define OPT_STRUCT struct mrc_options
 *     #include "common/sys/opt_begin.h"
 *     #include "mrc/options.def"
 *     #include "common/sys/opt_end.h"
 *     };
 *
 * A .def holds, one to a line (help may go on in the next lines):
 *     OPT_SECTION("Connection")
 *     OPT('p', "port", "PORT", port, TEXT, "connect to this port")
 * with the short letter or 0, the long name or NULL, the argument's name or NULL, the field of
 * the program's struct, the kind, and the help text, NULL for a hidden option. Kinds and their
 * fields:
 *     FLAG                 bool, becomes true
 *     COUNT                int, one more each time
 *     SET(value)           int, becomes the value; the last of several wins
 *     TEXT                 const char *, the last wins
 *     NUMBER(min, max)     long long, within the bounds, decimal
 *     CHOICE               int, the place (from 0) of the word in the argument's name, which
 *                          lists the words: "home|root"
 *     LIST(id)             struct opt_list, every occurrence in the order given; several
 *                          options may fill one list, id tells them apart
 * --help and -V, --version are always there. */
#ifndef COMMON_SYS_OPT_H
#define COMMON_SYS_OPT_H

#include "common/base/attr.h"
#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    OPT_TABLE_MAX = 128, /* options of one program */
    OPT_LIST_MAX = 512   /* occurrences in one list */
};

/* Returned by opt_parse besides 0 and errors: --help or --version was answered on stdout. */
enum { OPT_DONE = 1 };

enum opt_kind {
    OPT_KIND_SECTION,
    OPT_KIND_FLAG,
    OPT_KIND_COUNT,
    OPT_KIND_SET,
    OPT_KIND_TEXT,
    OPT_KIND_NUMBER,
    OPT_KIND_CHOICE,
    OPT_KIND_LIST
};

/* One line of a table; written by the macros of opt_begin.h only. */
struct opt {
    int short_name;
    const char *long_name;
    const char *arg_name;
    size_t offset;
    const char *help;
    enum opt_kind kind;
    long long min; /* also the value of SET and the id of LIST */
    long long max;
};

struct opt_list {
    size_t len;
    struct {
        int id;
        const char *arg; /* points into argv; NULL when the option takes none */
    } items[OPT_LIST_MAX];
};

struct opt_program {
    const char *name;
    const char *usage; /* what follows "Usage: name ", one line per form */
    const char *about; /* a sentence or two, shown under the usage */
    const struct opt *options;
    size_t option_count;
};

/* Parses argv up to the first argument that is no option, or "--". Fields not named on the
 * command line keep what they had.
 *   target     the program's struct
 *   first_out  index in argv of the first argument that is no option; argc if there is none
 * Returns 0; OPT_DONE after --help or --version; -EINVAL with one sentence in e for a mistake
 * of the user; -ENOSPC for more than OPT_LIST_MAX in a list. Uses getopt_long, so one thread at
 * a time. */
MUST int opt_parse(const struct opt_program *p, int argc, char **argv, void *target,
                   int *first_out, struct err *e);

/* Applies one option by its long name, as a configuration line or a mount option names it.
 *   value  NULL when none is given; must live as long as target otherwise
 * Returns 0; -ENOENT when there is no such option; -EINVAL. */
MUST int opt_apply(const struct opt_program *p, const char *long_name, const char *value,
                   void *target, struct err *e);

/* Prints the usage and all options that are not hidden. Returns 0, or -EIO if stdout fails. */
MUST int opt_help(const struct opt_program *p);

#endif
