/* SPDX-License-Identifier: GPL-2.0-or-later */
/* replay_main.c: feeds a fuzz target without a fuzzer: every file of its corpus, every prefix
 * of it, and a fixed number of seeded changes of it. A program X_fuzz reads
 * $top_srcdir/tests/fuzz/corpus/X, or the files and directories of its arguments.
 * Must not know: what the target decodes. A crash shows which input it was: the program says
 * the file, the change and its seed before each input that it dies on (see on_crash). */
#include "common/base/attr.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes);

/* A target whose single run is slow is compiled with smaller numbers. */
#ifndef REPLAY_PREFIXES
#define REPLAY_PREFIXES 4096
#endif
#ifndef REPLAY_CHANGES
#define REPLAY_CHANGES 2000
#endif

enum {
    INPUT_MAX = 1 << 20,
    PREFIXES_MAX = REPLAY_PREFIXES, /* longer inputs are cut at evenly spread places */
    CHANGES = REPLAY_CHANGES,       /* seeded changes of each file */
    TIME_MAX_S = 120     /* for one whole program */
};

static char current[4200]; /* what is being fed, for on_crash */
static unsigned long fed;

static void on_crash(int signo)
{
    static const char crash[] = "\nreplay: died on ", late[] = "\nreplay: too slow at ";
    const char *words = signo == SIGALRM ? late : crash;
    ssize_t n = write(STDERR_FILENO, words, strlen(words));
    n = write(STDERR_FILENO, current, strlen(current));
    n = write(STDERR_FILENO, "\n", 1);
    (void)n;
    signal(signo, SIG_DFL);
    raise(signo == SIGALRM ? SIGABRT : signo);
}

/* In memory of exactly its size, so that a sanitizer sees one byte too many. */
static void feed(const uint8_t *ptr, size_t len_bytes)
{
    uint8_t *copy = malloc(len_bytes ? len_bytes : 1);
    if (!copy)
        abort();
    memcpy(copy, ptr, len_bytes);
    if (LLVMFuzzerTestOneInput(copy, len_bytes) != 0)
        abort();
    free(copy);
    fed++;
}

static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* One to four changes: a bit, a byte, an extreme, a run removed or doubled. */
static size_t change(uint8_t *p, size_t len, size_t room, uint32_t seed)
{
    static const uint8_t extremes[] = { 0, 1, 0x7f, 0x80, 0xff };
    for (unsigned times = 1 + next(&seed) % 4; times && len; times--) {
        size_t at = next(&seed) % len, run = 1 + next(&seed) % 8;
        run = run < len - at ? run : len - at;
        switch (next(&seed) % 5) {
        case 0: p[at] ^= (uint8_t)(1u << next(&seed) % 8); break;
        case 1: p[at] = (uint8_t)next(&seed); break;
        case 2: memset(p + at, extremes[next(&seed) % ARRAY_LEN(extremes)], run); break;
        case 3:
            memmove(p + at, p + at + run, len - at - run);
            len -= run;
            break;
        default:
            if (len + run <= room) {
                memmove(p + at + run, p + at, len - at);
                len += run;
            }
        }
    }
    return len;
}

static void replay_file(const char *path)
{
    static uint8_t input[INPUT_MAX], changed[INPUT_MAX + 64];
    FILE *f = fopen(path, "rbe");
    if (!f) {
        fprintf(stderr, "replay: open %s: %s\n", path, strerror(errno));
        exit(99);
    }
    size_t len = fread(input, 1, sizeof input, f);
    fclose(f);
    snprintf(current, sizeof current, "%s", path);
    feed(input, len);
    size_t step = len / PREFIXES_MAX + 1;
    for (size_t cut = 0; cut < len; cut += step) {
        snprintf(current, sizeof current, "%s cut after %zu bytes", path, cut);
        feed(input, cut);
    }
    for (uint32_t seed = 0; seed < CHANGES; seed++) {
        snprintf(current, sizeof current, "%s changed with seed %u", path, seed);
        memcpy(changed, input, len);
        feed(changed, change(changed, len, sizeof changed, seed));
    }
}

/* A file, or all files in a directory. */
static unsigned replay(const char *path)
{
    DIR *d = opendir(path);
    if (!d) {
        replay_file(path);
        return 1;
    }
    unsigned files = 0;
    for (struct dirent *e; (e = readdir(d));) {
        char child[4096];
        if (e->d_name[0] == '.')
            continue;
        snprintf(child, sizeof child, "%s/%s", path, e->d_name);
        replay_file(child);
        files++;
    }
    closedir(d);
    return files;
}

static unsigned replay_own_corpus(const char *program)
{
    char path[4096];
    const char *top = getenv("top_srcdir"), *slash = strrchr(program, '/');
    const char *name = slash ? slash + 1 : program, *end = strstr(name, "_fuzz");
    snprintf(path, sizeof path, "%s/tests/fuzz/corpus/%.*s", top ? top : ".",
             end ? (int)(end - name) : (int)strlen(name), name);
    return replay(path);
}

int main(int argc, char **argv)
{
    signal(SIGSEGV, on_crash);
    signal(SIGABRT, on_crash);
    signal(SIGBUS, on_crash);
    signal(SIGFPE, on_crash);
    signal(SIGALRM, on_crash);
    alarm(TIME_MAX_S);
    unsigned files = 0;
    for (int i = 1; i < argc; i++)
        files += replay(argv[i]);
    if (argc == 1)
        files = replay_own_corpus(argv[0]);
    printf("%u files, %lu inputs\n", files, fed);
    if (files == 0)
        fprintf(stderr, "replay: the corpus is empty\n");
    return files ? 0 : 99;
}
