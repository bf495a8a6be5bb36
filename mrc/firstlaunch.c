/* SPDX-License-Identifier: GPL-2.0-or-later */
/* firstlaunch.c: what a command will ask for of the head's files, found out by looking at them
 * as the kernel, the loader and a shell would. Must not know: connections. Files are opened for
 * reading as the user who starts the job, and only what elf.c and the first line want of them
 * is read; nothing of it is sent but names of files in trees that the job is shown. Source:
 * docs/profiles.md, "The first time". */
#include "mrc/firstlaunch.h"

#include "common/base/elf.h"
#include "common/sys/fd.h"
#include "common/sys/mem.h"
#include "mrc/agent/view.h"
#include "mrcfs/mrcfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LINKS_MAX = 40,    /* symbolic links in one path, as in the kernel */
    SCRIPTS_MAX = 4,   /* interpreters that are scripts, as in the kernel */
    LINE_BYTES = 256,  /* of a script's first line */
    TEXT_BYTES = 4096, /* of a shell's command, searched for names of files */
};

struct entry {
    uint16_t parent;
    uint8_t flags;
    const char *name; /* its own memory, or an export's path */
};

struct launch {
    const struct mrc_trees *t;
    const char *library_path;
    struct entry *entries;
    size_t count, looks, words;
    struct bytes cache; /* /etc/ld.so.cache */
    uint8_t class;      /* of the program */
    uint16_t machine;
    size_t libraries,
        done; /* paths of those that were found; what they need was looked for up to done */
    char *library[MRC_FIRST_LIBRARIES_MAX];
};

/* ---- names ---- */

/* The entry for name in parent, made if there is none. Returns its number, or MFS_PROFILE_ROOT
 * without room. */
static uint16_t entry(struct launch *l, uint16_t parent, const char *name, size_t len)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->entries[i].parent == parent && strlen(l->entries[i].name) == len &&
            !memcmp(l->entries[i].name, name, len))
            return (uint16_t)i;
    char *copy = l->count < MFS_PROFILE_ENTRIES_MAX ? strndup(name, len) : NULL;
    if (!copy)
        return MFS_PROFILE_ROOT;
    l->entries[l->count] = (struct entry){ .parent = parent, .name = copy };
    return (uint16_t)l->count++;
}

/* The entry of path, absolute and clean. False: it is not in a tree of ours. */
static bool enter(struct launch *l, const char *path, uint16_t *out)
{
    const struct mrc_tree *tree = mrc_trees_head_of(l->t, path);
    if (!tree)
        return false;
    uint16_t at = entry(l, MFS_PROFILE_ROOT, tree->path, strlen(tree->path));
    const char *rest = path + (tree->path[1] ? strlen(tree->path) : 0);
    while (at != MFS_PROFILE_ROOT && *(rest += strspn(rest, "/"))) {
        size_t len = strcspn(rest, "/");
        at = entry(l, at, rest, len);
        rest += len;
    }
    *out = at;
    return at != MFS_PROFILE_ROOT;
}

/* path without its last name, for "..". */
static void up(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash)
        slash[slash == path] = 0;
}

/* Notes all names that lead to path, through links too, and the last one with flags. real,
 * PATH_MAX bytes: where it is; st: what. Returns false if it is absent, not in a tree of ours
 * (what leads out is noted), or its way is too long. */
