/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nomodules.c: for the static agent: libfuse's path-based interface can load modules by dlopen(3),
 * which a static program can't do and nobody here asks for. The linker puts this in its place
 * (--wrap=dlopen).
 * Must not know: anything. */
#include <stddef.h>

void *__wrap_dlopen(const char *file, int mode);

void *__wrap_dlopen(const char *file, int mode)
{
    (void)file;
    (void)mode;
    return NULL;
}
