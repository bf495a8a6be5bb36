/* SPDX-License-Identifier: GPL-2.0-or-later */
/* treeof.c: in which tree of the head's a path is seen. */
#include "mrc/agent/view.h"
#include "mrc/trees.h"

#include <string.h>

/* What stays the target's in a root view. */
static const char *const root_view_target[] = { "/dev", "/proc", "/run", "/sys", "/tmp" };

static bool is_inside(const char *path, const char *tree)
{
    size_t n = strlen(tree);
    return n == 1 || (!strncmp(path, tree, n) && (path[n] == '/' || !path[n]));
}

const struct mrc_tree *mrc_trees_head_of(const struct mrc_trees *t, const char *path)
{
    const struct mrc_tree *best = NULL;
    for (size_t i = 0; i < t->count; i++)
        if (is_inside(path, t->list[i].path) &&
            (!best || strlen(t->list[i].path) > strlen(best->path)))
            best = &t->list[i];
    if (best && !strcmp(best->path, "/"))
        for (size_t i = 0; i < ARRAY_LEN(root_view_target); i++)
            if (is_inside(path, root_view_target[i]))
                return NULL;
    return best && best->kind == VIEW_HEAD ? best : NULL;
}
