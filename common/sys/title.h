/* SPDX-License-Identifier: GPL-2.0-or-later */
/* title.h: what a process is called in lists of processes. */
#ifndef COMMON_SYS_TITLE_H
#define COMMON_SYS_TITLE_H

/* Lists show text, cut to the room that the command line and the environment had, instead of the command line and of the program's name.
 * For a process that was forked from one whose command line says something else. Its variables stay, at another place: what getenv(3)
 * gave before must not be used any more. Where /proc is not there only the name changes. */
void title_set(const char *text);

/* The process has no environment any more, and lists show none: who looks there for the processes of somebody's does not find it. */
void title_drop_environment(void);

#endif
