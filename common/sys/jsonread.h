/* SPDX-License-Identifier: GPL-2.0-or-later */
/* jsonread.h: texts in JSON, read: what is there is asked for by name, and anything may be
 * missing or of another kind. Must not know: what they mean. Values belong to the top that they
 * are in. All calls accept NULL and values of any kind, and then find nothing. */
#ifndef COMMON_SYS_JSONREAD_H
#define COMMON_SYS_JSONREAD_H

#include "common/base/attr.h"
#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_value;

/* Takes exactly one value, of len_bytes, 2048 levels, and 12 times its length (and a mebibyte)
 * of memory. Returns 0; -EPROTO with words when it is none, or too much. One thread at a time.
 */
MUST int jval_read(const char *text, size_t len_bytes, struct json_value **out, struct err *e);
void jval_drop(struct json_value *top);

const struct json_value *jval_in(const struct json_value *object,
                                 const char *key); /* NULL: not there */
size_t jval_count(const struct json_value *list);  /* 0: no list */
const struct json_value *jval_at(const struct json_value *list, size_t place);

bool jval_true(const struct json_value *v);
bool jval_whole(const struct json_value *v,
                int64_t *out);                      /* false, out unchanged: no whole number */
const char *jval_words(const struct json_value *v); /* NULL: no text; UTF-8 without NUL */

#endif
