/* SPDX-License-Identifier: GPL-2.0-or-later */
/* term.c: the settings of a terminal.
 * Must not know: jobs. */
#include "mrc/term.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <termios.h>

enum { PIXELS_AT = 4 * 4 + 32 }; /* behind flags and control characters */

int mrc_term_set(int tty_fd, struct bytes term, uint16_t rows, uint16_t columns)
{
    struct winsize ws = { rows, columns, 0, 0 };
    if (term.len >= PIXELS_AT) {
        /* A size that differs only in these is another one, too: programs would be told by a signal. */
        struct rd p = rd_of(term.ptr + PIXELS_AT, term.len - PIXELS_AT);
        if (get_u16(&p, &ws.ws_xpixel) < 0 || get_u16(&p, &ws.ws_ypixel) < 0)
            ws.ws_xpixel = ws.ws_ypixel = 0;
    }
    ioctl(tty_fd, TIOCSWINSZ, &ws);
    struct rd r = rd_of(term.ptr, term.len);
    uint32_t flags[4];
    for (int i = 0; i < 4; i++)
        if (get_u32(&r, &flags[i]) < 0)
            return 0;
    struct termios t;
    if (tcgetattr(tty_fd, &t) < 0)
        return -errno;
    t.c_iflag = flags[0];
    t.c_oflag = flags[1];
    t.c_cflag = (t.c_cflag & (CBAUD | CSIZE)) | (flags[2] & ~(tcflag_t)(CBAUD | CSIZE));
    t.c_lflag = flags[3];
    for (size_t i = 0; i < 32 && i < NCCS; i++) {
        uint8_t c;
        if (get_u8(&r, &c) < 0)
            break;
        t.c_cc[i] = c;
    }
    return tcsetattr(tty_fd, TCSANOW, &t) < 0 ? -errno : 0;
}
