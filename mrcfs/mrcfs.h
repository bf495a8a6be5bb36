/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mrcfs.h: front door: serve directories on two byte streams; mount what such streams serve.
 * Must not know: how the streams reach the other side.
 * Source: mrcfs/ops.def. */
#ifndef MRCFS_MRCFS_H
#define MRCFS_MRCFS_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/base/list.h"
#include "common/sys/loop.h"
#include "mrcfs/profile/profile.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { MFS_EXPORTS_MAX = 64, MFS_HIDE_MAX = 256 };

/* One tree that is served. */
struct mfs_export {
    const char *path; /* absolute, as the client will name it */
    bool is_read_only;
};

/* What a file server does, in memory that it shares with who looks (mrc/activity.h). */
struct mfs_activity {
    _Atomic uint64_t requests; /* begun, once more each time they begin again */
    _Atomic uint64_t read_bytes, written_bytes; /* of files, as they are there */
    _Atomic uint32_t name_turns;                /* odd while name changes */
    _Atomic uint64_t file;                      /* whose name it is */
    char name[1024];                            /* of the file whose contents were asked for or written last */
};
/* Returns 0, or -EAGAIN when it changes too often; cut to size_bytes. */
MUST int mfs_activity_name(const struct mfs_activity *a, char *name, size_t size_bytes);

struct mfs_serve_opts {
    struct mfs_activity *activity; /* outlives serving; may be NULL */
    const struct mfs_export *exports;
    size_t export_count;
    /* Names that are answered as absent (ENOENT) and can't be created (EACCES), whichever way
     * they are reached: absolute paths ("/home/ann/.ssh"), or glob patterns of one name without
     * a slash ("id_rsa*") that hold in every directory. show wins over hide. What is at a
     * hidden path when serving starts stays hidden by any other path to it. */
    const char *const *hide;
    size_t hide_count;
    const char *const *show;
    size_t show_count;
    /* Symbolic links are shown as what they lead to in their export. Those that lead nowhere,
     * out of it, to something hidden, or to a directory that they lie in stay links. */
    bool follows_links;
    int meta_fd; /* connected stream sockets, blocking or not; taken */
    int bulk_fd;
    /* What targets and the programs here see of files is one truth (docs/leases.md): meet the
     * user's other file servers at the broker. has_broker: broker_fd is connected
     * (mfs_broker_connect); taken. mrc_serve_start sets both. */
    bool has_broker;
    int broker_fd;
    /* A process beside the server finds or starts another one if it dies, in broker_dir (NULL: the
     * usual place). */
    bool finds_broker;
    const char *broker_dir;
    uint32_t lease_ms; /* 0: MFS_LEASE_MS; shorter for tests */
    /* has_marks: each uint64_t that is written to the other end of mark_fd (a pipe; taken) goes
     * to the client as a mark, behind the notices of all that programs here had changed when it
     * was written. */
    bool has_marks;
    int mark_fd;
    /* has_journal: what the client is told is noted in journal_fd (borrowed), for a server that takes this one's place; what
     * earlier ones noted there is still so. */
    bool has_journal;
    int journal_fd;
    /* Called if the process could not be confined to the exports, and when it loses the
     * broker: why. May come from any thread. May be NULL. */
    void (*on_note)(void *ctx, const char *text);
    void *ctx;
};

/* Serves until the client hangs up; then releases everything (locks, files). Blocks; starts
 * threads. Meant for a process of its own: changes the umask, confines the process to the
 * exports where the kernel can. Returns 0 after a clean hang-up, -EPROTO after malformed input,
 * -ECONNRESET after a hang-up within a message, or another -errno, with words in e. */
MUST int mfs_serve(const struct mfs_serve_opts *o, struct err *e);

/* Connects to this user's broker of leases on this computer, and starts it if there is none. To
 * be called while there is one thread: it forks. dir: where to meet, made if it is not there;
 * NULL: /tmp/mrc-UID, which does not depend on the environment, so that everybody meets. Waits
 * at most some seconds. Returns 0 with *fd; -EPERM if the directory or the broker is not ours;
 * -EPROTO for a broker of another version; -ETIMEDOUT; or another -errno, with words. */
MUST int mfs_broker_connect(const char *dir, int *fd, struct err *e);

/* The cache of contents beneath dir (docs/chunks.md) in one line of text, or what was removed from it. Returns
 * the text's length; -EPERM: it isn't ours alone; or another -errno. */
MUST int mfs_cache_command(const char *dir, bool is_clearing, char *text, size_t size_bytes);

struct mfs_client;

/* What is known after hello, valid as long as the client. */
struct mfs_export_info {
    char *path;
    bool is_read_only;
    uint64_t node;
};

