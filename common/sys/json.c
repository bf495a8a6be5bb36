/* SPDX-License-Identifier: GPL-2.0-or-later */
/* json.c: the only file that knows jansson.
 * Must not know: what the texts mean. */
#include "common/sys/json.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One for each object or list, in one chain so that they can be freed with the top. */
struct json {
    json_t *value;
    struct json *top, *next;
    bool is_incomplete; /* of the top */
};

static struct json *node(json_t *value, struct json *top)
{
    struct json *j = value ? calloc(1, sizeof *j) : NULL;
    if (!j)
        return NULL;
    j->value = value;
    j->top = top ? top : j;
    if (top) {
        j->next = top->next;
        top->next = j;
    }
    return j;
}

struct json *json_top(void)
{
    json_t *value = json_object();
    struct json *j = node(value, NULL);
    if (!j)
        json_decref(value);
    return j;
}

/* value: taken. */
static int add(struct json *to, const char *key, json_t *value)
{
    if (!to) {
        json_decref(value);
        return -1;
    }
    int rc = key ? json_object_set_new(to->value, key, value) : json_array_append_new(to->value, value);
    if (rc < 0)
        to->top->is_incomplete = true;
    return rc;
}

static struct json *add_node(struct json *to, const char *key, json_t *value)
{
    if (add(to, key, value) < 0)
        return NULL;
    struct json *j = node(value, to->top);
    if (!j)
        to->top->is_incomplete = true;
    return j;
}

struct json *json_add_object(struct json *to, const char *key)
{
    return add_node(to, key, json_object());
}

struct json *json_add_list(struct json *to, const char *key)
{
    return add_node(to, key, json_array());
}

void json_add_text(struct json *to, const char *key, const char *text)
{
    json_t *value = json_string(text);
    char *plain = value ? NULL : strdup(text);
    for (char *at = plain; at && *at; at++)
        if ((unsigned char)*at >= 127)
            *at = '?';
    if (plain)
        value = json_string(plain);
    free(plain);
    (void)add(to, key, value);
}

void json_add_number(struct json *to, const char *key, long long number)
{
    (void)add(to, key, json_integer(number));
}

void json_add_bool(struct json *to, const char *key, bool value)
{
    (void)add(to, key, json_boolean(value));
}

int json_print(struct json *top)
{
    if (!top)
        return -ENOMEM;
    int rc = top->is_incomplete ? -ENOMEM : json_dumpf(top->value, stdout, JSON_INDENT(2)) < 0 ? -EIO : 0;
    if (rc == 0 && (putchar('\n') < 0 || fflush(stdout)))
        rc = -EIO;
    json_drop(top);
    return rc;
}

void json_drop(struct json *top)
{
    if (top)
        json_decref(top->value);
    for (struct json *j = top, *next; j; j = next) {
        next = j->next;
        free(j);
    }
}