static bool note(struct launch *l, const char *path, uint8_t flags, char *real, struct stat *st)
{
    char rest[2 * PATH_MAX], target[PATH_MAX];
    uint16_t at = 0;
    int links = 0;
    if ((size_t)snprintf(rest, sizeof rest, "%s%s%s", path[0] == '/' ? "" : l->t->cwd,
                         path[0] == '/' ? "" : "/", path) >= sizeof rest)
        return false;
    memcpy(real, "/", 2);
    char *next = rest;
    *st = (struct stat){ .st_mode = S_IFDIR };
    while (*(next += strspn(next, "/"))) {
        size_t len = strcspn(next, "/"), had = strlen(real);
        char *name = next;
        next += len;
        if (len == 1 && name[0] == '.')
            continue;
        if (len == 2 && !memcmp(name, "..", 2)) {
            up(real);
            continue;
        }
        if (had + len + 2 > PATH_MAX)
            return false;
        snprintf(real + had, PATH_MAX - had, "%s%.*s", had > 1 ? "/" : "", (int)len, name);
        bool is_ours = enter(l, real, &at);
        if (lstat(real, st) < 0)
            return false;
        if (!S_ISLNK(st->st_mode))
            continue;
        ssize_t n = readlink(real, target, sizeof target - 1);
        if (n <= 0 || ++links > LINKS_MAX)
            return false;
        target[n] = 0;
        if (is_ours)
            l->entries[at].flags |= MFS_PROFILE_LINK;
        char tail[2 * PATH_MAX];
        snprintf(tail, sizeof tail, "%s", next);
        if ((size_t)snprintf(rest, sizeof rest, "%s/%s", target, tail) >= sizeof rest)
            return false;
        next = rest;
        if (target[0] == '/')
            memcpy(real, "/", 2);
        else
            up(real);
    }
    if (!enter(l, real, &at))
        return false;
    l->entries[at].flags |= flags;
    return true;
}

/* A regular file that will be opened. */
static bool note_file(struct launch *l, const char *path, char *real)
{
    struct stat st;
    uint16_t at;
    if (!note(l, path, 0, real, &st) || !S_ISREG(st.st_mode) || !enter(l, real, &at))
        return false;
    l->entries[at].flags |= MFS_PROFILE_OPEN;
    return true;
}

/* ---- programs and libraries ---- */

static int read_at(void *ctx, uint64_t offset, void *room, size_t len_bytes)
{
    ssize_t n = pread(*(const int *)ctx, room, len_bytes, (off_t)offset);
    return n == (ssize_t)len_bytes ? 0 : n < 0 ? -errno : -ENODATA;
}

static int look(struct launch *l, const char *path)
{
    if (l->looks == MRC_FIRST_LOOKS_MAX)
        return -1;
    l->looks++;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat st;
    if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)))
        fd_close(&fd);
    return fd;
}

static bool has_library(const struct launch *l, const char *path)
{
    for (size_t i = 0; i < l->libraries; i++)
        if (!strcmp(l->library[i], path))
            return true;
    return false;
}

/* Is path a library for this program? Then it is noted. */
static bool try(struct launch *l, const char *path)
{
    char real[PATH_MAX];
    AUTO_FD fd = look(l, path);
    struct elf_needs *n = fd < 0 ? NULL : malloc(sizeof *n);
    bool fits = n && elf_needs(&(struct elf_source){ read_at, &fd }, n) == 0 &&
                n->class == l->class && n->machine == l->machine;
    free(n);
    if (!fits)
        return false;
    if (note_file(l, path, real) && !has_library(l, real) &&
        l->libraries < MRC_FIRST_LIBRARIES_MAX && (l->library[l->libraries] = strdup(real)))
        l->libraries++;
    return true;
}

/* Looks for name in the directories of list, with colons between them; origin: where the file
 * is that said so. */
static bool try_in(struct launch *l, const char *list, const char *origin, const char *name)
{
    static const char *const words[] = { "$ORIGIN", "${ORIGIN}" };
    for (const char *at = list; *at; at += strspn(at, ":;")) {
        size_t len = strcspn(at, ":;");
        const char *dir = at;
        const char *before = "";
        char path[2 * PATH_MAX];
        at += len;
        for (size_t i = 0; i < ARRAY_LEN(words); i++)
            if (!strncmp(dir, words[i], strlen(words[i])) && len >= strlen(words[i])) {
                before = origin;
                dir += strlen(words[i]);
                len -= strlen(words[i]);
                break;
            }
        if (!len && !*before)
            continue;
        if (memchr(dir, '$', len) || (size_t)snprintf(path, sizeof path, "%s%.*s/%s", before,
                                                      (int)len, dir, name) >= sizeof path)
            continue;
        if (try(l, path))
            return true;
    }
    return false;
}

