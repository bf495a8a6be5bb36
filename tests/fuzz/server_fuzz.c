/* SPDX-License-Identifier: GPL-2.0-or-later */
/* server_fuzz.c: any messages to the file server of a small fresh tree: it stays in bounds,
 * inside the tree, and lets everything go at the end.
 * Input: messages without their length, each after its own u16 length; the length's highest bit
 * says that it comes on the bulk stream.
 * Built twice: as follow_fuzz (FOLLOWS_LINKS) the server follows symbolic links itself, of
 * which the tree then has more, loops and ways out of it too. */
#include "common/sys/fd.h"
#include "mrcfs/server/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes);

#ifndef FOLLOWS_LINKS
#define FOLLOWS_LINKS false
#endif

enum { REQUESTS_MAX = 64, FILE_MAX = 1 << 20 };

static char base[64]; /* holds tree, which is served, and outside, which must stay as it is */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

/* Takes away modes and inode flags (immutable) that would keep it from being removed. */
static int open_up(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)at;
    unsigned none = 0;
    bool is_real = S_ISDIR(st->st_mode) || S_ISREG(st->st_mode);
    AUTO_FD fd = kind == FTW_SL || !is_real ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        (void)ioctl(fd, FS_IOC_SETFLAGS, &none);
    if (S_ISDIR(st->st_mode))
        (void)chmod(path, 0700);
    return 0;
}

static void clear(void)
{
    /* One level of closed directories more is seen in each round. */
    for (int i = 0; i < REQUESTS_MAX && access(base, F_OK) == 0; i++) {
        nftw(base, open_up, 16, FTW_PHYS);
        nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
}

static void must(int rc)
{
    if (rc < 0) {
        fprintf(stderr, "server_fuzz: %s: %s\n", base, strerror(errno));
        abort();
    }
}

static void put_file(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", base, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    must(fd);
    must((int)write(fd, "some text\n", 10));
    close(fd);
}

static void make_tree(char *tree, size_t size)
{
    char path[128];
    snprintf(tree, size, "%s/tree", base);
    must(mkdir(base, 0700));
    must(mkdir(tree, 0700));
    snprintf(path, sizeof path, "%s/tree/dir", base);
    must(mkdir(path, 0700));
    snprintf(path, sizeof path, "%s/tree/link", base);
    must(symlink("../outside", path));
    snprintf(path, sizeof path, "%s/outside", base);
    must(mkdir(path, 0500));
    put_file("tree/file");
    put_file("tree/hidden");
    static const char *const links[][2] = {
        { "dir", "todir" },      { "..", "dir/up" },         { "../dir/./up/todir", "dir/way" },
        { "loop2", "loop1" },    { "loop1", "loop2" },       { "nothing", "dangling" },
        { "file", "tofile" },    { "hidden", "tohidden" },   { "/", "root" },
        { "../../..", "above" }, { "todir/up/file", "far" }, { "/proc/self/cwd", "magic" },
    };
    for (size_t i = 0; FOLLOWS_LINKS && i < ARRAY_LEN(links); i++) {
        snprintf(path, sizeof path, "%s/tree/%s", base, links[i][1]);
        must(symlink(links[i][0], path));
    }
}

static void check_outside(void)
{
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/outside", base);
    if (stat(path, &st) < 0 || (st.st_mode & 07777) != 0500 || st.st_nlink != 2)
        abort();
}

/* Where the base goes: in memory if possible. */
static void once(void)
{
    struct rlimit limit = { FILE_MAX, FILE_MAX };
    if (base[0])
        return;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    snprintf(base, sizeof base, "%s/mfs-fuzz-%d",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid());
    atexit(clear);
}

static void on_lock(void *ctx, struct mfs_request *rq, int rc)
{
    (void)rc;
    mfs_server_drop(ctx, rq);
}

static void feed(struct mfs_server *srv, struct mfs_worker *w, struct rd *r)
{
    for (int i = 0; i < REQUESTS_MAX; i++) {
        uint16_t length;
        if (get_u16(r, &length) < 0)
            return;
        size_t len = length & 0x7fff;
        len = len < rd_left(r) ? len : rd_left(r);
        uint8_t *message = malloc(len + 1);
        if (!message)
            abort();
        memcpy(message, r->at, len);
        r->at += len;
        struct mfs_request *rq;
        if (mfs_server_take(srv, length >> 15, message, len, &rq) < 0)
            return;
        if (!rq)
            continue;
        if (rq->head.op == MFS_OP_setlk || rq->head.op == MFS_OP_flock)
            mfs_locks_expect(&srv->locks, rq);
        mfs_run_request(w, rq);
        if (srv->failed)
            return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes)
{
    char tree[96];
    struct err e;
    static const char *const hide[] = { "hidden" };
    once();
    make_tree(tree, sizeof tree);
    struct mfs_export x = { tree, false };
    struct mfs_serve_opts o = { .exports = &x,
                                .export_count = 1,
                                .hide = hide,
                                .hide_count = 1,
                                .follows_links = FOLLOWS_LINKS };
    struct mfs_server *srv = calloc(1, sizeof *srv);
    int here = open(".", O_PATH | O_CLOEXEC), null[2];
    if (!srv || here < 0 || fd_socketpair(null) < 0)
        abort();
    srv->proc_fd = -1;
    if (mfs_server_init(srv, &o, &e) < 0 ||
        mfs_stream_open(&srv->streams[MFS_META], "meta", null[0]) < 0 ||
        mfs_stream_open(&srv->streams[MFS_BULK], "bulk", null[1]) < 0)
        abort();
    for (int i = 0; i < MFS_STREAMS; i++)
        srv->streams[i].is_broken = true; /* nobody reads the answers */
    struct mfs_head h = { .uid = 1000, .gid = 1000 };
    const struct mfs_hello_req hello = { .version = MFS_VERSION,
                                         .features = MFS_FEATURE_PACKS | MFS_FEATURE_CHUNKS };
    if (mfs_server_map(srv, &h, &hello) < 0 ||
        mfs_locks_start(&srv->locks, &srv->files, on_lock, srv) < 0)
        abort();
    srv->callers.is_privileged = false; /* this thread stays who it is */
    must(fchdir(srv->proc_fd));
    struct mfs_worker w = { .srv = srv };
    struct rd r = rd_of(ptr, len_bytes);
    feed(srv, &w, &r);
    mfs_locks_stop(&srv->locks);
    mfs_server_fini(srv);
    for (int i = 0; i < MFS_STREAMS; i++)
        mfs_stream_close(&srv->streams[i]);
    free(srv);
    umask(022);
    must(fchdir(here));
    close(here);
    check_outside();
    clear();
    return 0;
}
