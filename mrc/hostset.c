/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hostset.c: names of several hosts.
 * Must not know: what a host is. */
#include "mrc/hostset.h"

#include "common/sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NUMBER_DIGITS_MAX = 9 };

static int add_name(struct mrc_hostset *h, const char *name, struct err *e)
{
    for (size_t i = 0; i < h->count; i++)
        if (!strcmp(h->names[i], name))
            return 0;
    if (h->count == MRC_HOSTS_MAX)
        return err_say(e, E2BIG, "more than %d hosts", MRC_HOSTS_MAX);
    char **more = realloc(h->names, (h->count + 1) * sizeof *more);
    if (!more)
        return err_set(e, ENOMEM, "a list of hosts");
    h->names = more;
    if (!(more[h->count] = strdup(name)))
        return err_set(e, ENOMEM, "a list of hosts");
    h->count++;
    return 0;
}

/* The first "[" behind which only numbers come, or NULL. */
static const char *numbers_of(const char *text)
{
    for (const char *at = strchr(text, '['); at; at = strchr(at + 1, '[')) {
        size_t len = strspn(at + 1, "0123456789,-");
        if (at[1 + len] == ']')
            return at;
    }
    return NULL;
}

struct range {
    unsigned long from, to;
    int width;
};

/* One "3" or "1-8" at *at, which is moved behind it and its comma. */
static int parse_range(const char **at, struct range *out)
{
    char *end;
    size_t digits = strspn(*at, "0123456789");
    if (digits == 0 || digits > NUMBER_DIGITS_MAX)
        return -EINVAL;
    out->width = (*at)[0] == '0' ? (int)digits : 0;
    out->from = out->to = strtoul(*at, &end, 10);
    if (*end == '-') {
        digits = strspn(end + 1, "0123456789");
        if (digits == 0 || digits > NUMBER_DIGITS_MAX)
            return -EINVAL;
        out->to = strtoul(end + 1, &end, 10);
    }
    if (*end != ']' && (*end != ',' || end[1] == ']'))
        return -EINVAL;
    end += *end == ',';
    *at = end;
    return out->to < out->from ? -EINVAL : 0;
}

/* Replaces the first numbers in brackets by each in turn, and goes on with those behind. */
static int expand(struct mrc_hostset *h, const char *text, struct err *e)
{
    const char *open = numbers_of(text);
    if (!open)
        return add_name(h, text, e);
    const char *at = open + 1, *close = strchr(open, ']');
    int rc = 0;
    do {
        struct range r;
        if (parse_range(&at, &r) < 0)
            return err_say(e, EINVAL,
                           "\"%s\": in brackets come numbers such as [1-8] or [01-16,20]", text);
        for (unsigned long n = r.from; rc == 0 && n <= r.to; n++) {
            char name[MRC_HOSTS_NAME_MAX];
            int len = snprintf(name, sizeof name, "%.*s%0*lu%s", (int)(open - text), text,
                               r.width, n, close + 1);
            if (len >= (int)sizeof name)
                return err_say(e, E2BIG, "the name of a host is too long: %.40s…", text);
            rc = expand(h, name, e);
        }
    } while (rc == 0 && at < close);
    return rc;
}

/* Bytes up to the comma, blank or comment that ends a word; commas in brackets belong to it. */
static size_t word_len(const char *text)
{
    size_t len = 0;
    bool is_inside = false;
    for (; text[len] && !strchr(" \t\r\n#", text[len]) && (is_inside || text[len] != ','); len++)
        is_inside = text[len] == '[' || (is_inside && text[len] != ']');
    return len;
}

int mrc_hostset_add(struct mrc_hostset *h, const char *text, struct err *e)
{
    while (*text) {
        if (*text == '#') {
            text += strcspn(text, "\n");
            continue;
        }
        size_t len = word_len(text);
        if (len == 0) {
            text++;
            continue;
        }
        char word[MRC_HOSTS_NAME_MAX];
        if (len >= sizeof word)
            return err_say(e, E2BIG, "the name of a host is too long: %.40s…", text);
        memcpy(word, text, len);
        word[len] = 0;
        const char *open = strrchr(word, '[');
        if (open && !strchr(open, ']'))
            return err_say(e, EINVAL, "\"%s\": the bracket does not end", word);
        int rc = expand(h, word, e);
        if (rc < 0)
            return rc;
        text += len;
    }
    return 0;
}

int mrc_hostset_add_file(struct mrc_hostset *h, const char *path, struct err *e)
{
    bool is_stdin = !strcmp(path, "-");
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(e, errno, "hosts of %s", path);
    char *text = malloc(MRC_HOSTS_FILE_MAX + 1);
    ssize_t len = text ? fd_read_full(fd, text, MRC_HOSTS_FILE_MAX + 1) : -ENOMEM;
    int rc;
    if (len < 0) {
        rc = err_set(e, (int)-len, "hosts of %s", path);
    } else if (len > MRC_HOSTS_FILE_MAX) {
        rc = err_say(e, E2BIG, "%s: a file of hosts has at most %d bytes", path,
                     MRC_HOSTS_FILE_MAX);
    } else if (memchr(text, 0, (size_t)len)) {
        rc = err_say(e, EINVAL, "%s is no text", path);
    } else {
        text[len] = 0;
        struct err why = { "" };
        if ((rc = mrc_hostset_add(h, text, &why)) < 0)
            err_say(e, -rc, "%s: %s", path, why.text);
    }
    free(text);
    if (!is_stdin)
        close(fd);
    return rc;
}

void mrc_hostset_fini(struct mrc_hostset *h)
{
    for (size_t i = 0; i < h->count; i++)
        free(h->names[i]);
    free(h->names);
    *h = (struct mrc_hostset){ 0 };
}
