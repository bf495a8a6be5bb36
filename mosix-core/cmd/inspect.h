/* SPDX-License-Identifier: GPL-2.0-or-later */
/* inspect.h: what is in a checkpoint, for people.
 * Must not know: how one is made or used. */
#ifndef MOSIX_CORE_CMD_INSPECT_H
#define MOSIX_CORE_CMD_INSPECT_H

enum mx_inspect_how {
    MX_INSPECT_ALL,
    MX_INSPECT_NOTHING, /* prints nothing: is it whole? */
};

/* Prints it on standard output. Returns an exit status: 0; 1 with words of program who on
 * standard error when the file can't be read, is no image, or is not whole. */
int mx_inspect(const char *who, const char *file, enum mx_inspect_how how);

#endif
