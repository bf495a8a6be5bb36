/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mosimg.c: what is in checkpoints, and whether they are whole.
 * Must not know: how one is made or used. */
#include "mosix-core/cmd/inspect.h"

#include "common/sys/opt.h"

#include <errno.h>
#include <stdio.h>

struct mosimg_options {
    bool is_quiet;
};

static const struct opt table[] = {
#define OPT_STRUCT struct mosimg_options
#include "common/sys/opt_begin.h"
#include "mosix-core/cmd/mosimg.def"
#include "common/sys/opt_end.h"
};

static const struct opt_program program = { "mosimg", "[-q] FILE...",
                                            "Says what is in checkpoints of processes, and "
                                            "verifies that they are whole.",
                                            table, ARRAY_LEN(table) };

int main(int argc, char **argv)
{
    struct mosimg_options o = { 0 };
    struct err e = { "" };
    int first, worst = 0, rc = opt_parse(&program, argc, argv, &o, &first, &e);
    if (rc == OPT_DONE)
        return 0;
    if (rc == 0 && first >= argc)
        rc = err_say(&e, EINVAL, "which file?");
    if (rc < 0) {
        fprintf(stderr, "mosimg: %s\n", e.text);
        return 2;
    }
    for (int i = first; i < argc; i++) {
        if (argc - first > 1 && !o.is_quiet)
            printf("%s%s:\n", i > first ? "\n" : "", argv[i]);
        worst |=
            mx_inspect("mosimg", argv[i], o.is_quiet ? MX_INSPECT_NOTHING : MX_INSPECT_ALL);
    }
    return worst;
}
