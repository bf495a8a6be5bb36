/* SPDX-License-Identifier: GPL-2.0-or-later */
/* greet.c: says where it was compiled and where it runs. */
#include "greet.h"

#include <stdio.h>
#include <unistd.h>

void greet(const char *built_on)
{
    char here[256] = "?";
    gethostname(here, sizeof here - 1);
    printf("compiled on %s, running on %s\n", built_on, here);
}
