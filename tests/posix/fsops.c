/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fsops.c: runs a long list of file system calls in a directory and prints what each returned,
 * so that the output can be compared with that of another file system.
 *   usage: fsops DIRECTORY [PART]
 * Must not know: what the file system is. Prints nothing that differs between two runs. */
#include "tests/posix/fsops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *part_name = "";

static void say_errno(const char *words)
{
    const char *name = strerrorname_np(errno);
    printf("%s: %s: %s\n", part_name, words, name ? name : "?");
}

long say_number(const char *words, long result)
{
    if (result == -1)
        say_errno(words);
    else
        printf("%s: %s: %ld\n", part_name, words, result);
    return result;
}

int say_fd(const char *words, int fd)
{
    if (fd < 0)
        say_errno(words);
    else
        printf("%s: %s: ok\n", part_name, words);
    return fd;
}

void say_text(const char *words, const char *text)
{
    printf("%s: %s: \"", part_name, words);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c < ' ' || *c >= 127 || *c == '"' || *c == '\\')
            printf("\\%03o", *c);
        else
            putchar(*c);
    }
    printf("\"\n");
}

static void say_attributes(const char *words, const struct stat *st)
{
    printf("%s: %s: mode %06o links %ju uid %u gid %u rdev %ju", part_name, words, st->st_mode,
           (uintmax_t)st->st_nlink, st->st_uid, st->st_gid, (uintmax_t)st->st_rdev);
    /* A directory's size is the file system's own business; so are blocks by ones and twos. */
    if (!S_ISDIR(st->st_mode))
        printf(" size %jd%s", (intmax_t)st->st_size,
               st->st_blocks * 512 < st->st_size / 2 ? ", mostly holes" : "");
    printf("\n");
}

void say_stat(const char *path)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        say_errno(path);
    else
        say_attributes(path, &st);
}

void say_fstat(const char *words, int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        say_errno(words);
    else
        say_attributes(words, &st);
}

void say_file(const char *path)
{
    int fd = open(path, O_RDONLY);
    if (fd < 0) {
        say_errno(path);
        return;
    }
    char text[65537];
    size_t len = 0;
    ssize_t n;
    uint64_t sum = 0;
    static char chunk[1 << 16];
    while ((n = read(fd, chunk, sizeof chunk)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            sum = sum * 31 + (unsigned char)chunk[i];
        if (len + (size_t)n < sizeof text)
            memcpy(text + len, chunk, (size_t)n);
        len += (size_t)n;
    }
    if (n < 0)
        say_errno(path);
    close(fd);
    if (len <= 60 && !memchr(text, 0, len)) {
        text[len] = 0;
        say_text(path, text);
    } else {
        printf("%s: %s: %zu bytes, sum %ju\n", part_name, path, len, (uintmax_t)sum);
    }
}

void make_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) ||
        fchmod(fd, 0644) < 0 || close(fd) < 0) {
        say_errno(path);
        fflush(stdout);
        exit(1);
    }
}

void say_child(const char *words, int (*fn)(void))
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        int rc = fn();
        fflush(stdout);
        _exit(rc);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        say_errno(words);
    else if (WIFSIGNALED(status))
        printf("%s: %s: signal %d\n", part_name, words, WTERMSIG(status));
    else
        printf("%s: %s: exit %d\n", part_name, words, WEXITSTATUS(status));
}

static const struct {
    const char *name;
    void (*fn)(void);
} parts[] = {
    { "open", part_open },       { "names", part_names }, { "rename", part_rename },
    { "attr", part_attributes }, { "data", part_data },   { "space", part_space },
    { "xattr", part_xattr },     { "acl", part_acl },     { "locks", part_locks },
    { "mmap", part_mmap },       { "dirs", part_dirs },   { "special", part_special },
    { "rights", part_rights },   { "long", part_long },   { "callers", part_callers },
};

int main(int argc, char **argv)
{
    if (argc < 2 || chdir(argv[1]) < 0) {
        fprintf(stderr, "usage: fsops DIRECTORY [PART]\n");
        return 99;
    }
    umask(022);
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (argc > 2 && strcmp(argv[2], parts[i].name))
            continue;
        part_name = parts[i].name;
        if (mkdir(part_name, 0755) < 0 || chdir(part_name) < 0) {
            say_errno("make a directory for the part");
            return 1;
        }
        parts[i].fn();
        fflush(stdout);
        if (chdir("..") < 0) {
            say_errno("leave the part");
            return 1;
        }
    }
    return 0;
}
