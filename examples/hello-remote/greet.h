/* SPDX-License-Identifier: GPL-2.0-or-later */
/* greet.h: a second file, so that there is something to compile and something to link. */
#ifndef GREET_H
#define GREET_H

void greet(const char *built_on);

#endif