/* Whose numbers are whose. The connection's own user is the own user here in all but NONE. */
enum mfs_idmap_kind {
    MFS_IDMAP_NAME, /* everybody by name, at the server */
    MFS_IDMAP_NONE, /* numbers as they are */
    MFS_IDMAP_USER, /* everybody else's numbers as they are */
    MFS_IDMAP_FILE, /* everybody else by lists */
};

/* What is believed of names and attributes without asking. */
enum mfs_consistency {
    MFS_STRICT, /* nothing */
    MFS_LOOSE,  /* all until the server reports a change: it may be seen a moment late */
    MFS_LEASE,  /* what others must wait for us to forget (docs/leases.md); strict if the server
                   doesn't grant it */
};

/* Are large messages compressed on the streams? */
enum mfs_compress {
    MFS_COMPRESS_AUTO, /* where it is measured to pay */
    MFS_COMPRESS_NO,
    MFS_COMPRESS_YES, /* wherever it makes them shorter */
};

/* Writes and changes of names that a client answered before they were made: how many there
 * were, and of how many of the first of them it is known that they are made or have failed.
 * Whoever reads sent, and later finds that made has reached it, knows that of all that were
 * answered before. Any thread may read. */
struct mfs_behind_count {
    _Atomic uint64_t sent;
    _Atomic uint64_t made;
    _Atomic uint64_t waited; /* round trips, as in struct mfs_stats */
    _Atomic bool is_away; /* set by the client's owner: the server can't be reached for now, time does not count */
    /* Files that were opened for reading and writing: without one no page can have been written that only
     * the kernel knows of. */
    _Atomic uint64_t mappable;
};

struct mfs_client_opts {
    struct loop *loop;
    struct mfs_behind_count *behind; /* counted in; may be NULL */
    int meta_fd;                     /* non-blocking from now on; taken */
    int bulk_fd;
    /* The identity that the server's own user is shown as here; everybody else is mapped by
     * name (see mrcfs/ids.h). */
    uid_t own_uid;
    gid_t own_gid;
    /* Only own_uid exists on this side (a user namespace with one identity): others are shown
     * as nobody. */
    bool is_single_user;
    enum mfs_consistency consistency;
    enum mfs_compress compress; /* in both directions */
    /* Where contents are kept for later jobs (docs/chunks.md); NULL: nowhere. Borrowed for
     * mfs_client_new. */
    const char *cache_dir;
    /* Directories that are wanted soon, as a search path has them; NULL: none. Borrowed for
     * mfs_client_new. */
    const char *paths_ahead;
    /* Names in an export "/" that something else is mounted on, with colons between them; NULL: none. Outlives the client. */
    const char *covered;
    /* Of tests: how many files it may know of, 0: MFS_KNOWN_MAX; the kernel is treated as one before Linux 6.18. */
    size_t known_max;
    bool is_without_prune;
    enum mfs_idmap_kind idmap;
    /* MFS_IDMAP_FILE: lists of name-here:number-there, either may be NULL; who is in neither
     * list keeps the number (is_nomap_ignore) or is nobody. Borrowed for mfs_client_new. */
    const char *uidfile;
    const char *gidfile;
    bool is_nomap_ignore;
    /* What every file is shown with, whatever it has; permissions as 0777 without umask. */
    struct {
        bool has_uid;
        bool has_gid;
        bool has_umask;
        uid_t uid;
        gid_t gid;
        mode_t umask;
    } shown;
    /* Of the other users whom the kernel lets in (allow_other) only root. */
    bool is_root_only;
    /* Called once when the server is gone or broke the protocol; every request then fails with
     * EIO (ENOTCONN after it). */
    void (*on_lost)(void *ctx, const struct err *why);
    /* is_patient: a server that has gone is waited for, and mfs_client_resume brings another one (docs/detach.md). on_away is
     * called when it has gone and when the next one is there; why: words. May be NULL. */
    bool is_patient;
    void (*on_away)(void *ctx, bool is_away, const char *why);
    /* Called once per attached export when its file system was unmounted. May be NULL. */
    void (*on_detached)(void *ctx, size_t export_number);
    /* This mark came, and all that the server told before is in effect, in the kernel too. May be
     * NULL. */
    void (*on_mark)(void *ctx, uint64_t mark);
    void *ctx;
};

/* Sends hello and waits (at most 30 s, without running the loop) for its answer. Returns 0 or
 * -errno with words. */
MUST int mfs_client_new(const struct mfs_client_opts *o, struct mfs_client **out,
                        struct err *e);
/* Of one that is patient: streams to a server that has taken the place of the one before, taken, also on failure. Returns 0 or
 * -errno: then another one is waited for. */
