/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mountopts.c: what mrcfs takes after -o.
 * Must not know: how to mount or connect. */
#include "mrcfs/mountopts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

enum mopt_kind {
    MOPT_TEXT,    /* const char *, needs a value */
    MOPT_OPTIONAL, /* const char *, "" without a value */
    MOPT_NUMBER,  /* long long, decimal */
    MOPT_OCTAL,   /* long long */
    MOPT_FLAG,    /* bool, becomes true */
    MOPT_IDMAP,   /* enum mfs_idmap_kind */
    MOPT_COMPRESS, /* enum mfs_compress */
    MOPT_NOMAP,   /* bool */
    MOPT_SET,     /* a flag of mount(2) */
    MOPT_CLEAR,   /* likewise */
    MOPT_IGNORED, /* somebody else's, or without meaning here */
    MOPT_REFUSED, /* would do something else than asked */
};

struct mopt {
    const char *name;
    enum mopt_kind kind;
    size_t offset;
    unsigned long flag;
};

/* The field's offset or the flag, depending on the kind. */
#define ARG_TEXT(a)    .offset = offsetof(struct mfs_mount_opts, a)
#define ARG_OPTIONAL(a) ARG_TEXT(a)
#define ARG_NUMBER(a)  ARG_TEXT(a)
#define ARG_OCTAL(a)   ARG_TEXT(a)
#define ARG_FLAG(a)    ARG_TEXT(a)
#define ARG_IDMAP(a)   ARG_TEXT(a)
#define ARG_COMPRESS(a) ARG_TEXT(a)
#define ARG_NOMAP(a)   ARG_TEXT(a)
#define ARG_SET(a)     .flag = (a)
#define ARG_CLEAR(a)   .flag = (a)
#define ARG_IGNORED(a) .flag = 0
#define ARG_REFUSED(a) .flag = 0
static const struct mopt table[] = {
#define MOPT(opt_name, opt_kind, argument, help)                                               \
    { .name = (opt_name), .kind = MOPT_##opt_kind, ARG_##opt_kind(argument) },
#include "mrcfs/mountopts.def"
#undef MOPT
};

static const char *const idmaps[] = { [MFS_IDMAP_NAME] = "name",
                                      [MFS_IDMAP_NONE] = "none",
                                      [MFS_IDMAP_USER] = "user",
                                      [MFS_IDMAP_FILE] = "file" };
static const char *const compressions[] = { [MFS_COMPRESS_AUTO] = "auto",
                                            [MFS_COMPRESS_NO] = "no",
                                            [MFS_COMPRESS_YES] = "yes" };

void mfs_mount_opts_init(struct mfs_mount_opts *o)
{
    *o = (struct mfs_mount_opts){
        .flags = MS_NOSUID | MS_NODEV, .uid = -1, .gid = -1, .umask = -1
    };
}

/* Cuts the first option off *text, in place. */
static char *next_option(char **text)
{
    char *start = *text, *to = *text, *at = *text;
    if (!*at)
        return NULL;
    for (; *at && *at != ','; at++) {
        if (*at == '\\' && (at[1] == ',' || at[1] == '\\'))
            at++;
        *to++ = *at;
    }
    *text = *at ? at + 1 : at;
    *to = 0;
    return start;
}

static int parse_number(const char *name, const char *value, int base, long long max,
                        long long *out, struct err *e)
{
    char *end;
    errno = 0;
    long long v = value && *value ? strtoll(value, &end, base) : -1;
    if (v < 0 || errno || *end || v > max) {
        err_set(e, 0, "-o %s=%s: not a number that fits", name, value ? value : "");
        return -EINVAL;
    }
    *out = v;
    return 0;
}

static int parse_idmap(const char *value, enum mfs_idmap_kind *out, struct err *e)
{
    for (size_t i = 0; value && i < ARRAY_LEN(idmaps); i++) {
        if (!strcmp(value, idmaps[i])) {
            *out = (enum mfs_idmap_kind)i;
            return 0;
        }
    }
    err_set(e, 0, "-o idmap=%s: must be name, none, user or file", value ? value : "");
    return -EINVAL;
}

static int parse_compress(const char *value, enum mfs_compress *out, struct err *e)
{
    for (size_t i = 0; value && i < ARRAY_LEN(compressions); i++) {
        if (!strcmp(value, compressions[i])) {
            *out = (enum mfs_compress)i;
            return 0;
        }
    }
    err_set(e, 0, "-o compress=%s: must be auto, no or yes", value ? value : "");
    return -EINVAL;
}

static int apply(struct mfs_mount_opts *o, const struct mopt *m, const char *value,
                 struct err *e)
{
    void *field = (char *)o + m->offset;
    switch (m->kind) {
    case MOPT_TEXT:
        if (!value || !*value) {
            err_set(e, 0, "-o %s: needs a value", m->name);
            return -EINVAL;
        }
        *(const char **)field = value;
        return 0;
    case MOPT_OPTIONAL: *(const char **)field = value ? value : ""; return 0;
    case MOPT_NUMBER: return parse_number(m->name, value, 10, UINT32_MAX - 1, field, e);
    case MOPT_OCTAL: return parse_number(m->name, value, 8, 0777, field, e);
    case MOPT_FLAG: *(bool *)field = true; return 0;
    case MOPT_IDMAP: return parse_idmap(value, field, e);
    case MOPT_COMPRESS: return parse_compress(value, field, e);
    case MOPT_NOMAP:
        if (!value || (strcmp(value, "ignore") && strcmp(value, "error"))) {
            err_set(e, 0, "-o nomap=%s: must be ignore or error", value ? value : "");
            return -EINVAL;
        }
        *(bool *)field = !strcmp(value, "ignore");
        return 0;
    case MOPT_SET: o->flags |= m->flag; return 0;
    case MOPT_CLEAR: o->flags &= ~m->flag; return 0;
    case MOPT_IGNORED: return 0;
    case MOPT_REFUSED: err_set(e, 0, "-o %s: mrcfs can't do that", m->name); return -EINVAL;
    }
    return -EINVAL;
}

static int take(struct mfs_mount_opts *o, char *option, struct err *e)
{
    if (!*option || !strncmp(option, "x-", 2))
        return 0;
    /* ssh's options begin with a capital, ours never do. */
    if (*option >= 'A' && *option <= 'Z' && strchr(option, '=')) {
        if (o->ssh_option_count == MFS_SSH_OPTIONS_MAX) {
            err_set(e, 0, "-o %s: more than %d options for ssh", option, MFS_SSH_OPTIONS_MAX);
            return -EINVAL;
        }
        o->ssh_options[o->ssh_option_count++] = option;
        return 0;
    }
    char *value = strchr(option, '=');
    if (value)
        *value++ = 0;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (!strcmp(table[i].name, option))
            return apply(o, &table[i], value, e);
    err_set(e, 0, "-o %s: no such option", option);
    return -EINVAL;
}

int mfs_mount_opts_parse(struct mfs_mount_opts *o, char *text, struct err *e)
{
    char *option;
    while ((option = next_option(&text)) != NULL) {
        int rc = take(o, option, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}
