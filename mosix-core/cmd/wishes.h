/* SPDX-License-Identifier: GPL-2.0-or-later */
/* wishes.h: mosrun's options. They are those of the original, whose values are glued to their
 * letters, so they are read by hand; parsing ends at the first word that is none.
 * Must not know: how they are made true. */
#ifndef MOSIX_CORE_CMD_WISHES_H
#define MOSIX_CORE_CMD_WISHES_H

#include "mosix-core/image/restore.h"
#include "mosix-core/mosixd/settings.h"

#include <stdbool.h>

enum { MOSRUN_OTHERS_MAX = 64, MOSRUN_WRONG = 2 };

struct mosrun_wishes {
    unsigned job;
    bool has_job, has_name, has_proc_files;
    char node[64];   /* to begin there; "": at home */
    bool is_best;    /* where the load is least */
    bool is_lenient; /* at home when it can't */
    const char *checkpoint, *recover, *inspect;
    uint32_t every;              /* seconds; 0: no checkpoints by time */
    struct mx_settings settings; /* those of the outer mosrun, and changes */
    struct mx_restore_other others[MOSRUN_OTHERS_MAX];
    unsigned other_count;
};

/* w: its settings are those to begin with. Returns the index of the program, or what follows
 * the options; or -status of an end, after words on standard error. */
int mosrun_parse(int argc, char **argv, struct mosrun_wishes *w);

int mosrun_wrong(const char *text);
void mosrun_help(void);

#endif