static void read_cache(struct launch *l)
{
    char real[PATH_MAX];
    struct stat st;
    if (!note_file(l, "/etc/ld.so.cache", real))
        return;
    AUTO_FD fd = look(l, real);
    uint8_t *room = NULL;
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size <= 0 || st.st_size > MRC_FIRST_CACHE_BYTES ||
        !(room = malloc((size_t)st.st_size)))
        return;
    ssize_t n = fd_read_full(fd, room, (size_t)st.st_size);
    if (n > 0)
        l->cache = (struct bytes){ room, (uint32_t)n };
    else
        free(room);
}

static bool try_cache(struct launch *l, const char *name)
{
    const char *path;
    size_t at = 0;
    while ((path = elf_cache_find(l->cache, name, &at)))
        if (path[0] == '/' && try(l, path))
            return true;
    return false;
}

/* What the file of that path needs, in the order of the loader. */
static void note_needed(struct launch *l, const char *path, const struct elf_needs *n)
{
    static const char usual[] = "/lib64:/usr/lib64:/lib:/usr/lib";
    char origin[PATH_MAX];
    snprintf(origin, sizeof origin, "%s", path);
    up(origin);
    const char *name = n->names;
    for (size_t i = 0; i < n->count; i++, name += strlen(name) + 1) {
        bool is_found =
            strchr(name, '/')
                ? try(l, name)
                : (n->is_rpath && try_in(l, n->runpath, origin, name)) ||
                      (l->library_path && try_in(l, l->library_path, origin, name)) ||
                      (!n->is_rpath && try_in(l, n->runpath, origin, name)) ||
                      try_cache(l, name) || try_in(l, usual, origin, name);
        (void)is_found; /* else the loader will say so */
    }
}

/* The libraries of libraries too, each once. */
static void note_libraries(struct launch *l)
{
    struct elf_needs *n = malloc(sizeof *n);
    for (; n && l->done < l->libraries; l->done++) {
        AUTO_FD fd = look(l, l->library[l->done]);
        if (fd >= 0 && elf_needs(&(struct elf_source){ read_at, &fd }, n) == 0)
            note_needed(l, l->library[l->done], n);
    }
    free(n);
}

/* The interpreter that a script's first line names. False: it is no script. */
static bool interpreter_of(int fd, char *name, size_t size)
{
    char line[LINE_BYTES + 1];
    ssize_t n = pread(fd, line, LINE_BYTES, 0);
    if (n < 4 || line[0] != '#' || line[1] != '!')
        return false;
    line[n] = 0;
    const char *at = line + 2 + strspn(line + 2, " \t");
    size_t len = strcspn(at, " \t\n");
    return *at == '/' && (size_t)snprintf(name, size, "%.*s", (int)len, at) < size;
}

static void note_program(struct launch *l, const char *path, int depth)
{
    char real[PATH_MAX], next[LINE_BYTES];
    if (!note_file(l, path, real))
        return;
    AUTO_FD fd = look(l, real);
    struct elf_needs *n = fd < 0 ? NULL : malloc(sizeof *n);
    if (n && elf_needs(&(struct elf_source){ read_at, &fd }, n) == 0) {
        char ignored[PATH_MAX];
        struct stat st;
        l->class = n->class;
        l->machine = n->machine;
        if (n->interpreter[0] && note_file(l, n->interpreter, ignored)) {
            (void)note(l, "/etc/ld.so.preload", 0, ignored,
                       &st); /* absent, mostly: that is asked too */
            read_cache(l);
            note_needed(l, real, n);
            note_libraries(l);
        }
    } else if (fd >= 0 && depth < SCRIPTS_MAX && interpreter_of(fd, next, sizeof next)) {
        note_program(l, next, depth + 1);
    }
    free(n);
}

/* As the job will find it: the first in the search path that the head or, in its own trees, the
 * target has. */
static void note_command(struct launch *l, const char *word, const char *search)
{
    char path[2 * PATH_MAX];
    if (strchr(word, '/')) {
        note_program(l, word, 0);
        return;
    }
    for (const char *at = search; at && *at; at += *at == ':') {
        size_t len = strcspn(at, ":");
        const char *dir = at;
        at += len;
        if (!len ||
            (size_t)snprintf(path, sizeof path, "%.*s/%s", (int)len, dir, word) >=
                sizeof path ||
            access(path, X_OK) < 0)
            continue;
        note_program(l, path, 0);
        return;
    }
}

