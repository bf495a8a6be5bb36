/* SPDX-License-Identifier: GPL-2.0-or-later */
/* wire_errors.c: both mappings of common/base/wire_errors.def.
 * Must not know: who sends errors. */
#include "common/base/wire_errors.h"

#include "common/base/attr.h"

#include <errno.h>
#include <stddef.h>

static const struct {
    uint32_t wire;
    int errno_value;
} table[] = {
#define WERR(number, name) { number, name },
#include "common/base/wire_errors.def"
#undef WERR
};

uint32_t wire_error_from(int negative_errno)
{
    if (negative_errno >= 0)
        return 0;
    uint32_t eio = 0;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].errno_value == -negative_errno)
            return table[i].wire;
        if (table[i].errno_value == EIO)
            eio = table[i].wire;
    }
    return eio;
}

int wire_error_to(uint32_t wire)
{
    if (!wire)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].wire == wire)
            return -table[i].errno_value;
    return -EIO;
}
