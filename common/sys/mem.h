/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mem.h: heap memory that frees itself at the end of its scope.
 * Must not know: anything. */
#ifndef COMMON_SYS_MEM_H
#define COMMON_SYS_MEM_H

#include "common/base/attr.h"

#include <stdlib.h>

static inline void mem_free_pp(void *pp)
{
    void **p = pp;
    free(*p);
    *p = NULL;
}
#define AUTO_FREE AUTO(mem_free_pp)

static inline void *take_ptr(void *pp)
{
    void **p = pp;
    void *taken = *p;
    *p = NULL;
    return taken;
}

#endif
