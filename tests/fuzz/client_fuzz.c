/* SPDX-License-Identifier: GPL-2.0-or-later */
/* client_fuzz.c: a file client between a kernel that behaves and a server that doesn't.
 * The kernel's side is a packet socket in the place of /dev/fuse; the input chooses its
 * requests and what the server answers: good answers, any bytes as an answer to a call in
 * flight, or any bytes as a message. Every request of the kernel must be answered exactly once.
 * Input: steps, each one byte that chooses and what that step takes. */
#include "common/sys/fd.h"
#include "common/sys/loop.h"
#include "mrcfs/mrcfs.h"
#include "mrcfs/ops.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes);

enum { STEPS_MAX = 64, CALLS_MAX = 64, HANDLES_MAX = 64, TMPFILE = 51, ANSWER_WAIT_MS = 10000 };

struct world {
    struct rd in;
    struct loop *loop;
    struct mfs_client *client;
    int kernel, meta, bulk;
    uint64_t last_unique;
    uint32_t opcodes[STEPS_MAX + 2 * HANDLES_MAX + 4]; /* by unique */
    unsigned waiting; /* requests of the kernel without an answer */
    uint64_t files[HANDLES_MAX], dirs[HANDLES_MAX];
    size_t file_count, dir_count;
    struct {
        uint64_t id;
        uint16_t op;
    } calls[CALLS_MAX]; /* seen by the server, not answered */
    size_t call_count;
    bool is_lost;
};

static uint64_t take(struct world *w, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes && rd_left(&w->in); i++)
        v = v << 8 | *w->in.at++;
    return v;
}

static void on_lost(void *ctx, const struct err *why)
{
    struct world *w = ctx;
    (void)why;
    if (w->is_lost)
        abort();
    w->is_lost = true;
}

/* ---- the server ---- */

static void say(struct world *w, int fd, const void *ptr, size_t len)
{
    ssize_t n = send(fd, ptr, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)n; /* a client that has given up hears nothing */
    (void)w;
}

static void say_hello(struct world *w)
{
    uint8_t room[256], exports[64];
    struct wr x = wr_of(exports, sizeof exports), m = wr_of(room, sizeof room);
    mfs_export_rec_put(&x, &(struct mfs_export_rec){ 0, bytes_of("/one") });
    mfs_export_rec_put(&x, &(struct mfs_export_rec){ 0, bytes_of("/two") });
    mfs_message_begin(&m, &(struct mfs_head){ .kind = MFS_REPLY, .id = 1 });
    mfs_hello_rep_put(&m,
                      &(struct mfs_hello_rep){ .version = MFS_VERSION,
                                               .exports = { exports, (uint32_t)wr_len(&x) } });
    mfs_message_end(&m, 0);
    say(w, w->meta, room, wr_len(&m));
}

/* Reads what the client asked, to know which answers it waits for. */
static void hear_calls(struct world *w, int fd)
{
    static uint8_t room[1 << 16];
    ssize_t n = recv(fd, room, sizeof room, MSG_DONTWAIT);
    struct rd r = rd_of(room, n < 0 ? 0 : (size_t)n);
    uint32_t len;
    while (get_u32(&r, &len) == 0 && len <= rd_left(&r)) {
        struct rd one = rd_of(r.at, len);
        struct mfs_head h;
        r.at += len;
        if (mfs_head_get(&one, &h) < 0)
            abort();
        if (h.kind == MFS_REQUEST && w->call_count < CALLS_MAX) {
            w->calls[w->call_count].id = h.id;
            w->calls[w->call_count++].op = h.op;
        }
    }
}

static struct mfs_attr good_attr(struct world *w)
{
    static const uint32_t modes[] = { S_IFREG | 0644, S_IFDIR | 0755, S_IFLNK | 0777,
                                      S_IFIFO | 0600 };
    return (struct mfs_attr){ .ino = 5,
                              .mode = modes[take(w, 1) % ARRAY_LEN(modes)],
                              .nlink = 1,
                              .size = take(w, 1),
                              .mtime_sec = (int64_t)take(w, 1),
                              .valid_ms = 1000,
                              .flags = (uint32_t)take(w, 1) };
}

