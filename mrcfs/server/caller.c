/* SPDX-License-Identifier: GPL-2.0-or-later */
/* caller.c: acting as a request's caller, thread by thread.
 * Must not know: requests, the wire.
 * A caller that is not root keeps the capabilities to read, write and search anything: those
 * checks are the client's kernel's (MFS_FEATURE_PRIVILEGED in mrcfs/ops.h). Who owns what is
 * created, who may change owners and modes, and when set-id bits fall, the kernel here decides
 * by the caller's identity. */
#include "mrcfs/server/caller.h"

#include "common/sys/mem.h"
#include "mrcfs/ids.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct caps {
    struct __user_cap_header_struct head;
    struct __user_cap_data_struct sets[2];
};

static int caps_get(struct caps *c)
{
    c->head = (struct __user_cap_header_struct){ .version = _LINUX_CAPABILITY_VERSION_3 };
    return syscall(SYS_capget, &c->head, c->sets) < 0 ? -errno : 0;
}

/* Makes effective what is permitted, but no more than mask. */
static int caps_limit(uint64_t mask)
{
    struct caps c;
    int rc = caps_get(&c);
    if (rc < 0)
        return rc;
    c.sets[0].effective = c.sets[0].permitted & (uint32_t)mask;
    c.sets[1].effective = c.sets[1].permitted & (uint32_t)(mask >> 32);
    return syscall(SYS_capset, &c.head, c.sets) < 0 ? -errno : 0;
}

/* In a user namespace with one identity root can be nobody else. */
static bool has_other_ids(void)
{
    FILE *f = fopen("/proc/self/uid_map", "re");
    unsigned long inside, outside, count, sum = 0;
    if (!f)
        return true;
    while (fscanf(f, "%lu %lu %lu", &inside, &outside, &count) == 3)
        sum += count;
    fclose(f);
    return sum > 1;
}

static bool can_be_others(void)
{
    const uint64_t wanted = 1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_CHOWN |
                            1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH |
                            1u << CAP_FOWNER | 1u << CAP_FSETID;
    struct caps c;
    return geteuid() == 0 && caps_get(&c) == 0 && (c.sets[0].permitted & wanted) == wanted &&
           has_other_ids();
}

static int by_uid(const void *a, const void *b)
{
    const struct mfs_membership *x = a, *y = b;
    return x->uid < y->uid ? -1 : x->uid > y->uid;
}

static int membership_add(struct mfs_callers *c, uint32_t uid, uint32_t gid)
{
    if ((c->count & (c->count - 1)) == 0) {
        size_t room = c->count ? 2 * c->count : 1;
        struct mfs_membership *list = realloc(c->list, room * sizeof *list);
        if (!list)
            return -ENOMEM;
        c->list = list;
    }
    c->list[c->count++] = (struct mfs_membership){ uid, gid };
    return 0;
}

static int members_of(struct mfs_callers *c, const struct group *g,
                      const struct mfs_names *users)
{
    int rc = 0;
    for (char **member = g->gr_mem; rc == 0 && *member; member++)
        for (size_t i = 0; rc == 0 && i < users->count; i++)
            if (!strcmp(users->list[i].text, *member))
                rc = membership_add(c, users->list[i].number, g->gr_gid);
    return rc;
}

static int load_memberships(struct mfs_callers *c)
{
    struct mfs_names users;
    int rc = mfs_names_load("/etc/passwd", &users);
    if (rc < 0)
        return rc;
    FILE *f = fopen("/etc/group", "re");
    struct group *g;
    while (rc == 0 && f && (g = fgetgrent(f)))
        rc = members_of(c, g, &users);
    if (f)
        fclose(f);
    mfs_names_fini(&users);
    if (c->count)
        qsort(c->list, c->count, sizeof *c->list, by_uid);
    return rc;
}

int mfs_callers_init(struct mfs_callers *c)
{
    *c = (struct mfs_callers){ .is_privileged = can_be_others() };
    int rc = c->is_privileged ? load_memberships(c) : 0;
    if (rc < 0)
        mfs_callers_fini(c);
    return rc;
}

void mfs_callers_fini(struct mfs_callers *c)
{
    free(c->list);
    *c = (struct mfs_callers){ 0 };
}

/* setfsuid and setfsgid tell the old number whatever happens: ask again to know. */
static int set_fs_id(long call, uint32_t id)
{
    syscall(call, id);
    return (uint32_t)syscall(call, -1) == id ? 0 : -EPERM;
}

static int set_groups(const struct mfs_callers *c, uint32_t uid, const uint32_t vouched[2])
{
    gid_t groups[MFS_CALLER_GROUPS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < c->count && count < MFS_CALLER_GROUPS_MAX - 2; i++)
        if (c->list[i].uid == uid)
            groups[count++] = c->list[i].gid;
    for (int i = 0; i < 2; i++)
        if (vouched && vouched[i] != UINT32_MAX)
            groups[count++] = vouched[i];
    return syscall(SYS_setgroups, count, groups) < 0 ? -errno : 0;
}

int mfs_caller_enter(const struct mfs_callers *c, struct mfs_caller *now, uint32_t uid,
                     uint32_t gid, const uint32_t vouched[2])
{
    bool is_vouched = vouched && (vouched[0] != UINT32_MAX || vouched[1] != UINT32_MAX);
    if (!c->is_privileged || (now->is_changed && !now->is_vouched && !is_vouched &&
                              now->uid == uid && now->gid == gid))
        return 0;
    /* Until everything is in force no other request may take it for its own. */
    now->is_changed = false;
    int rc;
    if ((rc = caps_limit(UINT64_MAX)) < 0 || (rc = set_groups(c, uid, vouched)) < 0 ||
        (rc = set_fs_id(SYS_setfsgid, gid)) < 0 || (rc = set_fs_id(SYS_setfsuid, uid)) < 0)
        return rc;
    /* Leaving root's fsuid took capabilities away, coming back to it gave them. */
    rc = caps_limit(uid == 0 ? UINT64_MAX
                             : (uint64_t)1 << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH);
    if (rc < 0)
        return rc;
    *now = (struct mfs_caller){ true, is_vouched, uid, gid };
    return 0;
}
