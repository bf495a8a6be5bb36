/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nomodules.c: for the static agent: the path-based part of libfuse, which the library's other
 * parts bring along, can load modules by dlopen(3). A static program can't do that and nobody
 * here asks for it; the linker puts this in its place (--wrap=dlopen). Must not know: anything.
 */
#include <stddef.h>

void *__wrap_dlopen(const char *file, int mode);

void *__wrap_dlopen(const char *file, int mode)
{
    (void)file;
    (void)mode;
    return NULL;
}
