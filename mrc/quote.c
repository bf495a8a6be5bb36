/* SPDX-License-Identifier: GPL-2.0-or-later */
/* quote.c: words for a POSIX shell.
 * Must not know: what the words are for. */
#include "mrc/quote.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int mrc_quote(char *out, size_t size_bytes, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_./,:@%+-";
    size_t len = strlen(word);
    bool is_plain = len > 0 && strspn(word, plain) == len;
    size_t at = 0;
    size_t need = len + (is_plain ? 1 : 3);
    for (const char *p = word; *p; p++)
        need += *p == '\'' ? 3 : 0;
    if (size_bytes)
        out[0] = 0;
    if (need > size_bytes)
        return -ENAMETOOLONG;
    if (!is_plain)
        out[at++] = '\'';
    for (const char *p = word; *p; p++) {
        if (*p == '\'') {
            memcpy(out + at, "'\\''", 4);
            at += 4;
        } else {
            out[at++] = *p;
        }
    }
    if (!is_plain)
        out[at++] = '\'';
    out[at] = 0;
    return (int)at;
}

/* The next blank-separated word of *text, its directories dropped. False at the end. */
static bool next_name(const char **text, char *name, size_t size_bytes)
{
    const char *start = *text + strspn(*text, " \t\n");
    size_t len = strcspn(start, " \t\n");
    if (!len)
        return false;
    *text = start + len;
    for (size_t i = 0; i < len; i++)
        if (start[i] == '/') {
            start += i + 1;
            len -= i + 1;
            i = (size_t)-1;
        }
    snprintf(name, size_bytes, "%.*s", (int)len, start);
    return true;
}

static bool is_in(const char *const *list, const char *name)
{
    for (; *list; list++)
        if (strcmp(*list, name) == 0)
            return true;
    return false;
}

bool mrc_via_rejoins(const char *text)
{
    static const char *const wrappers[] = { "env",     "sudo", "doas",  "sshpass", "nice",
                                            "timeout", "exec", "nohup", "setsid",  "torsocks",
                                            "stdbuf",  "chrt", NULL };
    static const char *const shells[] = { "ssh",      "rsh",   "slogin", "autossh",
                                          "dbclient", "plink", NULL };
    char name[64];
    bool is_behind_wrapper = false;
    while (next_name(&text, name, sizeof name)) {
        if (is_in(shells, name))
            return true;
        if (is_in(wrappers, name))
            is_behind_wrapper = true;
        else if (!is_behind_wrapper && !strchr(name, '='))
            return false;
        /* Behind a wrapper come its own options and their values, of any form. */
        if (strcmp(name, "--") == 0 && is_behind_wrapper)
            return next_name(&text, name, sizeof name) && is_in(shells, name);
    }
    return false;
}

int mrc_via_command(char *out, size_t size_bytes, const char *via, const char *command)
{
    int used = snprintf(out, size_bytes, "%s %s", via, mrc_via_rejoins(via) ? "" : "sh -c ");
    if (used < 0 || (size_t)used >= size_bytes)
        return -ENAMETOOLONG;
    int n = mrc_quote(out + used, size_bytes - (size_t)used, command);
    return n < 0 ? n : 0;
}
