/* SPDX-License-Identifier: GPL-2.0-or-later */
/* inspect.h: what is in a checkpoint, for people.
 * Must not know: how one is made or used. */
#ifndef MOSIX_CORE_CMD_INSPECT_H
#define MOSIX_CORE_CMD_INSPECT_H

/* Prints it on standard output. Returns an exit status: 0; 1 with words on standard error when
 * the file can't be read, is no image, or is not whole. */
int mx_inspect(const char *file);

#endif
