/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c: the smallest project worth building on another computer. */
#include "greet.h"

int main(void)
{
    greet(BUILT_ON);
    return 0;
}
