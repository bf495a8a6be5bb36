/* SPDX-License-Identifier: GPL-2.0-or-later */
/* settings.c: numbers with names, as text in an environment and in a file that says first when
 * its process began, so that it is not taken for that of another one with the same number.
 * Must not know: what settings are for. */
#include "mosix-core/mosixd/settings.h"

#include "common/sys/fd.h"
#include "common/sys/mem.h"
#include "mosix-core/mosixd/mark.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BYTES = MX_SETTINGS_TEXT_MAX + 32, OPEN_TRIES = 100 };

static const struct {
    const char *name;
    uint32_t largest;
    bool is_settable;
    size_t at;
} table[] = {
#define SETTING(name, largest, is_settable)                                                    \
    { #name, largest, is_settable, offsetof(struct mx_settings, name) },
#include "mosix-core/mosixd/settings.def"
#undef SETTING
};

static uint32_t *field(struct mx_settings *s, unsigned i)
{
    return (uint32_t *)(void *)((char *)s + table[i].at);
}

static int index_of(const char *name, size_t len)
{
    for (unsigned i = 0; i < ARRAY_LEN(table); i++)
        if (strlen(table[i].name) == len && strncmp(table[i].name, name, len) == 0)
            return (int)i;
    return -1;
}

/* ---- text ---- */

/* Returns which were named, a bit for each. */
static uint32_t get_text(struct mx_settings *s, const char *text)
{
    uint32_t named = 0;
    for (const char *at = text + strspn(text, " \n"); *at; at += strspn(at, " \n")) {
        size_t word = strcspn(at, " \n"), name = strcspn(at, "=");
        int i = name < word ? index_of(at, name) : -1;
        if (i >= 0 && isdigit((unsigned char)at[name + 1])) {
            char *end;
            unsigned long long value = strtoull(at + name + 1, &end, 10);
            if (end == at + word && value <= table[i].largest) {
                *field(s, (unsigned)i) = (uint32_t)value;
                named |= UINT32_C(1) << i;
            }
        }
        at += word;
    }
    return named;
}

void mx_settings_get(struct mx_settings *s, const char *text)
{
    (void)get_text(s, text);
}

/* Those that are named, and others that are not 0. */
static void put_text(const struct mx_settings *s, uint32_t named,
                     char text[MX_SETTINGS_TEXT_MAX])
{
    struct mx_settings copy = *s;
    size_t len = 0;
    text[0] = 0;
    for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
        uint32_t value = *field(&copy, i);
        if (!value && !(named & UINT32_C(1) << i))
            continue;
        int n = snprintf(text + len, MX_SETTINGS_TEXT_MAX - len, "%s%s=%u", len ? " " : "",
                         table[i].name, value);
        if (n > 0 && len + (size_t)n < MX_SETTINGS_TEXT_MAX)
            len += (size_t)n;
    }
}

void mx_settings_put(const struct mx_settings *s, char text[MX_SETTINGS_TEXT_MAX])
{
    put_text(s, 0, text);
}

uint32_t *mx_settings_find(struct mx_settings *s, const char *name)
{
    int i = index_of(name, strlen(name));
    return i < 0 ? NULL : field(s, (unsigned)i);
}

int mx_settings_check(const char *name, unsigned long long value, struct err *e)
{
    int i = index_of(name, strlen(name));
    if (i < 0 || !table[i].is_settable)
        return err_say(e, ENOENT, "nothing that can be set is called %s", name);
    return value <= table[i].largest
               ? 0
               : err_say(e, ERANGE, "%s can be %u at most", name, table[i].largest);
}

/* ---- the file of a process ---- */

void mx_settings_path(const char *run_dir, pid_t pid, char path[128])
{
    snprintf(path, 128, "%.90s/p/%d", run_dir, (int)pid);
}

/* When it began, in ticks since the start of this computer; 0: there is no such process. */
static unsigned long long start_of(pid_t pid)
{
    char path[40], text[1024], *at;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : fd_read_full(fd, text, sizeof text - 1);
    if (n <= 0)
        return 0;
    text[n] = 0;
    at = strrchr(text, ')'); /* the name before it may have anything in it */
    unsigned long long start = 0;
    for (unsigned i = 0; at && i < 20; i++)
        at = strchr(at + 1, ' ');
    return at && sscanf(at, "%llu", &start) == 1 ? start : 0;
}

