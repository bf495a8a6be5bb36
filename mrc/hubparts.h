/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hubparts.h: inside of the hub: what hubserver.c (its life, who is connected), hubsays.c (what
 * they say), hubviews.c (kept views) and hubcable.c (connections, and the agents that wait on
 * them) share. Must not know: SSH, the session, what jobs do. */
#ifndef MRC_HUBPARTS_H
#define MRC_HUBPARTS_H

#include "common/base/attr.h"
#include "common/sys/loop.h"
#include "mrc/hub.h"
#include "mrc/push.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    HUB_CLIENTS_MAX = 512, /* jobs of one user at a time */
    HUB_CABLES_MAX = 64,
};

struct cable {
    struct hub *hub;
    uint8_t key[MRC_HUB_KEY_BYTES];
    char host[MRC_HUB_TEXT_BYTES], nonce[MRC_PUSH_NONCE_BYTES];
    char why_no_views[200]; /* empty: nothing speaks against them */
    char *command;          /* that starts an agent */
    int control;
    struct loop_fd watch;
    struct loop_timer idle;
    uint64_t idle_ms, spare_ms, since_ms;
    bool is_doubtful; /* somebody has lost a stream of it: nobody else is given one, and a new
                         connection takes its place */
    struct spare *spares;
    struct cable *next;
};

/* An agent that starts, or waits for its mrc. */
struct spare {
    struct cable *cable;
    int fd;
    struct loop_fd watch;
    struct loop_timer timer; /* until it must have started; then until it is renewed */
    struct mrc_push_reader reader;
    bool is_ready;
    struct spare *next;
};

/* Who is connected: a job, the keeper of a view, or a command that asks. */
struct client {
    struct hub *hub;
    int fd, pidfd;
    pid_t pid;
    struct loop_fd watch;
    struct loop_timer timer;
    bool is_job, is_view, is_waiting;
    uint8_t key[MRC_HUB_KEY_BYTES];
    struct cable *cable; /* whose channel it uses */
    /* Which view a job wants, or a keeper has: what it asked for and who asked. */
    bool has_view;
    uint8_t view[MRC_HUB_KEY_BYTES];
    /* Of the one that a keeper has, or that a job is in. */
    bool has_id;
    uint8_t id[MRC_HUB_ID_BYTES];
    uint64_t mark;    /* of a view: the latest */
    uint64_t used_ms; /* of a view */
    enum mrc_hub_state state;
    char host[MRC_HUB_TEXT_BYTES], command[MRC_HUB_TEXT_BYTES];
    uint32_t there_pid;
    uint64_t since_ms;
    struct client *next;
};

struct hub {
    struct loop *loop;
    int listen_fd;
    struct loop_fd watch;
    struct loop_timer idle;
    struct client *clients;
    struct cable *cables;
    size_t client_count, cable_count;
    bool is_stopping; /* told to end: with the last job */
};

/* hubserver.c */
/* Something has gone: the hub ends when nothing is left for a while. */
void hub_look_idle(struct hub *h);
void hub_client_free(struct client *j);

/* hubsays.c */
/* fd: what came with it, -1 if nothing did; taken if it is used. Returns 0 or -errno: who said
 * it is cut off. */
MUST int hub_got_message(struct client *j, const struct mrc_hub_msg *m, int *fd);
void hub_tell_none(struct client *j, const char *why);
void hub_on_wait_over(void *client);

/* hubviews.c */
size_t hub_view_jobs(const struct client *view);
struct client *hub_view_find(const struct cable *c, const uint8_t view[MRC_HUB_KEY_BYTES]);
/* A job is about to begin in it. Returns 0, or -errno: its keeper doesn't listen. */
MUST int hub_view_mark(struct client *v);
/* The view of the cable without jobs that was not used for the longest time; *count_out: of
 * all. */
struct client *hub_view_oldest(const struct cable *c, size_t *count_out);
/* Which view: what was asked for, and by whom. Returns 0 or -errno. */
MUST int hub_view_of(struct client *j, struct bytes asked);

/* hubcable.c */
size_t hub_cable_users(const struct cable *c);
void hub_cable_look_idle(struct cable *c);
/* Gives waiting agents to those who wait for one, and sees to it that one more is on its way.
 */
void hub_cable_serve(struct cable *c);
struct cable *hub_cable_find(struct hub *h, const uint8_t key[MRC_HUB_KEY_BYTES]);
/* control: taken. NULL: it can't be kept. */
struct cable *hub_cable_new(struct client *j, const struct hub_offer *o, int control);
void hub_cable_end(struct cable *c);

#endif
