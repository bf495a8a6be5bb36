/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nodes.c: reading the map and the key.
 * Must not know: connections. */
#include "mosix-core/net/nodes.h"

#include "common/sys/fd.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_address(const char *text)
{
    uint8_t binary[16];
    return inet_pton(AF_INET, text, binary) == 1 || inet_pton(AF_INET6, text, binary) == 1;
}

static bool is_name(const char *text)
{
    static const char *const taken[] = { "home",       "out",     "freeze", "continue",
                                         "checkpoint", "chkstop", "chkexit" };
    size_t len = strlen(text);
    if (len == 0 || len > MX_NODE_NAME_MAX || strspn(text, "0123456789") == len ||
        text[0] == '-')
        return false;
    for (unsigned i = 0; i < ARRAY_LEN(taken); i++)
        if (strcmp(text, taken[i]) == 0)
            return false;
    for (const char *at = text; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("._-", *at))
            return false;
    return true;
}

static int read_line(struct mx_nodes *n, char *line, const char *path, unsigned number,
                     struct err *e)
{
    char name[MX_NODE_NAME_MAX + 1], address[64], port[16], more[2];
    line[strcspn(line, "#\n")] = 0;
    int words = sscanf(line, "%63s %63s %15s %1s", name, address, port, more);
    if (words <= 0)
        return 0;
    if (words == 1 || words == 4)
        return err_say(e, EINVAL,
                       "%s, line %u: should be a name, an address and perhaps a port", path,
                       number);
    if (!is_name(name))
        return err_say(e, EINVAL, "%s, line %u: '%s' can't be a node's name", path, number,
                       name);
    if (!is_address(address))
        return err_say(e, EINVAL, "%s, line %u: '%s' is no numeric address", path, number,
                       address);
    char *end = NULL;
    unsigned long value = words == 3 ? strtoul(port, &end, 10) : MX_PORT;
    if ((end && *end) || value == 0 || value > 65535)
        return err_say(e, EINVAL, "%s, line %u: '%s' is no port", path, number, port);
    if (mx_nodes_find(n, name) >= 0)
        return err_say(e, EINVAL, "%s, line %u: node %s was named before", path, number, name);
    if (n->count == MX_NODES_MAX)
        return err_say(e, ENOSPC, "%s: more than %d nodes", path, MX_NODES_MAX);
    struct mx_node *node = &n->list[n->count++];
    snprintf(node->name, sizeof node->name, "%s", name);
    snprintf(node->address, sizeof node->address, "%s", address);
    node->port = (uint16_t)value;
    return 0;
}

/* A text file, bounded. */
static int read_text(const char *path, bool is_secret, char *text, size_t size, struct err *e)
{
    struct stat st;
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(e, errno, "open %s", path);
    if (is_secret && (st.st_mode & 077 || (st.st_uid != geteuid() && st.st_uid != 0)))
        return err_say(e, EPERM, "%s can be read by others: chmod 600 %s", path, path);
    ssize_t n = fd_read_full(fd, text, size);
    if (n < 0)
        return err_set(e, (int)-n, "read %s", path);
    if ((size_t)n == size)
        return err_say(e, EFBIG, "%s is too long", path);
    text[n] = 0;
    return 0;
}

int mx_nodes_read(struct mx_nodes *n, const char *path, struct err *e)
{
    static char text[MX_CONFIG_MAX];
    unsigned number = 0;
    n->count = 0;
    int rc = read_text(path, false, text, sizeof text, e);
    for (char *line = text, *next; rc == 0 && line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        rc = read_line(n, line, path, ++number, e);
    }
    if (rc == 0 && n->count == 0)
        rc = err_say(e, EINVAL, "%s names no node", path);
    return rc;
}

int mx_nodes_find(const struct mx_nodes *n, const char *what)
{
    char *end;
    unsigned long number = strtoul(what, &end, 10);
    if (*what && !*end)
        return number >= 1 && number <= n->count ? (int)number - 1 : -ENOENT;
    for (unsigned i = 0; i < n->count; i++)
        if (strcmp(n->list[i].name, what) == 0 || strcmp(n->list[i].address, what) == 0)
            return (int)i;
    return -ENOENT;
}

int mx_key_read(uint8_t key[CRYPTO_KEY_BYTES], const char *path, struct err *e)
{
    static char text[MX_CONFIG_MAX];
    int rc = read_text(path, true, text, sizeof text, e);
    if (rc < 0)
        return rc;
    size_t len = strspn(text, "0123456789abcdefABCDEF");
    bool is_alone = text[len] == 0 || (text[len] == '\n' && text[len + 1] == 0);
    if (len != 2 * CRYPTO_KEY_BYTES || !is_alone)
        rc = err_say(e, EINVAL, "%s should hold %d hexadecimal digits and nothing else", path,
                     2 * CRYPTO_KEY_BYTES);
    for (unsigned i = 0; rc == 0 && i < CRYPTO_KEY_BYTES; i++) {
        char two[3] = { text[2 * i], text[2 * i + 1], 0 };
        key[i] = (uint8_t)strtoul(two, NULL, 16);
    }
    crypto_wipe(text, sizeof text);
    return rc;
}
