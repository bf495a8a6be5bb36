/* SPDX-License-Identifier: GPL-2.0-or-later */
/* source.c: what is mounted, as the user names it.
 * Must not know: how to connect to it. */
#include "mrcfs/source.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

int mfs_source_parse(char *text, struct mfs_source *out, struct err *e)
{
    /* mount -t fuse writes the type in front. */
    if (!strncmp(text, "mrcfs#", 6))
        text += 6;
    char *host = text, *colon;
    *out = (struct mfs_source){ 0 };
    char *at = strpbrk(text, "@:[/");
    if (at && *at == '@') {
        *at = 0;
        out->user = text;
        host = at + 1;
    }
    if (*host == '[') {
        char *bracket = strchr(++host, ']');
        colon = bracket && bracket[1] == ':' ? bracket + 1 : NULL;
        if (colon)
            *bracket = 0;
    } else {
        colon = strpbrk(host, ":/");
        if (colon && *colon == '/')
            colon = NULL;
    }
    if (!colon || colon == host || !*host || (out->user && !*out->user) || *host == '-') {
        err_set(e, 0, "%s: must be [user@]host:[directory]", text);
        return -EINVAL;
    }
    if (*colon)
        *colon = 0;
    out->host = host;
    out->dir = colon + 1;
    return 0;
}