/* Returns whether it is of the process that has that number now. */
static bool get_file(int fd, pid_t pid, struct mx_settings *s, uint32_t *named)
{
    char text[FILE_BYTES + 1];
    unsigned long long start = 0;
    int at = 0;
    ssize_t n = pread(fd, text, FILE_BYTES, 0);
    if (n <= 0)
        return false;
    text[n] = 0;
    if (sscanf(text, "%llu %n", &start, &at) < 1 || start == 0 || start != start_of(pid))
        return false;
    *named = get_text(s, text + at);
    return true;
}

static void get_environment(pid_t pid, struct mx_settings *s)
{
    char text[MX_SETTINGS_TEXT_MAX];
    *s = (struct mx_settings){ 0 };
    if (mx_mark_variable(pid, MX_SETTINGS_VARIABLE, text, sizeof text))
        mx_settings_get(s, text);
}

void mx_settings_read(struct mx_settings *s, const char *run_dir, pid_t pid)
{
    char path[128];
    uint32_t named;
    mx_settings_path(run_dir, pid, path);
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    get_environment(pid, s);
    if (fd < 0 || !get_file(fd, pid, s, &named))
        return; /* nothing was changed, or it is another process's */
}

/* Opened and locked; again when somebody has taken the file away meanwhile. */
static int open_locked(const char *run_dir, const char *path, int *fd_out, struct err *e)
{
    char folder[128];
    snprintf(folder, sizeof folder, "%.90s/p", run_dir);
    if (mkdir(folder, 0700) < 0 && errno != EEXIST)
        return err_set(e, errno, "make %s", folder);
    for (unsigned i = 0; i < OPEN_TRIES; i++) {
        struct stat st;
        AUTO_FD fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0 || flock(fd, LOCK_EX) < 0 || fstat(fd, &st) < 0)
            return err_set(e, errno, "open %s", path);
        if (st.st_nlink) {
            *fd_out = take_fd(&fd);
            return 0;
        }
    }
    return err_say(e, EBUSY, "%s is taken away all the time", path);
}

static int change(const char *run_dir, pid_t pid, const char *name, uint32_t value,
                  bool is_added, struct mx_settings *s, struct err *e)
{
    char path[128], all[MX_SETTINGS_TEXT_MAX], text[FILE_BYTES];
    unsigned long long start = start_of(pid);
    if (!start)
        return err_say(e, ESRCH, "there is no process %d", (int)pid);
    mx_settings_path(run_dir, pid, path);
    AUTO_FD fd = -1;
    int rc = open_locked(run_dir, path, &fd, e);
    if (rc < 0)
        return rc;
    struct mx_settings noted = { 0 };
    uint32_t named = 0, *at = mx_settings_find(&noted, name);
    int which = index_of(name, strlen(name));
    if (!at || which < 0)
        return err_say(e, ENOENT, "nothing is called %s", name);
    if (!get_file(fd, pid, &noted, &named))
        named = 0;
    *at = is_added ? *at + value : value;
    put_text(&noted, named | UINT32_C(1) << which, all);
    get_environment(pid, s);
    mx_settings_get(s, all);
    int len = snprintf(text, sizeof text, "%llu %s\n", start, all);
    if (pwrite(fd, text, (size_t)len, 0) != len || ftruncate(fd, len) < 0)
        return err_set(e, errno, "write %s", path);
    return 0;
}

int mx_settings_change(const char *run_dir, pid_t pid, const char *name, uint32_t value,
                       struct err *e)
{
    struct mx_settings s;
    return change(run_dir, pid, name, value, false, &s, e);
}

int mx_settings_moved(const char *run_dir, pid_t pid, struct mx_settings *s, struct err *e)
{
    return change(run_dir, pid, "moves", 1, true, s, e);
}

void mx_settings_forget(const char *run_dir, pid_t pid)
{
    char path[128];
    mx_settings_path(run_dir, pid, path);
    unlink(path);
}

void mx_settings_clean(const char *run_dir)
{
    char path[128];
    snprintf(path, sizeof path, "%.90s/p", run_dir);
    DIR *dir = opendir(path);
    for (struct dirent *x; dir && (x = readdir(dir));) {
        char *end;
        struct mx_settings s = { 0 };
        uint32_t named;
        long pid = strtol(x->d_name, &end, 10);
        bool is_timer = strcmp(end, ".timer") == 0;
        if (pid <= 0 || (*end && !is_timer))
            continue;
        AUTO_FD fd = openat(dirfd(dir), x->d_name, O_RDWR | O_CLOEXEC);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
            continue;
        if (is_timer ? !start_of((pid_t)pid) : !get_file(fd, (pid_t)pid, &s, &named))
            unlinkat(dirfd(dir), x->d_name, 0);
    }
    if (dir)
        closedir(dir);
}
