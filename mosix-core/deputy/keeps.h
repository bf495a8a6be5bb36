/* SPDX-License-Identifier: GPL-2.0-or-later */
/* keeps.h: which answers a process that is away may keep, because nobody else can change them.
 * Must not know: calls, frames. */
#ifndef MOSIX_CORE_DEPUTY_KEEPS_H
#define MOSIX_CORE_DEPUTY_KEEPS_H

#include <stdint.h>
#include <sys/types.h>

/* MX_KEEP_... of process pid; what can't be found out is not kept. */
uint8_t mx_keeps(pid_t pid);

#endif
