/* SPDX-License-Identifier: GPL-2.0-or-later */
/* statusline.c: see statusline.h.
 * Must not know: what it says. */
#include "mrc/statusline.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { WIDTH = 80 };

static void put(int fd, bool has_screen, const char *text, int width)
{
    char line[512];
    /* Save the cursor, go to the last line, erase it; or from the line's start. */
    int n = has_screen ? snprintf(line, sizeof line, "\0337\033[999;1H\033[2K%.*s\0338", width, text)
                       : snprintf(line, sizeof line, "\r\033[K%.*s", width, text);
    if (n > 0 && (size_t)n < sizeof line && write(fd, line, (size_t)n) < 0)
        return; /* nobody sees it */
}

void mrc_statusline_show(int fd, bool has_screen, const char *text)
{
    struct winsize ws;
    if (isatty(fd) != 1)
        return;
    int width = ioctl(fd, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 1 ? ws.ws_col - 1 : WIDTH;
    put(fd, has_screen, text, width < 400 ? width : 400);
}

void mrc_statusline_clear(int fd, bool has_screen)
{
    if (isatty(fd) == 1)
        put(fd, has_screen, "", 0);
}
