/* SPDX-License-Identifier: GPL-2.0-or-later */
/* base64.h: RFC 4648 base64 with the standard alphabet.
 * Must not know: what is coded. */
#ifndef COMMON_BASE_BASE64_H
#define COMMON_BASE_BASE64_H

#include "common/base/attr.h"

#include <stddef.h>
#include <stdint.h>

/* Bytes that coding len_bytes needs, with the NUL. */
#define BASE64_SIZE(len_bytes) (((len_bytes) + 2) / 3 * 4 + 1)

/* Writes padded base64 and a NUL. Returns the length of the text, or -ENOSPC. */
MUST int base64_encode(char *out, size_t size_bytes, const void *ptr, size_t len_bytes);

/* Decodes text_len characters; blanks and line ends are skipped, padding may be missing.
 * Returns the count of bytes, -EPROTO for another character, -ENOSPC. */
MUST int base64_decode(void *out, size_t size_bytes, const char *text, size_t text_len);

#endif