MUST int mfs_client_resume(struct mfs_client *c, int meta_fd, int bulk_fd);
/* Nobody waits for a server any more: if there is none, all that waits fails. */
void mfs_client_give_up(struct mfs_client *c);
/* Runs the loop until the server has answered all that it was asked, closings that nobody waits
 * for too, so that the streams can be closed between two messages and nothing is lost. Returns
 * 0 (also when the connection is lost: that was told); -ETIMEDOUT when the server says nothing
 * for wait_ms; with what failed that was answered before it was done, and of which nobody was
 * told. Words in e say which file. */
MUST int mfs_client_finish(struct mfs_client *c, int wait_ms, struct err *e);
void mfs_client_free(struct mfs_client *c);

/* What was lost of writes that were answered before they were made, and nobody has heard of: 0, or -errno with
 * words. Now somebody has. */
MUST int mfs_client_take_lost(struct mfs_client *c, struct err *e);

/* Waits for all that changes something at the server and was asked for, by the kernel too, before
 * the wait began: writes behind, files that were closed without waiting. Embedded in its owner;
 * zeroed = not waiting. */
struct mfs_barrier {
    struct mfs_client *client;
    struct link link;
    struct loop_timer timer;
    uint64_t last_id; /* calls up to this one are waited for */
    size_t left;      /* of them */
    unsigned rounds;
    void (*fn)(void *ctx);
    void *ctx;
};
/* fn is called once, by the loop, never from here; also when the connection is lost. */
void mfs_barrier_start(struct mfs_barrier *b, struct mfs_client *c, void (*fn)(void *ctx), void *ctx);
/* fn is not called any more. */
void mfs_barrier_drop(struct mfs_barrier *b);

size_t mfs_client_exports(const struct mfs_client *c, const struct mfs_export_info **out);

/* Serves FUSE requests of one export (number from 0) read from fuse_fd, an open /dev/fuse that
 * is mounted already or will be at once by the caller, with options from mfs_client_mount_opts.
 * fuse_fd is taken. */
MUST int mfs_client_attach(struct mfs_client *c, size_t export_number, int fuse_fd,
                           struct err *e);

/* The data argument of mount(2) for an export served by mfs_client_attach, for a mount whose
 * owner is uid and gid as seen by the mounting user namespace. Returns 0 or -ENOSPC. */
MUST int mfs_client_mount_opts(const struct mfs_client *c, int fuse_fd, uid_t uid, gid_t gid,
                               bool allow_other, char *text, size_t size_bytes);

/* Launch profiles (docs/profiles.md): what a command asked for, told to the client before the next such command asks. */
/* Asks ahead for what the profile (copied) says, in exports that are attached and that will be. Not valid: nothing is done. */
void mfs_client_warm(struct mfs_client *c, struct bytes profile);
/* From now on uses are counted anew: returns what mfs_client_used wants as since. */
MUST uint32_t mfs_client_use_begin(struct mfs_client *c);
/* Exports that are detached will be told of too. */
void mfs_client_keep_used(struct mfs_client *c);
/* A profile of what was asked for since then, at most MFS_PROFILE_MAX bytes, into room. Returns its length. */
size_t mfs_client_used(const struct mfs_client *c, uint32_t since, uint8_t *room);

/* Counters for --stats. */
struct mfs_stats {
    uint64_t requests[64]; /* by op id */
    /* Length of the longest chain of calls of which each was sent after the one before it was
     * answered: a call's depth is 1 + that of the deepest one answered before it was sent. It
     * depends on what is asked, not on how long answers take. */
    uint64_t round_trips_waited;
    uint64_t waited[64]; /* the same by the op that each was for: together round_trips_waited */
    uint64_t bytes_out;
    uint64_t bytes_in;
    uint64_t cache_hits; /* kernel requests answered without asking the server */
    /* Of bytes_out and bytes_in: messages that were compressed, and what they were before. */
    uint64_t packed_out, packed_out_plain;
    uint64_t packed_in, packed_in_plain;
    /* Parts of chunks that were read from the cache, their bytes, which were not sent; that were
     * looked for there in vain; chunks that were put there. */
    uint64_t chunks_used, chunk_bytes_used;
    uint64_t chunks_missed;
    uint64_t chunks_kept, chunks_left_out;
    /* Bytes of files that were asked for ahead of the kernel; of these, those that it did not ask
     * for; those that it did, but that were asked for once more; reads in order for which nothing
     * was on the way. */
    uint64_t ahead_bytes, ahead_in_vain, ahead_twice, ahead_late;
    /* Bytes that were written by name, since the server has them; times that it had not. */
    uint64_t put_bytes, puts_wanted;
};
void mfs_client_stats(const struct mfs_client *c, struct mfs_stats *out);
/* Why there is no cache although one was wanted; empty: there is. */
void mfs_client_cache_off(const struct mfs_client *c, char *text, size_t size_bytes);
const char *mfs_op_name(unsigned op); /* NULL when there is none */

#endif
