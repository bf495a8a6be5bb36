/* SPDX-License-Identifier: GPL-2.0-or-later */
/* prompt.h: processes that stand between a job which stands still and its going on.
 * Must not know: what they do. */
#ifndef MOSIX_CORE_NET_PROMPT_H
#define MOSIX_CORE_NET_PROMPT_H

#include <stdbool.h>
#include <sys/types.h>

/* Our thread (0), or a process of ours, does not wait for its turn among those that compute, or
 * does again. Without the right to it nothing happens. */
void mx_be_prompt(pid_t who, bool is_prompt);

#endif
