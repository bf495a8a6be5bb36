/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lines.c: reading lines of words.
 * Must not know: what they mean. */
#include "mosix-core/net/lines.h"

#include "common/sys/mem.h"
#include "gossip/keyfile.h"
#include "mosix-core/net/nodes.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int mx_lines_each(const char *path,
                  int (*fn)(void *ctx, const struct mx_line *l, struct err *e), void *ctx,
                  struct err *e)
{
    AUTO_FREE char *text = malloc(MX_CONFIG_MAX);
    if (!text)
        return err_set(e, ENOMEM, "read %s", path);
    struct mx_line l = { .path = path };
    int rc = gsp_file_read(path, false, text, MX_CONFIG_MAX, e);
    for (char *line = text, *next; rc >= 0 && line; line = next) {
        char *rest = line;
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        line[strcspn(line, "#")] = 0;
        l.count = 0;
        for (char *word;
             l.count < MX_LINE_WORDS_MAX && (word = strtok_r(rest, " \t\r", &rest));)
            l.words[l.count++] = word;
        l.number++;
        if (l.count)
            rc = fn(ctx, &l, e);
    }
    return rc < 0 ? rc : 0;
}

long mx_line_number(const char *text, long least, long most)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    return isdigit((unsigned char)*text) && !*end && !errno && value >= least && value <= most
               ? value
               : -EINVAL;
}
