/* SPDX-License-Identifier: GPL-2.0-or-later */
/* attr.h: compiler attributes and ownership helpers that every file may use.
 * Must not know: anything but the compiler and close/free. */
#ifndef COMMON_BASE_ATTR_H
#define COMMON_BASE_ATTR_H

#define MUST               __attribute__((warn_unused_result))
#define PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define AUTO(fini)         __attribute__((cleanup(fini)))
#define UNUSED             __attribute__((unused))

#define ARRAY_LEN(a)                    (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#endif
