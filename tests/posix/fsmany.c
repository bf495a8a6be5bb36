/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fsmany.c: many entries in one directory, many open files.
 *   usage: fsmany make|list|open DIRECTORY COUNT
 * Must not know: what the file system is. */
#include "tests/posix/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void make_entries(long count)
{
    char name[64];
    for (long i = 0; i < count; i++) {
        snprintf(name, sizeof name, "e%ld", i);
        /* links are the cheapest entries */
        CHECK(i ? link("e0", name) == 0 : mknod(name, S_IFREG | 0644, 0) == 0, "%s", name);
        if (i % 30000 == 29999) { /* ext4 has at most 65,000 links to one file */
            CHECK(unlink("e0") == 0 && mknod("e0", S_IFREG | 0644, 0) == 0, "e0");
        }
    }
}

static void list_entries(long count)
{
    unsigned char *seen = calloc((size_t)count, 1);
    long *where = calloc((size_t)count + 2, sizeof *where);
    long *number = calloc((size_t)count + 2, sizeof *number);
    CHECK(seen && where && number, "memory");
    DIR *d = opendir(".");
    CHECK(d, ".");
    long n = 0;
    for (;;) {
        long at = telldir(d);
        errno = 0;
        struct dirent *e = readdir(d);
        CHECK(e || !errno, "readdir");
        if (!e)
            break;
        CHECK(n < count + 2, "too many entries");
        where[n] = at;
        number[n] = -1;
        if (e->d_name[0] == 'e') {
            number[n] = atol(e->d_name + 1);
            CHECK(number[n] >= 0 && number[n] < count && !seen[number[n]], "%s twice",
                  e->d_name);
            seen[number[n]] = 1;
        }
        n++;
    }
    CHECK(n == count + 2, "%ld entries", n);
    for (long k = 0; k < 200; k++) {
        long i = (k * 104729) % n;
        seekdir(d, where[i]);
        struct dirent *e = readdir(d);
        CHECK(e, "seekdir to %ld", i);
        CHECK(number[i] == (e->d_name[0] == 'e' ? atol(e->d_name + 1) : -1),
              "seekdir to %ld: %s", i, e->d_name);
    }
    closedir(d);
    free(seen);
    free(where);
    free(number);
}

static void open_files(long count)
{
    struct rlimit r;
    int *fds = calloc((size_t)count, sizeof *fds);
    char name[64], text[64];
    CHECK(fds && getrlimit(RLIMIT_NOFILE, &r) == 0, "limit");
    r.rlim_cur = r.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur > (rlim_t)count + 20,
          "only %ju files may be open", (uintmax_t)r.rlim_cur);
    CHECK(mkdir("files", 0755) == 0, "files");
    for (long i = 0; i < count; i++) {
        snprintf(name, sizeof name, "files/f%ld", i);
        fds[i] = open(name, O_RDWR | O_CREAT | O_EXCL, 0644);
        CHECK(fds[i] >= 0, "%s", name);
        int len = snprintf(text, sizeof text, "number %ld", i);
        CHECK(write(fds[i], text, (size_t)len) == len, "%s", name);
    }
    for (long i = 0; i < count; i++) {
        char got[64] = "";
        snprintf(text, sizeof text, "number %ld", i);
        CHECK(pread(fds[i], got, sizeof got - 1, 0) > 0 && !strcmp(got, text), "file %ld: %s",
              i, got);
    }
    for (long i = 0; i < count; i++)
        CHECK(close(fds[i]) == 0, "file %ld", i);
    free(fds);
}

int main(int argc, char **argv)
{
    if (argc != 4 || chdir(argv[2]) < 0)
        return 99;
    long count = atol(argv[3]);
    if (!strcmp(argv[1], "make"))
        make_entries(count);
    else if (!strcmp(argv[1], "list"))
        list_entries(count);
    else if (!strcmp(argv[1], "open"))
        open_files(count);
    else
        return 99;
    return 0;
}
