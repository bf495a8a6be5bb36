/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mfs_serve_main.c: serves directories on descriptors 3 (meta) and 4 (bulk), for tests.
 * Usage: mfs_serve [-r] DIR... [-- HIDE...]     -r: read-only */
#include "mrcfs/mrcfs.h"

#include <stdio.h>
#include <string.h>

static void on_note(void *ctx, const char *text)
{
    (void)ctx;
    fprintf(stderr, "mfs_serve: %s\n", text);
}

int main(int argc, char **argv)
{
    struct mfs_export exports[MFS_EXPORTS_MAX];
    struct mfs_serve_opts o = {
        .exports = exports, .meta_fd = 3, .bulk_fd = 4, .on_note = on_note
    };
    bool is_read_only = false;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "-r")) {
            is_read_only = true;
        } else if (!strcmp(argv[i], "--")) {
            o.hide = (const char *const *)argv + i + 1;
            o.hide_count = (size_t)(argc - i - 1);
            break;
        } else if (o.export_count < MFS_EXPORTS_MAX) {
            exports[o.export_count++] = (struct mfs_export){ argv[i], is_read_only };
        }
    }
    struct err e = { "" };
    int rc = mfs_serve(&o, &e);
    if (rc < 0)
        fprintf(stderr, "mfs_serve: %s\n", e.text);
    return rc < 0;
}
