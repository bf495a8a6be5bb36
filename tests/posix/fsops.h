/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fsops.h: what the parts of fsops share: one line of output per call.
 * Must not know: what the file system is. */
#ifndef TESTS_POSIX_FSOPS_H
#define TESTS_POSIX_FSOPS_H

#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Prints "part: words: ok" or its errno, and the result where that is the same everywhere: FD
 * prints no number. Each returns the result. */
long say_number(const char *words, long result);
int say_fd(const char *words, int fd);
void say_text(const char *words, const char *text);

#define N(call)  say_number(#call, (long)(call))
#define FD(call) say_fd(#call, (call))

/* Mode, links, owner, size, whether it has holes; not inode numbers or times. */
void say_stat(const char *path);
void say_fstat(const char *words, int fd);
/* The whole file, or its length and a sum when it is long. */
void say_file(const char *path);
/* Creates path holding text, mode 0644 whatever the umask; stops the program if it can't. */
void make_file(const char *path, const char *text);
/* Exit status or signal of a child that runs fn. */
void say_child(const char *words, int (*fn)(void));

void part_open(void);
void part_names(void);
void part_rename(void);
void part_attributes(void);
void part_data(void);
void part_space(void);
void part_xattr(void);
void part_acl(void);
void part_locks(void);
void part_mmap(void);
void part_dirs(void);
void part_special(void);
void part_rights(void);
void part_long(void);
void part_callers(void);

#endif
