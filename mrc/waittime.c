/* SPDX-License-Identifier: GPL-2.0-or-later */
/* waittime.c: how long a lost connection is worth waiting for, in the user's words.
 * Must not know: connections. */
#include "mrc/mrc.h"

#include "common/sys/mem.h"

#include <errno.h>
#include <stdlib.h>

int mrc_reconnect_time(const char *option, const char *text, uint32_t *out_s, struct err *e)
{
    static const struct {
        char unit;
        unsigned seconds;
    } units[] = { { 0, 1 }, { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (end > text && *text != '-' && !errno && (!*end || !end[1]))
        for (size_t i = 0; i < ARRAY_LEN(units); i++)
            if (*end == units[i].unit && n <= MRC_RECONNECT_MAX_S / units[i].seconds) {
                *out_s = (uint32_t)(n * units[i].seconds);
                return 0;
            }
    return err_say(e, EINVAL, "%s%.40s: a time is needed, such as 30s, 10m or 8h, at most 7d", option, text);
}