/* A body that the call's kind of answer has. */
static void put_good(struct world *w, uint16_t op, struct wr *m)
{
    static const uint8_t data[64];
    struct mfs_entry e = { .node = 1 + take(w, 1) % 8, .attr = good_attr(w), .valid_ms = 1000 };
    uint8_t list[2048];
    struct wr l = wr_of(list, sizeof list);
    switch (op) {
    case MFS_OP_lookup:
    case MFS_OP_mknod:
    case MFS_OP_mkdir:
    case MFS_OP_symlink:
    case MFS_OP_link: mfs_entry_put(m, &e); break;
    case MFS_OP_getattr:
    case MFS_OP_setattr: mfs_attr_put(m, &e.attr); break;
    case MFS_OP_readlink: put_bytes(m, bytes_of("target")); break;
    case MFS_OP_open:
        mfs_open_rep_put(m, &(struct mfs_open_rep){
                                1 + take(w, 1), e.attr, { data, (uint32_t)take(w, 1) % 65 } });
        break;
    case MFS_OP_create:
    case MFS_OP_tmpfile:
        mfs_create_rep_put(m, &(struct mfs_create_rep){ e, 1 + take(w, 1) });
        break;
    case MFS_OP_read: put_bytes(m, (struct bytes){ data, (uint32_t)take(w, 1) % 65 }); break;
    case MFS_OP_put:
    case MFS_OP_write: put_u32(m, (uint32_t)take(w, 1)); break;
    case MFS_OP_opendir: put_u64(m, 1 + take(w, 1)); break;
    case MFS_OP_readdir:
        for (uint64_t i = take(w, 1) % 8; i; i--)
            mfs_dirent_put(&l, &(struct mfs_dirent){ .next_cookie = take(w, 1),
                                                     .name = bytes_of("name"),
                                                     .type = 8,
                                                     .ino = 7,
                                                     .has_entry = i & 1,
                                                     .entry = e });
        put_u8(m, (uint8_t)take(w, 1) & 1);
        put_bytes(m, (struct bytes){ list, (uint32_t)wr_len(&l) });
        break;
    case MFS_OP_getxattr:
    case MFS_OP_listxattr:
        put_u32(m, (uint32_t)take(w, 1));
        put_bytes(m, (struct bytes){ data, (uint32_t)take(w, 1) % 65 });
        break;
    case MFS_OP_statfs: mfs_statfs_rep_put(m, &(struct mfs_statfs_rep){ .bsize = 4096 }); break;
    case MFS_OP_getlk:
        mfs_getlk_rep_put(
            m, &(struct mfs_getlk_rep){ (uint8_t)take(w, 1), take(w, 1), take(w, 1), 3 });
        break;
    case MFS_OP_lseek:
    case MFS_OP_copy_file_range: put_u64(m, take(w, 1)); break;
    case MFS_OP_getflags: put_u32(m, 0); break;
    default: break;
    }
}

static void answer(struct world *w, bool is_good)
{
    uint8_t room[4096];
    struct wr m = wr_of(room, sizeof room);
    if (!w->call_count)
        return;
    size_t i = take(w, 1) % w->call_count;
    uint64_t id = w->calls[i].id;
    uint16_t op = w->calls[i].op;
    w->calls[i] = w->calls[--w->call_count];
    uint32_t error = is_good ? 0 : (uint32_t)take(w, 1) % 50;
    mfs_message_begin(&m, &(struct mfs_head){ .kind = MFS_REPLY, .id = id, .error = error });
    if (is_good) {
        put_good(w, op, &m);
    } else if (!error) {
        size_t len = take(w, 1);
        if (len > rd_left(&w->in))
            len = rd_left(&w->in);
        put_raw(&m, w->in.at, len);
        w->in.at += len;
    }
    mfs_message_end(&m, 0);
    say(w, take(w, 1) & 1 ? w->bulk : w->meta, room, wr_len(&m));
}

static void notice(struct world *w)
{
    uint8_t room[256];
    struct wr m = wr_of(room, sizeof room);
    bool is_entry = take(w, 1) & 1;
    mfs_message_begin(&m, &(struct mfs_head){ .kind = MFS_NOTIFY,
                                              .notice = is_entry ? MFS_NOTICE_inval_entry
                                                                 : MFS_NOTICE_inval_node });
    uint64_t node = take(w, 1) % 8;
    if (is_entry)
        mfs_inval_entry_notice_put(&m, &(struct mfs_inval_entry_notice){
                                           node, bytes_of(take(w, 1) & 1 ? "a" : "a/b") });
    else
        mfs_inval_node_notice_put(&m, &(struct mfs_inval_node_notice){
                                          node, take(w, 1) & 1, take(w, 8), take(w, 1) });
    mfs_message_end(&m, 0);
    say(w, w->meta, room, wr_len(&m));
}

