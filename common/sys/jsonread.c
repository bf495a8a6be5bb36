/* SPDX-License-Identifier: GPL-2.0-or-later */
/* jsonread.c: texts in JSON, read; with json.c the only file that knows jansson.
 * Must not know: what they mean. */
#include "common/sys/jsonread.h"

#include <errno.h>
#include <jansson.h>
#include <malloc.h>
#include <stdlib.h>

enum { MEMORY_RATIO = 12, MEMORY_LEAST = 1 << 20 };

/* What jansson has and may have: a text of empty lists would take a hundred times its length.
 */
static size_t used_bytes, most_bytes = SIZE_MAX;

static void *take(size_t size)
{
    void *ptr = size <= most_bytes && used_bytes <= most_bytes - size ? malloc(size) : NULL;
    used_bytes += ptr ? malloc_usable_size(ptr) : 0;
    return ptr;
}

static void give_back(void *ptr)
{
    size_t size = ptr ? malloc_usable_size(ptr) : 0;
    used_bytes -= size < used_bytes
                      ? size
                      : used_bytes; /* json.c's may be from before there was this count */
    free(ptr);
}

/* A struct json_value is jansson's json_t, under a name that only this file can see through. */
static const json_t *inside(const struct json_value *v)
{
    return (const json_t *)v;
}

int jval_read(const char *text, size_t len_bytes, struct json_value **out, struct err *e)
{
    json_error_t why;
    json_set_alloc_funcs(take, give_back);
    most_bytes = used_bytes + MEMORY_LEAST + len_bytes * MEMORY_RATIO;
    json_t *top = json_loadb(text, len_bytes, JSON_REJECT_DUPLICATES, &why);
    most_bytes = SIZE_MAX;
    if (!top)
        return err_say(e, EPROTO, "no JSON: %s at byte %d", why.text, why.position);
    *out = (struct json_value *)top;
    return 0;
}

void jval_drop(struct json_value *top)
{
    json_decref((json_t *)top);
}

const struct json_value *jval_in(const struct json_value *object, const char *key)
{
    return object ? (const struct json_value *)json_object_get(inside(object), key) : NULL;
}

size_t jval_count(const struct json_value *list)
{
    return list ? json_array_size(inside(list)) : 0;
}

const struct json_value *jval_at(const struct json_value *list, size_t place)
{
    return list ? (const struct json_value *)json_array_get(inside(list), place) : NULL;
}

bool jval_true(const struct json_value *v)
{
    return v && json_is_true(inside(v));
}

bool jval_whole(const struct json_value *v, int64_t *out)
{
    if (!v || !json_is_integer(inside(v)))
        return false;
    *out = json_integer_value(inside(v));
    return true;
}

const char *jval_words(const struct json_value *v)
{
    return v ? json_string_value(inside(v)) : NULL;
}
