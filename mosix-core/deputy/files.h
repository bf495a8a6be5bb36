/* SPDX-License-Identifier: GPL-2.0-or-later */
/* files.h: what /proc tells of a file that a process has open.
 * Must not know: what for. Source: proc(5), statfs(2), kcmp(2). */
#ifndef MOSIX_CORE_DEPUTY_FILES_H
#define MOSIX_CORE_DEPUTY_FILES_H

#include "common/base/attr.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

enum { MX_FILE_LOOKS_MAX = 32 << 10 }; /* descriptors that are looked at for one answer */

/* Ours of what process pid has as descriptor fd, or -1. */
int mx_file_get(pid_t pid, int fd);

bool mx_has_one_thread(pid_t pid);

/* The offset of what process pid only reads as descriptor fd; -1: it is not so, or it has a
 * lock, which goes when nobody has it open any more. */
int64_t mx_file_offset(pid_t pid, int fd);

/* Is it a regular file that changes by this kernel only? st: filled then. */
bool mx_file_is_local(int file, struct stat *st);

/* May somebody else, or another descriptor of process pid, have what it has as descriptor fd,
 * of which st tells? Who shares our own table of descriptors doesn't count. What lies in a
 * message that nobody has taken yet is not seen. */
bool mx_file_is_shared(pid_t pid, int fd, const struct stat *st);

#endif
