/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_fuzz.c: any bytes as the files of a node (map, partners, partitions, rules, keys), and
 * as what a node says of itself to others: what is taken is in range and consistent, what is
 * not is refused with words. */
#include "gossip/keyfile.h"
#include "mosix-core/mosixd/figures.h"
#include "mosix-core/mosixd/rules.h"
#include "mosix-core/net/nodes.h"
#include "mosix-core/plan/admit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes);

static void must(bool is_so)
{
    if (!is_so)
        abort();
}

static struct mx_nodes n;

static void check_map(void)
{
    must(n.count > 0 && n.count <= MX_NODES_MAX && n.cluster_count > 0 &&
         n.cluster_count <= MX_CLUSTERS_MAX);
    for (unsigned i = 0; i < n.count; i++) {
        struct sockaddr_storage a;
        must(n.list[i].number > 0 && (!i || n.list[i].number > n.list[i - 1].number));
        must(mx_nodes_find(&n, n.list[i].name) == (int)i &&
             mx_node_address(&n.list[i], &a) > 0);
        must(mx_nodes_cluster(&n, n.list[i].cluster) != NULL);
    }
}

static void check_ranks(void)
{
    for (unsigned i = 0; i < n.count; i++) {
        must(n.list[i].partition <= n.partition_count);
        for (unsigned k = 0; k < n.count; k++)
            must((mx_nodes_rank(&n, (int)i, (int)k) == MX_RANK_LOCAL) == (i == k));
    }
}

/* The map of the tests of partners and partitions. */
static void make_map(void)
{
    static const char *const names[] = { "ant", "bee", "cat", "dog" };
    n.count = 4;
    n.cluster_count = 2;
    n.clusters[0] = (struct mx_cluster_entry){
        .name = "main", .takes = true, .goes = true, .rank = MX_RANK_PARTNER
    };
    n.clusters[1] = (struct mx_cluster_entry){ .number = 3, .name = "far" };
    for (unsigned i = 0; i < n.count; i++) {
        n.list[i] = (struct mx_node){ .number = (uint16_t)(i + 1),
                                      .port = 1,
                                      .cluster = i == 3 ? 3 : 0 };
        snprintf(n.list[i].name, sizeof n.list[i].name, "%s", names[i]);
        snprintf(n.list[i].address, sizeof n.list[i].address, "10.0.0.%u", i + 1);
    }
}

static void about(const uint8_t *ptr, size_t len_bytes)
{
    uint8_t bytes[256];
    struct rd r = rd_of(ptr, len_bytes);
    struct mx_about a, again;
    memset(&a, 0, sizeof a);
    memset(&again, 0, sizeof again);
    if (mx_about_get(&r, &a) < 0)
        return;
    for (const char *at = a.kernel; *at; at++)
        must(*at >= ' ' && *at <= '~');
    struct wr w = wr_of(bytes, sizeof bytes);
    mx_about_put(&w, &a);
    r = rd_of(bytes, wr_len(&w));
    must(!w.is_full && mx_about_get(&r, &again) == 0);
    must(strcmp(a.kernel, again.kernel) == 0 && strcmp(a.version, again.version) == 0 &&
         a.cores == again.cores && a.guests_max == again.guests_max);
}

static void rules(const char *path)
{
    struct mx_rules r;
    struct err e = { "" };
    if (mx_rules_read(&r, path, &e) < 0)
        must(e.text[0]);
    must(r.block <= 1 && r.stay <= 1 && r.maxguests <= 150 && r.gridguests <= 150);
}

static void keys(unsigned which, const char *path)
{
    static uint8_t out[GSP_REVOKED_MAX][GSP_RECORD_FILE_MAX];
    struct err e = { "" };
    enum gsp_keyfile kind = (enum gsp_keyfile)(which % GSP_FILE_KINDS);
    int rc = gsp_keyfile_read(path, kind, 8, out[0], &e);
    must(rc <= 8 && (rc >= 0 || e.text[0]));
}

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes)
{
    static int fd = -1;
    char path[40];
    struct err e = { "" };
    if (len_bytes < 2)
        return 0;
    if (fd < 0)
        fd = memfd_create("configuration", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    must(fd >= 0 && ftruncate(fd, 0) == 0 && fchmod(fd, 0600) == 0);
    must(pwrite(fd, ptr + 2, len_bytes - 2, 0) == (ssize_t)(len_bytes - 2));
    int rc = 0;
    make_map();
    switch (ptr[0] % 6) {
    case 0: rc = mx_map_read(&n, path, &e); break;
    case 1: rc = mx_partners_read(&n, path, &e); break;
    case 2: rc = mx_partitions_read(&n, path, 0, &e); break;
    case 3: rules(path); return 0;
    case 4: keys(ptr[1], path); return 0;
    default: about(ptr + 2, len_bytes - 2); return 0;
    }
    must(rc == 0 || e.text[0]);
    if (rc == 0)
        check_map();
    if (rc == 0 && n.count < 64)
        check_ranks();
    return 0;
}
