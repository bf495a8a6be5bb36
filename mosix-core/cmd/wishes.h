/* SPDX-License-Identifier: GPL-2.0-or-later */
/* wishes.h: mosrun's options. They are those of the original, whose values are glued to their
 * letters, so they are read by hand; parsing ends at the first word that is none.
 * Must not know: how they are made true. */
#ifndef MOSIX_CORE_CMD_WISHES_H
#define MOSIX_CORE_CMD_WISHES_H

#include "mosix-core/image/restore.h"
#include "mosix-core/mosixd/settings.h"

#include <stdbool.h>

enum { MOSRUN_OTHERS_MAX = 64, MOSRUN_PASSED_MAX = 64, MOSRUN_WRONG = 2 };

/* A program whose home is the node where it begins. */
enum mosrun_batch {
    MOSRUN_NO_BATCH,
    MOSRUN_BATCH_NATIVE, /* -E: an ordinary process there */
    MOSRUN_BATCH_MOSIX,  /* -M */
};

struct mosrun_wishes {
    unsigned job;
    bool has_job, has_name, has_proc_files;
    char node[64];   /* to begin there; "": at home */
    bool is_best;    /* where the load is least */
    bool is_lenient; /* at home when it can't */
    const char *checkpoint, *recover, *inspect;
    uint32_t every;    /* seconds; 0: no checkpoints by time */
    uint32_t expected; /* seconds that it will run; 0: not said */
    enum mosrun_batch batch;
    const char *batch_dir; /* where it begins; NULL: in the directory of the same name */
    const char *passed[MOSRUN_PASSED_MAX]; /* what mosrun is told there */
    unsigned passed_count;
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
