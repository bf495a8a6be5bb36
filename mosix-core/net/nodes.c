/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nodes.c: reading maps and the key.
 * Must not know: connections. */
#include "mosix-core/net/nodes.h"

#include "common/sys/mem.h"
#include "gossip/keyfile.h"
#include "mosix-core/net/lines.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BINS = 4096 };

/* A map while it is read: what was named before is found by a hash, because maps of ten
 * thousand nodes are read while the daemon serves. */
struct reader {
    struct mx_nodes *n;
    const char *path;
    unsigned line;
    uint8_t cluster;
    uint16_t names[BINS], next_name[MX_NODES_MAX]; /* index + 1 */
    uint16_t addresses[BINS], next_address[MX_NODES_MAX];
};

socklen_t mx_node_address(const struct mx_node *n, struct sockaddr_storage *a)
{
    struct sockaddr_in *four = (struct sockaddr_in *)a;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)a;
    memset(a, 0, sizeof *a);
    if (inet_pton(AF_INET, n->address, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(n->port);
        return sizeof *four;
    }
    if (inet_pton(AF_INET6, n->address, &six->sin6_addr) != 1)
        return 0;
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(n->port);
    return sizeof *six;
}

static bool is_address(const char *text)
{
    uint8_t binary[16];
    return strlen(text) < sizeof((struct mx_node *)0)->address &&
           (inet_pton(AF_INET, text, binary) == 1 || inet_pton(AF_INET6, text, binary) == 1);
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

/* ---- a map's lines ---- */

static unsigned hash(const char *text, unsigned more)
{
    uint32_t h = 2166136261u ^ more; /* FNV-1a */
    for (; *text; text++)
        h = (h ^ (uint8_t)*text) * 16777619u;
    return (h ^ h >> 15) % BINS;
}

static int add_node(struct reader *r, const struct mx_node *node, struct err *e)
{
    struct mx_nodes *n = r->n;
    unsigned by_name = hash(node->name, 0), by_address = hash(node->address, node->port);
    for (unsigned i = r->names[by_name]; i; i = r->next_name[i - 1])
        if (strcmp(n->list[i - 1].name, node->name) == 0)
            return err_say(e, EINVAL, "%s, line %u: node %s was named before", r->path, r->line,
                           node->name);
    for (unsigned i = r->addresses[by_address]; i; i = r->next_address[i - 1])
        if (strcmp(n->list[i - 1].address, node->address) == 0 &&
            n->list[i - 1].port == node->port)
            return err_say(e, EINVAL, "%s, line %u: %s port %u is node %s", r->path, r->line,
                           node->address, node->port, n->list[i - 1].name);
    if (n->count == MX_NODES_MAX)
        return err_say(e, ENOSPC, "%s: more than %d nodes", r->path, MX_NODES_MAX);
    n->list[n->count] = *node;
    r->next_name[n->count] = r->names[by_name];
    r->next_address[n->count] = r->addresses[by_address];
    n->count++;
    r->names[by_name] = r->addresses[by_address] = (uint16_t)n->count;
    return 0;
}

/* Words of a line from the name on; node's number and cluster are there already. */
static int take_node(struct reader *r, char *const *words, unsigned count, struct mx_node *node,
                     struct err *e)
{
    if (!is_name(words[0]))
        return err_say(e, EINVAL, "%s, line %u: '%s' can't be a node's name", r->path, r->line,
                       words[0]);
    if (!is_address(words[1]))
        return err_say(e, EINVAL, "%s, line %u: '%s' is no numeric address", r->path, r->line,
                       words[1]);
    long port = count == 3 ? mx_line_number(words[2], 1, 65535) : MX_PORT;
    if (port < 0)
        return err_say(e, EINVAL, "%s, line %u: '%s' is no port", r->path, r->line, words[2]);
    snprintf(node->name, sizeof node->name, "%s", words[0]);
    snprintf(node->address, sizeof node->address, "%s", words[1]);
    node->port = (uint16_t)port;
    return add_node(r, node, e);
}

static int static_line(void *ctx, const struct mx_line *l, struct err *e)
{
    struct reader *r = ctx;
    struct mx_node node = { .number = (uint16_t)(r->n->count + 1) };
    r->line = l->number;
    if (l->count < 2 || l->count > 3)
        return err_say(e, EINVAL,
                       "%s, line %u: should be a name, an address and perhaps a port", r->path,
                       r->line);
    return take_node(r, l->words, l->count, &node, e);
}

static int add_cluster(struct reader *r, unsigned number, const char *name, struct err *e)
{
    struct mx_nodes *n = r->n;
    for (unsigned i = 0; i < n->cluster_count; i++)
        if (n->clusters[i].number == number || strcmp(n->clusters[i].name, name) == 0)
            return err_say(e, EINVAL, "%s, line %u: cluster %u %s was named before", r->path,
                           r->line, n->clusters[i].number, n->clusters[i].name);
    if (n->cluster_count == MX_CLUSTERS_MAX)
        return err_say(e, ENOSPC, "%s: more than %d clusters", r->path, MX_CLUSTERS_MAX);
    struct mx_cluster_entry *c = &n->clusters[n->cluster_count++];
    *c = (struct mx_cluster_entry){ .number = (uint8_t)number };
    snprintf(c->name, sizeof c->name, "%s", name);
    r->cluster = (uint8_t)number;
    return 0;
}

static int map_line(void *ctx, const struct mx_line *l, struct err *e)
{
    struct reader *r = ctx;
    struct mx_nodes *n = r->n;
    char *const *words = l->words;
    unsigned count = l->count;
    r->line = l->number;
    if (strcmp(words[0], "cluster") == 0) {
        long number = count == 3 ? mx_line_number(words[1], 0, 255) : -EINVAL;
        if (number < 0 || !is_name(words[2]))
            return err_say(e, EINVAL,
                           "%s, line %u: should be 'cluster', a number below 256 and a name",
                           r->path, r->line);
        return add_cluster(r, (unsigned)number, words[2], e);
    }
    if (count < 3 || count > 4)
        return err_say(e, EINVAL,
                       "%s, line %u: should be a number, a name, an address and perhaps a port",
                       r->path, r->line);
    long number = mx_line_number(words[0], 1, MX_NUMBER_MAX);
    if (number < 0)
        return err_say(e, EINVAL, "%s, line %u: '%s' can't be a node's number (1 to %d)",
                       r->path, r->line, words[0], MX_NUMBER_MAX);
    if (n->count && number <= n->list[n->count - 1].number)
        return err_say(e, EINVAL, "%s, line %u: numbers must ascend, and %ld is not above %u",
                       r->path, r->line, number, n->list[n->count - 1].number);
    int rc = n->cluster_count ? 0 : add_cluster(r, 0, "main", e);
    struct mx_node node = { .number = (uint16_t)number, .cluster = r->cluster };
    return rc < 0 ? rc : take_node(r, words + 1, count - 1, &node, e);
}

/* ---- files ---- */

static int read_map(struct mx_nodes *n, const char *path,
                    int (*fn)(void *, const struct mx_line *, struct err *), struct err *e)
{
    AUTO_FREE struct reader *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(e, ENOMEM, "read %s", path);
    n->count = n->cluster_count = n->partition_count = 0;
    r->n = n;
    r->path = path;
    int rc = mx_lines_each(path, fn, r, e);
    if (rc == 0 && n->count == 0)
        rc = err_say(e, EINVAL, "%s names no node", path);
    return rc;
}

int mx_nodes_read(struct mx_nodes *n, const char *path, struct err *e)
{
    int rc = read_map(n, path, static_line, e);
    if (rc == 0) {
        n->clusters[0] = (struct mx_cluster_entry){ .name = "main" };
        n->cluster_count = 1;
    }
    return rc;
}

int mx_map_read(struct mx_nodes *n, const char *path, struct err *e)
{
    return read_map(n, path, map_line, e);
}

/* ---- looking ---- */

int mx_nodes_number(const struct mx_nodes *n, unsigned number)
{
    for (unsigned i = 0; i < n->count; i++)
        if (n->list[i].number == number)
            return (int)i;
    return -ENOENT;
}

int mx_nodes_find(const struct mx_nodes *n, const char *what)
{
    long number = mx_line_number(what, 1, MX_NUMBER_MAX);
    if (number > 0)
        return mx_nodes_number(n, (unsigned)number);
    for (unsigned i = 0; i < n->count; i++)
        if (strcmp(n->list[i].name, what) == 0 || strcmp(n->list[i].address, what) == 0)
            return (int)i;
    return -ENOENT;
}

const struct mx_cluster_entry *mx_nodes_cluster(const struct mx_nodes *n, unsigned number)
{
    for (unsigned i = 0; i < n->cluster_count; i++)
        if (n->clusters[i].number == number)
            return &n->clusters[i];
    return NULL;
}

void mx_node_text(const struct mx_node *n, char text[MX_NODE_TEXT_MAX])
{
    snprintf(text, MX_NODE_TEXT_MAX, "%u %s %s %u %u %u", n->number, n->name, n->address,
             n->port, n->cluster, n->revoked);
}

int mx_nodes_learn(struct mx_nodes *n, const char *text)
{
    struct mx_node new = { .number = 0 };
    unsigned number, port, cluster;
    char more[2];
    if (sscanf(text, "%u %63s %47s %u %u %u %1s", &number, new.name, new.address, &port,
               &cluster, &new.revoked, more) != 6 ||
        number < 1 || number > MX_NUMBER_MAX || port < 1 || port > 65535 || cluster > 255 ||
        !is_name(new.name) || !is_address(new.address))
        return -EPROTO;
    new.number = (uint16_t)number;
    new.port = (uint16_t)port;
    new.cluster = (uint8_t)cluster;
    int at = mx_nodes_number(n, number);
    if (at < 0 && n->count == MX_NODES_MAX)
        return -ENOSPC;
    if (at < 0)
        at = (int)n->count++;
    n->list[at] = new;
    return at;
}

int mx_key_read(uint8_t key[CRYPTO_KEY_BYTES], const char *path, struct err *e)
{
    char text[2 * CRYPTO_KEY_BYTES + 8];
    int len = gsp_file_read(path, true, text, sizeof text, e), rc = len < 0 ? len : 0;
    if (rc == -EFBIG)
        rc = -EINVAL;
    if (rc == 0 && len && text[len - 1] == '\n')
        len--;
    for (int i = 0; i < len; i++)
        text[i] = (char)tolower((unsigned char)text[i]);
    if (rc == 0 && gsp_hex_get(text, (size_t)len, key, CRYPTO_KEY_BYTES) < 0)
        rc = -EINVAL;
    if (rc == -EINVAL)
        err_say(e, EINVAL, "%s should hold %d hexadecimal digits and nothing else", path,
                2 * CRYPTO_KEY_BYTES);
    crypto_wipe(text, sizeof text);
    return rc;
}