/* ---- the words ---- */

/* What a word may name: a file that will be read, a directory that will be listed. */
static void note_word(struct launch *l, const char *word)
{
    char real[PATH_MAX];
    struct stat st;
    uint16_t at;
    if (word[0] == '-' || !word[0] || l->words == MRC_FIRST_WORDS_MAX ||
        strlen(word) >= PATH_MAX)
        return;
    char path[2 * PATH_MAX];
    if (word[0] != '/' && strlen(l->t->cwd) >= PATH_MAX - 1)
        return;
    snprintf(path, sizeof path, "%s%s%s", word[0] == '/' ? "" : l->t->cwd,
             word[0] == '/' ? "" : "/", word);
    if (stat(path, &st) < 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
        return;
    l->words++;
    if (note(l, path, 0, real, &st) && enter(l, real, &at))
        l->entries[at].flags |= S_ISDIR(st.st_mode) ? MFS_PROFILE_LIST : MFS_PROFILE_OPEN;
}

static bool is_shell(const char *word)
{
    static const char *const shells[] = { "sh", "bash", "dash", "ksh", "zsh" };
    const char *slash = strrchr(word, '/');
    for (size_t i = 0; i < ARRAY_LEN(shells); i++)
        if (!strcmp(slash ? slash + 1 : word, shells[i]))
            return true;
    return false;
}

/* The words of a shell's command that name files; what is written to is not read. */
static void note_text(struct launch *l, const char *text)
{
    static const char between[] = " \t\n;|&()<>\"'`";
    char word[PATH_MAX];
    for (const char *at = text; *at && at - text < TEXT_BYTES;) {
        size_t gap = strspn(at, between);
        bool is_written = false;
        for (size_t i = 0; i < gap; i++)
            is_written = at[i] == '>' || (is_written && (at[i] == ' ' || at[i] == '\t'));
        at += gap;
        size_t len = strcspn(at, between);
        if (len && !is_written &&
            (size_t)snprintf(word, sizeof word, "%.*s", (int)len, at) < sizeof word)
            note_word(l, word);
        at += len;
    }
}

/* ---- all of it ---- */

static size_t put(const struct launch *l, uint8_t *room)
{
    struct wr w = wr_of(room, MFS_PROFILE_MAX);
    size_t count = 0, opens = 0;
    uint8_t wanted = 0;
    mfs_profile_put_begin(&w);
    for (size_t i = 0; i < l->count; i++) {
        struct mfs_profile_entry e = { .parent = l->entries[i].parent,
                                       .flags = l->entries[i].flags,
                                       .name = bytes_of(l->entries[i].name) };
        if (e.flags & MFS_PROFILE_OPEN && opens < MFS_PROFILE_OPENS_MAX)
            e.turn = (uint16_t)opens++;
        else
            e.flags &= (uint8_t)~MFS_PROFILE_OPEN;
        if (!mfs_profile_put(&w, &count, &e))
            break;
        wanted |= e.flags;
    }
    return wanted ? wr_len(&w) : 0;
}

size_t mrc_first_launch(const struct mrc_options *o, const struct mrc_trees *t,
                        const char *search, const char *library_path, uint8_t *room)
{
    struct launch l = { .t = t, .library_path = library_path };
    l.entries = calloc(MFS_PROFILE_ENTRIES_MAX, sizeof *l.entries);
    if (!l.entries || !o->command || !o->command[0]) {
        free(l.entries);
        return 0;
    }
    note_command(&l, o->command[0], search);
    for (char **a = o->command + 1; *a; a++) {
        bool is_text = a == o->command + 2 && is_shell(o->command[0]) && !strcmp(a[-1], "-c");
        if (is_text)
            note_text(&l, *a);
        else
            note_word(&l, *a);
    }
    size_t len = put(&l, room);
    for (size_t i = 0; i < l.count; i++)
        free((char *)(uintptr_t)l.entries[i].name);
    for (size_t i = 0; i < l.libraries; i++)
        free(l.library[i]);
    free((uint8_t *)(uintptr_t)l.cache.ptr);
    free(l.entries);
    return len;
}
