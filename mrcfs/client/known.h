/* SPDX-License-Identifier: GPL-2.0-or-later */
/* known.h: what one session knows of the nodes that its kernel knows: how often they were
 * looked up, and as of when the kernel's page cache is. Must not know: FUSE, the connection. No
 * I/O. */
#ifndef MRCFS_CLIENT_KNOWN_H
#define MRCFS_CLIENT_KNOWN_H

#include "common/base/attr.h"
#include "common/base/list.h"
#include "mrcfs/ops.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mfs_behind;
struct mfs_content;
struct mfs_handle;
struct mfs_listing;
struct mfs_own_locks;

struct mfs_known {
    struct link link;
    uint64_t number;
    uint64_t nlookup;      /* times that the kernel was told of it */
    uint64_t server_count; /* times that the server told of it */
    unsigned names;        /* dentries.h: that mean it */
    /* What was granted under lease (lease.h); has_attr false: nothing. */
    bool has_attr;
    unsigned opens; /* files that the kernel has open of it */
    bool is_held;   /* no program at the server can open it for writing unnoticed */
    struct mfs_attr attr;
    uint8_t access_known, access_allowed; /* MFS_ACCESS_* that were asked for, and allowed */
    uint32_t used_at; /* warm.h: when the kernel first asked for it in the last job, and for
                         what since then */
    uint8_t used;
    uint32_t told_count;  /* of "told" notices */
    uint64_t changed_by;  /* the last request of ours that does */
    unsigned own_pending; /* changes of it by us that are under way */
    uint32_t own_changes; /* begun and ended so far */
    uint32_t
        expired_at; /* its session's expiries, the last time that it was looked at for one */
    uint64_t kernel_until_ms;  /* under lease: until when the kernel may believe attributes */
    bool was_opened;           /* the kernel may have pages of it */
    char *target;              /* of a symbolic link */
    bool had_writer;   /* that was alone with it, and has closed it */
    unsigned closings; /* of files whose closing was put off (deferred.h), that are on the way */
    struct mfs_handle *reader; /* opened.h: for opens that the server isn't asked about */
    uint32_t handle_drops;     /* how often one was not to be used any more, so far */
    uint64_t changed_at;       /* the last of them, among all of the session's */
    /* Of a directory (dentries.h). */
    struct link dentries;
    struct link with_dentries;
    struct mfs_listing *listing;
    /* Scans (scan.h): nodes of the directory that it was listed in, of what came first in its
     * own list, and of what followed it; 0: none, or not known. Only hints. */
    uint64_t parent;
    uint64_t first_listed, next_listed;
    uint64_t first_dir, next_dir, prev_dir; /* the same of directories alone */
    uint32_t list_names;                    /* of its list when it came last */
    uint32_t list_lost;        /* of these, whose attributes are not believed any more */
    uint64_t list_depth;       /* round trips that its names were had after */
    uint64_t list_failed_ms;   /* when its list last came and could not be believed whole */
    uint8_t list_spoilt;       /* how often in turn something changed in it while its list was on the way */
    uint32_t list_over;        /* its list does not fit into so many bytes */
    uint64_t opened_by;        /* the request that opened it last */
    bool was_scanned;          /* the kernel opened it */
    uint32_t visits;           /* times that it did */
    uint32_t visited_at;       /* its parent's visits when it last did */
    bool is_shed;              /* its names made room for others */
    bool is_ahead;             /* its list was asked for before the kernel opened it */
    bool is_complete;          /* every name that it has is among the dentries */
    struct mfs_behind *behind; /* behind.h: writes on the way */
    uint64_t copied_until;     /* number of the last of what is behind that reads it */
    int behind_error;          /* of the first that failed, not yet told */
    /* Somebody was told of one in this order, counted from 1: of what was sent with it no more
     * is.
     */
    uint32_t told_in_order;
    /* own.h: nobody else has it open: writes may be behind; all that is in it, as of so many
       changes, and in its session's list of those that have some; while it is being opened once
       more ahead of being asked to: the number of that call, and who waits for it. */
    bool is_alone;
    struct mfs_content *content;
    uint32_t content_changes;
    struct link with_content;
    uint64_t reopen_id;
    struct link reopen_waiting;
    bool is_time_vague; /* attr's times are those that the changes on the way were sent at */
    /* What was shown before the server had said it: the inode number; the time of the last
       change, which stands for the real one. */
    uint64_t shown_ino;
    bool has_shown_ctime, has_real_ctime;
    int64_t shown_ctime_sec, real_ctime_sec;
    uint32_t shown_ctime_nsec, real_ctime_nsec;
    /* The modification time that the kernel was told last. */
    int64_t kernel_mtime_sec;
    uint32_t kernel_mtime_nsec;
    bool is_sole; /* nobody else knows anything of it: likewise changes of it, or of names in it
                   */
    bool is_open_judged; /* just made: the kernel asks once more whether it may be opened */
    bool is_claimed;     /* it was asked for; see assume.h */
    bool is_assumed; /* attr is what it will be after what is on the way, times and inode number
                        aside */
    uint64_t others_ms; /* when somebody else was last seen to change a name in it */
    struct link unused; /* in the table's list of those to be freed */
    bool is_going;
    /* Shown as the only user's own although it is not: he may write it, or take it out of its
     * directory. */
    bool is_ours;
    bool is_in_ours;        /* found in a directory that our user may take it out of */
    bool is_removable_from; /* a directory whose entries our user may remove */
    uint64_t alone_fh; /* locks.h: the only open file, through which locks are decided here; 0:
                          none */
    struct mfs_own_locks *own_locks;
    unsigned write_opens; /* opens for writing, or that cut it, on the way to the server */
    unsigned later; /* files of it that are open here and not yet at the server (fuse/later.c) */
    bool had_locks;         /* record locks were taken: every close must be told */
    bool had_mapped_writes; /* written by the kernel on its own account: likewise */
    /* What the kernel was told last of its size and times. */
    bool has_told;
    uint64_t told_size;
    int64_t told_mtime_sec, told_ctime_sec;
    uint32_t told_mtime_nsec, told_ctime_nsec;
    uint32_t told_gid;       /* the server's number */
    bool told_set_gid;       /* the bit, of a file or a directory */
    bool is_on_root_fs;      /* its file system is that of the export's root */
    bool can_move;           /* a directory with MFS_ATTR_MOVES */
    bool is_leasable;        /* its owner, or root, serves it: else the kernel there gives no lease */
    bool is_small_file;      /* when it was last looked at: would come along with open */
    uint64_t plain_until_ms; /* it has no extended attributes, and a change of that would be
                                reported */
    uint32_t changes;        /* of its contents, by us or reported, so far */
    /* Since when the kernel knows it; and in its session's list of notices to be repeated. */
    uint64_t since_ms;
    struct link again;
    /* Closings of files with locks that the server has not answered, and the lock requests that
     * wait for them (fuse/lock.c). */
    unsigned closing;
    struct link waiting;
    /* The attributes at the open that last emptied the page cache: all that is in it was read
     * later. */
    bool has_stamp;
    int64_t mtime_sec;
    int64_t ctime_sec;
    uint32_t mtime_nsec;
    uint32_t ctime_nsec;
    uint64_t size;
};