static void raw_bytes(struct world *w)
{
    size_t len = take(w, 1);
    if (len > rd_left(&w->in))
        len = rd_left(&w->in);
    say(w, w->meta, w->in.at, len);
    w->in.at += len;
}

/* ---- the kernel ---- */

static void ask(struct world *w, uint32_t opcode, uint64_t node, const void *body, size_t len)
{
    uint8_t room[1024];
    struct fuse_in_header h = { .len = (uint32_t)(sizeof h + len),
                                .opcode = opcode,
                                .unique = ++w->last_unique,
                                .nodeid = node };
    memcpy(room, &h, sizeof h);
    if (len)
        memcpy(room + sizeof h, body, len);
    w->opcodes[w->last_unique] = opcode;
    if (opcode != FUSE_FORGET && opcode != FUSE_INTERRUPT)
        w->waiting++;
    say(w, w->kernel, room, sizeof h + len);
}

/* What the client answered; remembers handles. */
static void hear_answers(struct world *w)
{
    static uint8_t room[1 << 17];
    ssize_t n;
    while ((n = recv(w->kernel, room, sizeof room, MSG_DONTWAIT)) > 0) {
        struct fuse_out_header h;
        struct fuse_open_out o;
        if ((size_t)n < sizeof h)
            abort();
        memcpy(&h, room, sizeof h);
        if (!h.unique) /* a notice */
            continue;
        if (h.unique > w->last_unique || h.len != (size_t)n || !w->opcodes[h.unique] ||
            h.error > 0 || (h.error && h.len != sizeof h))
            abort(); /* not asked, answered twice, or malformed */
        uint32_t opcode = w->opcodes[h.unique];
        w->opcodes[h.unique] = 0;
        if (opcode == FUSE_INTERRUPT) /* told to ask again later */
            continue;
        w->waiting--;
        bool is_dir = opcode == FUSE_OPENDIR;
        if (h.error ||
            (!is_dir && opcode != FUSE_OPEN && opcode != FUSE_CREATE && opcode != TMPFILE))
            continue;
        memcpy(&o, room + n - sizeof o, sizeof o);
        if (is_dir && w->dir_count < HANDLES_MAX)
            w->dirs[w->dir_count++] = o.fh;
        else if (!is_dir && w->file_count < HANDLES_MAX)
            w->files[w->file_count++] = o.fh;
    }
}

static void ask_about_name(struct world *w, unsigned which)
{
    static const char names[] = "name\0other";
    struct {
        struct fuse_mknod_in in;
        char names[sizeof names];
    } mknod = { .in = { .mode = S_IFREG | 0644 } };
    struct {
        struct fuse_rename2_in in;
        char names[sizeof names];
    } rename2 = { .in = { .newdir = 1 } };
    struct {
        struct fuse_create_in in;
        char names[sizeof names];
    } create = { .in = { .flags = take(w, 1) & 1 ? O_RDWR : O_WRONLY | O_APPEND,
                         .mode = 0644 } };
    struct {
        struct fuse_link_in in;
        char names[sizeof names];
    } link = { .in = { .oldnodeid = 1 } };
    memcpy(mknod.names, names, sizeof names);
    memcpy(rename2.names, names, sizeof names);
    memcpy(create.names, names, sizeof names);
    memcpy(link.names, names, sizeof names);
    switch (which % 9) {
    case 0: ask(w, FUSE_LOOKUP, 1, names, sizeof names); break;
    case 1: ask(w, FUSE_MKNOD, 1, &mknod, sizeof mknod); break;
    case 2: ask(w, FUSE_RENAME2, 1, &rename2, sizeof rename2); break;
    case 3: ask(w, FUSE_CREATE, 1, &create, sizeof create); break;
    case 4: ask(w, TMPFILE, 1, &create, sizeof create); break;
    case 5: ask(w, FUSE_LINK, 1, &link, sizeof link); break;
    case 6: ask(w, FUSE_UNLINK, 1, names, sizeof names); break;
    case 7: ask(w, FUSE_SYMLINK, 1, names, sizeof names); break;
    default: ask(w, FUSE_LOOKUP, 2, names, sizeof names); break;
    }
}

