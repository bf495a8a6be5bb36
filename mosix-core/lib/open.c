/* SPDX-License-Identifier: GPL-2.0-or-later */
/* open.c: libmosix-open.so: in a program into which it is preloaded, open() of /proc/self/NAME
 * asks or wishes what mosix(3) does, as programs for MOSIX do it: the third argument is the
 * value, the result is the answer, and there is no descriptor. All other names go on to the
 * next open(). Must not know: how the daemon is asked. Source: open_convention in mosix(3). */
#include "mosix-core/lib/mosix.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OURS __attribute__((visibility("default")))

enum { MINUTE_S = 60, NODES = 65535 };

/* ---- what the names mean ---- */

/* Read like a file: the address of the node where it is, "0" at home. */
static int read_where(void)
{
    char text[80];
    int ends[2], len = mosix_address(text, sizeof text - 1);
    if (len < 0 || pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    text[len] = '\n';
    bool is_written = write(ends[1], text, (size_t)len + 1) == len + 1;
    close(ends[1]);
    if (is_written)
        return ends[0];
    close(ends[0]);
    return -1;
}

static int read_nmigs(void)
{
    return (int)mosix_nmigs();
}

static int read_jobid(void)
{
    return (int)mosix_jobid();
}

static int lock(int value)
{
    return value ? mosix_lock() : mosix_unlock();
}

/* 0: home; a node's number; or an address of IPv4, as a number. */
static int migrate(int value)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr a = { htonl((uint32_t)value) };
    if (value == 0)
        return mosix_migrate("home");
    if (value > 0 && value <= NODES)
        snprintf(text, sizeof text, "%d", value);
    else if (!inet_ntop(AF_INET, &a, text, sizeof text))
        return -1;
    return mosix_migrate(text);
}

static int checkpoint(int value)
{
    if (value == 1)
        return mosix_checkpoint(NULL, 0);
    errno = EINVAL;
    return -1;
}

static int interval(int value)
{
    return mosix_checkpoint_every((unsigned)value * MINUTE_S);
}

static int limit(int value)
{
    return mosix_checkpoint_keep((unsigned)value);
}

static int needmem(int value)
{
    return mosix_needmem((unsigned)value);
}

static const struct {
    const char *name;
    int (*get)(void);
    int (*set)(int value);
} table[] = {
    { "where", read_where, NULL },
    { "whereami", mosix_whereami, NULL },
    { "nmigs", read_nmigs, NULL },
    { "jobid", read_jobid, NULL },
    { "lock", mosix_islocked, lock },
    { "migrate", NULL, migrate },
    { "sigmig", NULL, mosix_sigmig },
    { "needmem", NULL, needmem },
    { "cpujob", NULL, mosix_cpujob },
    { "checkpoint", NULL, checkpoint },
    { "checkpointinterval", NULL, interval },
    { "checkpointlimit", NULL, limit },
};

/* Returns whether the name is ours; then *result is the answer. */
static bool is_ours(const char *path, int flags, long value, int *result)
{
    static const char begin[] = "/proc/self/";
    if (!path || strncmp(path, begin, sizeof begin - 1) != 0)
        return false;
    for (unsigned i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(path + sizeof begin - 1, table[i].name) != 0)
            continue;
        bool is_wish = (flags & O_ACCMODE) != O_RDONLY;
        errno = EACCES;
        *result = is_wish ? (table[i].set ? table[i].set((int)value) : -1)
                          : (table[i].get ? table[i].get() : -1);
        return true;
    }
    return false;
}

/* ---- the functions of libc ---- */

typedef int (*open_fn)(const char *path, int flags, ...);
typedef int (*openat_fn)(int dir, const char *path, int flags, ...);

/* The value, which callers that create no file need not give. */
#define VALUE(flags, value)                                                                    \
    do {                                                                                       \
        va_list args_;                                                                         \
        va_start(args_, flags);                                                                \
        (value) = va_arg(args_, long);                                                         \
        va_end(args_);                                                                         \
    } while (0)

#define OPEN(name)                                                                             \
    OURS int ours_##name(const char *path, int flags, ...) __asm__(#name);                     \
    int ours_##name(const char *path, int flags, ...)                                          \
    {                                                                                          \
        long value;                                                                            \
        int result;                                                                            \
        VALUE(flags, value);                                                                   \
        if (is_ours(path, flags, value, &result))                                              \
            return result;                                                                     \
        open_fn next;                                                                          \
        *(void **)&next = dlsym(RTLD_NEXT, #name);                                             \
        return next(path, flags, (mode_t)value);                                               \
    }

#define OPENAT(name)                                                                           \
    OURS int ours_##name(int dir, const char *path, int flags, ...) __asm__(#name);            \
    int ours_##name(int dir, const char *path, int flags, ...)                                 \
    {                                                                                          \
        long value;                                                                            \
        int result;                                                                            \
        VALUE(flags, value);                                                                   \
        if (is_ours(path, flags, value, &result))                                              \
            return result;                                                                     \
        openat_fn next;                                                                        \
        *(void **)&next = dlsym(RTLD_NEXT, #name);                                             \
        return next(dir, path, flags, (mode_t)value);                                          \
    }

/* What hardened programs call when they have no third argument. */
#define OPEN_2(name)                                                                           \
    OURS int ours_##name(const char *path, int flags) __asm__(#name);                          \
    int ours_##name(const char *path, int flags)                                               \
    {                                                                                          \
        int result, (*next)(const char *path, int flags);                                      \
        if (is_ours(path, flags, 0, &result))                                                  \
            return result;                                                                     \
        *(void **)&next = dlsym(RTLD_NEXT, #name);                                             \
        return next(path, flags);                                                              \
    }

/* libc's headers have the names themselves with attributes. */
OPEN(open)
OPEN(open64)
OPEN_2(__open_2)
OPEN_2(__open64_2)
OPENAT(openat)
OPENAT(openat64)