/* A hash table that grows; the kernel bounds the number of nodes (it forgets under pressure).
 */
struct mfs_known_table {
    struct link *buckets;
    size_t bucket_count; /* a power of two, or 0 */
    size_t count;
    /* Nobody knows of n any more, it is about to be freed: what belongs to it must go. May be
     * NULL. */
    void (*on_unused)(void *ctx, struct mfs_known *n);
    void *ctx;
    struct link unused; /* one after the other: a tree of names may be deep */
    bool is_freeing;
};

MUST int mfs_known_table_init(struct mfs_known_table *t);
void mfs_known_table_fini(struct mfs_known_table *t);
struct mfs_known *mfs_known_find(const struct mfs_known_table *t, uint64_t number);
/* The server told of number once more. Whoever calls it tells the kernel (nlookup), gives it a
 * name, or lets it be forgotten by mfs_known_drop_unused. NULL without memory. */
struct mfs_known *mfs_known_enter(struct mfs_known_table *t, uint64_t number);
/* The same, and the kernel is being told. */
struct mfs_known *mfs_known_look_up(struct mfs_known_table *t, uint64_t number);
/* Forgets n (may be NULL) unless the kernel or a name knows it. */
void mfs_known_drop_unused(struct mfs_known_table *t, struct mfs_known *n);
/* Not while it has something waiting: an open file keeps it known. */
void mfs_known_forget(struct mfs_known_table *t, uint64_t number, uint64_t nlookup);

/* The file is being opened and has attributes a: may the kernel keep its pages? If not, they
 * are taken to be emptied now. */
bool mfs_known_may_keep_pages(struct mfs_known *n, const struct mfs_attr *a);

#endif