static void ask_about_node(struct world *w, unsigned which)
{
    uint64_t node = 1 + take(w, 1) % 8;
    struct fuse_setattr_in set = { .valid = (uint32_t)take(w, 1) & ~(uint32_t)FATTR_FH };
    struct {
        struct fuse_getxattr_in in;
        char name[8];
    } get = { .in = { .size = (uint32_t)take(w, 1) }, .name = "user.x" };
    struct fuse_ioctl_in flags = { .cmd = 0x80086601, .out_size = 8 };
    switch (which % 9) {
    case 0:
        ask(w, FUSE_GETATTR, node, &(struct fuse_getattr_in){ 0 },
            sizeof(struct fuse_getattr_in));
        break;
    case 1: ask(w, FUSE_SETATTR, node, &set, sizeof set); break;
    case 2: ask(w, FUSE_READLINK, node, NULL, 0); break;
    case 3: ask(w, FUSE_GETXATTR, node, &get, sizeof get); break;
    case 4: ask(w, FUSE_LISTXATTR, node, &get, sizeof get); break;
    case 5: ask(w, FUSE_STATFS, node, NULL, 0); break;
    case 6:
        ask(w, FUSE_OPEN, node, &(struct fuse_open_in){ 0 }, sizeof(struct fuse_open_in));
        break;
    case 7:
        ask(w, FUSE_OPENDIR, node, &(struct fuse_open_in){ 0 }, sizeof(struct fuse_open_in));
        break;
    default: ask(w, FUSE_IOCTL, node, &flags, sizeof flags); break;
    }
}

static void ask_about_file(struct world *w, unsigned which)
{
    if (!w->file_count)
        return;
    uint64_t fh = w->files[take(w, 1) % w->file_count];
    struct fuse_read_in read = { .fh = fh, .size = (uint32_t)take(w, 1) };
    struct {
        struct fuse_write_in in;
        char bytes[32];
    } write = { .in = { .fh = fh, .size = 32, .write_flags = (uint32_t)take(w, 1) & 1 } };
    struct fuse_lk_in lk = { .fh = fh,
                             .owner = 9,
                             .lk = { .end = INT64_MAX, .type = (uint32_t)take(w, 1) % 3 },
                             .lk_flags = (uint32_t)take(w, 1) & 1 };
    struct fuse_flush_in flush = { .fh = fh };
    struct fuse_lseek_in seek = { .fh = fh, .whence = SEEK_DATA };
    struct fuse_copy_file_range_in copy = {
        .fh_in = fh, .fh_out = fh, .nodeid_out = 2, .len = 100
    };
    switch (which % 9) {
    case 0: ask(w, FUSE_READ, 2, &read, sizeof read); break;
    case 1: ask(w, FUSE_WRITE, 2, &write, sizeof write); break;
    case 2: ask(w, FUSE_SETLK, 2, &lk, sizeof lk); break;
    case 3: ask(w, FUSE_SETLKW, 2, &lk, sizeof lk); break;
    case 4: ask(w, FUSE_GETLK, 2, &lk, sizeof lk); break;
    case 5: ask(w, FUSE_FLUSH, 2, &flush, sizeof flush); break;
    case 6: ask(w, FUSE_LSEEK, 2, &seek, sizeof seek); break;
    case 7: ask(w, FUSE_COPY_FILE_RANGE, 2, &copy, sizeof copy); break;
    default:
        /* The kernel closes a file when nothing is in flight with it. */
        if (w->waiting)
            break;
        ask(w, FUSE_RELEASE, 2, &(struct fuse_release_in){ .fh = fh },
            sizeof(struct fuse_release_in));
        for (size_t i = 0; i < w->file_count; i++)
            if (w->files[i] == fh)
                w->files[i--] = w->files[--w->file_count];
    }
}

static void ask_about_dir(struct world *w, bool is_closing)
{
    if (!w->dir_count || w->waiting) /* one at a time on a directory */
        return;
    uint64_t fh = w->dirs[w->dir_count - 1];
    struct fuse_read_in read = { .fh = fh,
                                 .size = 64 + (uint32_t)take(w, 1) * 8,
                                 .offset = take(w, 1) };
    if (!is_closing) {
        ask(w, take(w, 1) & 1 ? FUSE_READDIR : FUSE_READDIRPLUS, 1, &read, sizeof read);
        return;
    }
    ask(w, FUSE_RELEASEDIR, 1, &(struct fuse_release_in){ .fh = fh },
        sizeof(struct fuse_release_in));
    w->dir_count--;
}

