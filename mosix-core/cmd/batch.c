/* SPDX-License-Identifier: GPL-2.0-or-later */
/* batch.c: what mrc is told for mosrun -E and -M. Must not know: how mrc does it. */
#include "mosix-core/cmd/batch.h"

#include "common/base/attr.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

/* What the login there says better. MOSIX_RUN is where the daemon of this node is met. */
static const char *const left_out[] = { "SSH_*",   "DISPLAY", "XAUTHORITY", "WAYLAND_*",
                                        "XDG_*",   "DBUS_*",  "TMPDIR",     "LD_*",
                                        "TMUX*",   "HOME",    "USER",       "LOGNAME",
                                        "SHELL",   "PWD",     "OLDPWD",     "SHLVL",
                                        "MOSIX_*", "MRC_*",   "_" };

/* In the directory of that name, or not at all. */
static const char in_directory[] = "cd -- \"$1\" 2>/dev/null || { echo \"mosrun: $1: no "
                                   "directory to begin in there\" >&2; exit 126; }\n"
                                   "shift\n"
                                   "exec \"$@\"";

struct words {
    const char **list;
    size_t count, room;
};

static int add(struct words *v, const char *word)
{
    if (v->count + 1 >= v->room) {
        size_t room = v->room ? v->room * 2 : 64;
        const char **grown = realloc(v->list, room * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        v->list = grown;
        v->room = room;
    }
    v->list[v->count++] = word;
    v->list[v->count] = NULL;
    return 0;
}

static bool is_left_out(const char *name)
{
    for (unsigned i = 0; i < ARRAY_LEN(left_out); i++)
        if (fnmatch(left_out[i], name, 0) == 0)
            return true;
    return false;
}

static bool is_name(const char *name)
{
    return name[0] && name[strspn(name, "abcdefghijklmnopqrstuvwxyz"
                                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == 0;
}

/* By name: values are nobody else's business, and a list of arguments is public. */
static int add_environment(struct words *v)
{
    int rc = 0;
    for (char **at = environ; *at && rc == 0; at++) {
        char *name = strndup(*at, strcspn(*at, "="));
        if (!name)
            return -ENOMEM;
        if (!is_name(name) || is_left_out(name)) {
            free(name);
            continue;
        }
        rc = add(v, "-e");
        if (rc == 0)
            rc = add(v, name); /* until mrc takes our place */
    }
    return rc;
}

int mosrun_batch(const struct mosrun_wishes *w, char **words, struct err *e)
{
    char cwd[PATH_MAX];
    struct words v = { NULL, 0, 0 };
    const char *directory = w->batch_dir ? w->batch_dir : getcwd(cwd, sizeof cwd);
    if (!directory)
        return err_set(e, errno, "find the working directory");
    const char *const start[] = { "mrc", "-q", "--view", "none" };
    const char *const there[] = {
        w->node, "--", "sh", "-c", in_directory, "mosrun", directory
    };
    int rc = 0;
    for (unsigned i = 0; i < ARRAY_LEN(start) && rc == 0; i++)
        rc = add(&v, start[i]);
    if (rc == 0)
        rc = add_environment(&v);
    for (unsigned i = 0; i < ARRAY_LEN(there) && rc == 0; i++)
        rc = add(&v, there[i]);
    if (rc == 0 && w->batch == MOSRUN_BATCH_MOSIX)
        rc = add(&v, "mosrun");
    for (unsigned i = 0; w->batch == MOSRUN_BATCH_MOSIX && i < w->passed_count && rc == 0; i++)
        rc = add(&v, w->passed[i]);
    for (; *words && rc == 0; words++)
        rc = add(&v, *words);
    if (rc < 0)
        return err_set(e, -rc, "list what mrc is to do");
    execvp("mrc", (char *const *)(void *)v.list);
    return err_set(e, errno, "run mrc, which -E and -M need");
}
