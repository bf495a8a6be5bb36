/* SPDX-License-Identifier: GPL-2.0-or-later */
/* silence.c: how long a connection may be silent.
 * Must not know: connections. */
#include "mrc/mrc.h"

#include <stdlib.h>

enum { SILENCE_MAX_S = 86400 };

int mrc_silence_ms(void)
{
    const char *text = getenv("MRC_SILENCE");
    long seconds = text ? strtol(text, NULL, 10) : 0;
    return seconds > 0 && seconds <= SILENCE_MAX_S ? (int)seconds * 1000 : 0;
}
