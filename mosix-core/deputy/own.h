/* SPDX-License-Identifier: GPL-2.0-or-later */
/* own.h: what a process can see of itself through its descriptors, and has to be at home for:
 * files of /proc that tell of its memory, memory that others fill.
 * Must not know: calls, moves. */
#ifndef MOSIX_CORE_DEPUTY_OWN_H
#define MOSIX_CORE_DEPUTY_OWN_H

#include "common/base/err.h"

#include <stdbool.h>
#include <sys/types.h>

/* Of a stub such a file tells of the stub. Returns the name of the file, "maps", when
 * descriptor fd of process pid is one of its own /proc; else NULL. Valid for ever. */
const char *mx_own_file(pid_t pid, int fd);

/* Does this call open files by their names? number: of this machine's kernel. */
bool mx_own_opens(long number);

/* Does descriptor fd of process pid lead to something whose ioctls may do anything, and keep
 * pointers? Devices but terminals and the memory of nothing, and the kernel's objects without a
 * name. */
bool mx_own_device(pid_t pid, int fd);

/* May process pid be away, as far as its descriptors and its personality say? Returns 0;
 * -ENOTSUP with words; -ESRCH. */
MUST int mx_own_look(pid_t pid, struct err *e);

#endif
