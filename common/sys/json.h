/* SPDX-License-Identifier: GPL-2.0-or-later */
/* json.h: texts in JSON, put together from their top and printed at once.
 * Must not know: what they mean. */
#ifndef COMMON_SYS_JSON_H
#define COMMON_SYS_JSON_H

#include "common/base/attr.h"

#include <stdbool.h>

struct json; /* an object or a list; belongs to what it was added to, or to who made the top */

struct json *json_top(void); /* an object; NULL: no memory, which all calls below accept */
/* Add to an object under a key, or to a list with key NULL. */
struct json *json_add_object(struct json *to, const char *key);
struct json *json_add_list(struct json *to, const char *key);
void json_add_text(struct json *to, const char *key, const char *text); /* bytes that aren't UTF-8 become "?" */
void json_add_number(struct json *to, const char *key, long long number);
void json_add_bool(struct json *to, const char *key, bool value);
/* Prints the top and a newline, and frees it. Returns 0; -ENOMEM something could not be added; -EIO. */
MUST int json_print(struct json *top);
void json_drop(struct json *top); /* frees it */

#endif
