/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rules.c: the file of rules.
 * Must not know: who may say them. */
#include "mosix-core/mosixd/rules.h"

#include "gossip/keyfile.h"
#include "mosix-core/net/lines.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    size_t offset;
    uint32_t value, largest;
} table[] = {
#define RULE(name, value, largest, help)                                                       \
    { #name, offsetof(struct mx_rules, name), value, largest },
#include "mosix-core/mosixd/rules.def"
#undef RULE
};

static uint32_t *at(struct mx_rules *r, unsigned index)
{
    return (uint32_t *)((char *)r + table[index].offset);
}

void mx_rules_init(struct mx_rules *r)
{
    for (unsigned i = 0; i < ARRAY_LEN(table); i++)
        *at(r, i) = table[i].value;
}

int mx_rules_set(struct mx_rules *r, const char *name, uint64_t value, struct err *e)
{
    unsigned i = 0;
    while (i < ARRAY_LEN(table) && strcmp(table[i].name, name) != 0)
        i++;
    if (i == ARRAY_LEN(table))
        return err_say(e, ENOENT, "there is no rule '%.40s'", name);
    if (value > table[i].largest)
        return err_say(e, ERANGE, "%s is 0 to %u", name, table[i].largest);
    *at(r, i) = (uint32_t)value;
    return 0;
}

static int take_line(void *ctx, const struct mx_line *l, struct err *e)
{
    struct err why = { "" };
    long value = l->count == 2 ? mx_line_number(l->words[1], 0, UINT32_MAX) : -EINVAL;
    if (value < 0)
        return err_say(e, EINVAL, "%s, line %u: should be a rule and a number", l->path,
                       l->number);
    return mx_rules_set(ctx, l->words[0], (uint64_t)value, &why) < 0
               ? err_say(e, EINVAL, "%s, line %u: %s", l->path, l->number, why.text)
               : 0;
}

int mx_rules_read(struct mx_rules *r, const char *path, struct err *e)
{
    struct err why = { "" };
    mx_rules_init(r);
    int rc = mx_lines_each(path, take_line, r, &why);
    if (rc == 0 || rc == -ENOENT)
        return 0;
    mx_rules_init(r);
    return err_say(e, -rc, "%s", why.text);
}

int mx_rules_write(const struct mx_rules *r, const char *path, struct err *e)
{
    char text[MX_RULES_TEXT_MAX];
    int len = 0;
    for (unsigned i = 0; i < ARRAY_LEN(table); i++)
        len += snprintf(text + len, sizeof text - (size_t)len, "%s %u\n", table[i].name,
                        mx_rules_value(r, i));
    return gsp_file_replace(path, 0644, false, text, (size_t)len, e);
}

const char *mx_rules_name(unsigned index)
{
    return index < ARRAY_LEN(table) ? table[index].name : NULL;
}

uint32_t mx_rules_value(const struct mx_rules *r, unsigned index)
{
    return *(const uint32_t *)((const char *)r + table[index].offset);
}