static void ask_to_forget(struct world *w)
{
    struct fuse_forget_in forget = { .nlookup = take(w, 1) };
    ask(w, FUSE_FORGET, 2 + take(w, 1) % 8, &forget, sizeof forget);
}

/* Of a request that waits: libfuse keeps those of others until later requests, if there are
 * any. */
static void interrupt(struct world *w)
{
    struct fuse_interrupt_in in = { .unique = 1 + take(w, 1) % w->last_unique };
    uint32_t opcode = w->opcodes[in.unique];
    if (opcode && opcode != FUSE_INTERRUPT && opcode != FUSE_FORGET && opcode != TMPFILE)
        ask(w, FUSE_INTERRUPT, 0, &in, sizeof in);
}

/* ---- steps ---- */

static void turn(struct world *w)
{
    for (int i = 0; i < 3; i++)
        if (loop_turn(w->loop, 0) < 0)
            abort();
    hear_calls(w, w->meta);
    hear_calls(w, w->bulk);
    hear_answers(w);
}

/* Some answers come from a thread that first has the kernel drop pages. */
static void await_answers(struct world *w)
{
    struct pollfd p = { .fd = w->kernel, .events = POLLIN };
    for (int i = 0; w->waiting && i < ANSWER_WAIT_MS / 100; i++)
        if (poll(&p, 1, 100) > 0)
            turn(w);
}

static void step(struct world *w)
{
    unsigned choice = (unsigned)take(w, 1);
    unsigned which = choice >> 3;
    switch (choice & 7) {
    case 0: ask_about_name(w, which); break;
    case 1: ask_about_node(w, which); break;
    case 2: ask_about_file(w, which); break;
    case 3:
        if (which & 1)
            ask_about_dir(w, which & 2);
        else if (which & 2)
            ask_to_forget(w);
        else
            interrupt(w);
        break;
    case 4:
    case 5: answer(w, true); break;
    case 6: answer(w, false); break;
    default:
        if (which & 1)
            raw_bytes(w);
        else
            notice(w);
        break;
    }
    turn(w);
}

static void set_up(struct world *w)
{
    int meta[2], bulk[2], kernel[2];
    struct err e = { "" };
    struct fuse_init_in init = { .major = 7, .minor = 38, .flags = ~0U, .flags2 = ~0U };
    if (fd_socketpair(meta) < 0 || fd_socketpair(bulk) < 0 || loop_new(&w->loop) < 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, kernel) < 0)
        abort();
    w->meta = meta[0];
    w->bulk = bulk[0];
    w->kernel = kernel[0];
    say_hello(w);
    unsigned choice = (unsigned)take(w, 1);
    struct mfs_client_opts o = { .loop = w->loop,
                                 .meta_fd = meta[1],
                                 .bulk_fd = bulk[1],
                                 .own_uid = 1000,
                                 .own_gid = 1000,
                                 .is_single_user = choice & 1,
                                 .consistency = choice & 2 ? MFS_LOOSE : MFS_STRICT,
                                 .on_lost = on_lost,
                                 .ctx = w };
    if (mfs_client_new(&o, &w->client, &e) < 0 ||
        mfs_client_attach(w->client, take(w, 1) & 1, kernel[1], &e) < 0)
        abort();
    ask(w, FUSE_INIT, 0, &init, sizeof init);
    turn(w);
    w->call_count = 0; /* hello */
}

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len_bytes)
{
    struct world w = { .in = rd_of(ptr, len_bytes) };
    set_up(&w);
    for (int i = 0; i < STEPS_MAX && rd_left(&w.in); i++)
        step(&w);
    /* Whatever happened: when the server goes, nobody is left waiting. */
    close(w.meta);
    close(w.bulk);
    turn(&w);
    turn(&w);
    await_answers(&w);
    if (w.waiting || !w.is_lost)
        abort();
    /* The kernel closes what is open, and hears that nobody is there. */
    while (w.file_count)
        ask_about_file(&w, 8), turn(&w);
    while (w.dir_count)
        ask_about_dir(&w, true), turn(&w);
    mfs_client_free(w.client);
    loop_free(w.loop);
    close(w.kernel);
    return 0;
}
