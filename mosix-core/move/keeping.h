/* SPDX-License-Identifier: GPL-2.0-or-later */
/* keeping.h: what the files of a keeper share: its state, and what they do for each other.
 * Must not know: who may ask for what. keeper.c steps the plan and takes requests;
 * keeper_home.c has the hands and the home's own place; keeper_hosts.c connections. */
#ifndef MOSIX_CORE_MOVE_KEEPING_H
#define MOSIX_CORE_MOVE_KEEPING_H

#include "common/sys/loop.h"
#include "mosix-core/image/parts.h"
#include "mosix-core/move/conn.h"
#include "mosix-core/move/hands.h"
#include "mosix-core/move/keeper.h"
#include "mosix-core/plan/messages.h"
#include "mosix-core/plan/migrate.h"

enum {
    MX_KEEPER_HOSTS = MX_PLACES_MAX - 1,
    MX_KEEPER_FETCHED = 16,   /* children that are asked to come home by themselves */
    MX_KEEPER_LAST_MS = 300, /* until hands that were killed are gone, after the process */
    MX_KEEPER_TIED_MS = 2000, /* a process that ends with its hands does it so soon */
    MX_UNSERVED_MS = 2000,    /* who ends a connection for calls says why meanwhile */
    MX_KEEPER_LOST_MS = MX_LEASE_MS + MX_LEASE_SLACK_MS, /* of a host that is cut off */
};

struct mx_keeper;

/* Where the memory of a job is that was told to freeze. */
enum mx_frost {
    MX_FROST_NONE,
    MX_FROST_WANTED, /* it comes home for that */
    MX_FROST_FREEZING,
    MX_FROST_FROZEN, /* in a file: its process is a stub */
    MX_FROST_THAWING,
};

/* One host, as long as its connection for orders lasts. */
struct mx_host {
    struct mx_keeper *k;
    uint32_t place; /* 0: unused */
    int node;
    uint8_t token[MX_TOKEN_BYTES];
    struct mx_conn orders, calls, image;
    struct loop_fd on_orders, on_notes, on_image, on_image_notes, on_calls_notes;
    bool is_connected, has_image, has_calls; /* there is a connection */
    bool is_unwanted; /* the node has asked it to leave: it is asked again before it comes */
    uint64_t lost_ms; /* when it was cut off; 0: it is not */
    uint8_t in[2 * MX_MESSAGE_MAX];
    size_t in_bytes;
};

struct mx_keeper {
    struct mx_keeper_how how;
    struct loop *loop;
    struct mx_migrate plan;
    struct mx_holder holder; /* the home's own place */
    struct mx_hands hands;
    struct loop_fd on_hands, on_process, on_listener;
    struct loop_timer timer, linger;
    struct mx_host hosts[MX_KEEPER_HOSTS];
    uint32_t last_place;
    uint32_t streams_move; /* the move for which streams were opened */
    pid_t relay;
    uint64_t lost_until_ms;   /* an end before it is because its hands were killed */
    int errors;               /* where its errors went when it was last moved (witness.h); -1 */
    struct mx_conn collector; /* of a job that comes home */
    struct loop_fd on_collector;
    struct mx_range park;    /* room for that in the stub; 0: none */
    bool is_park_used;       /* there may be something in it */
    bool is_short_of_memory; /* there was no room for one: it comes home at once, then */
    pid_t served;            /* the hands serve the calls of this connection; 0: none */
    pid_t unserved;          /* no more of this one: it was lost, */
    uint64_t unserved_ms;    /* then */
    int signal;              /* that a copy died of */
    bool is_looked; /* the process at home can move, as far as can be seen while it runs */
    uint64_t froze_ms;
    bool is_over;
    bool is_first_home; /* the job's own process runs here, let go, while others of it are away
                         */
    bool is_first_gone; /* it has ended, and others of it are away */
    bool is_family;     /* others of the job's are away */
    bool had_family;    /* since it left */
    bool is_fetching;   /* all are asked to come home */
    char onward[MX_REQUEST_MAX]; /* and then to go on there; empty: not */
    struct {
        pid_t pid; /* 0: unused */
        char where[MX_REQUEST_MAX];
    } fetched[MX_KEEPER_FETCHED];      /* the same of children by themselves */
    char wanted[MX_REQUEST_MAX];       /* where the move that is under way goes */
    char came[MX_WORDS_MAX + 1];       /* why it came home by itself */
    uint64_t stays_ms, stays_until_ms; /* after that it isn't sent away by itself so long */
    unsigned moves;
    char why[MX_WORDS_MAX + 1]; /* of the last failure */
    enum mx_frost frost;
    int frost_back; /* the node where it goes on when it thaws; -1: here */
    char frost_path[3 * MX_FREEZE_DIR_MAX]; /* with a tag and a number */
    char program[MX_PROGRAM_MAX + 1];
};

/* ---- keeper.c ---- */

const char *mx_keeper_name(const struct mx_keeper *k, uint32_t place);
struct mx_host *mx_keeper_host(struct mx_keeper *k, uint32_t place);
/* The first reason counts: others follow from it. */
void mx_keeper_why(struct mx_keeper *k, const char *text);
void mx_keeper_note_move(struct mx_keeper *k);
void mx_keeper_end(struct mx_keeper *k);
/* Words for whoever looks at the job's standard error: why process pid of it is lost. */
void mx_keeper_say(struct mx_keeper *k, pid_t pid, const char *what);
void mx_keeper_keep_errors(struct mx_keeper *k);
/* The keeper's time at home is over, if nobody has asked for anything. */
void mx_keeper_on_linger(void *ctx);
void mx_keeper_start_linger(struct mx_keeper *k);
/* One step of the plan, and what follows from it. */
void mx_keeper_plan(struct mx_keeper *k, struct mx_migrate_in in);
void mx_keeper_read_program(struct mx_keeper *k);
/* The node where it is wants it elsewhere: it comes home, unless it is moving. */
void mx_keeper_leave(struct mx_keeper *k, const char *why);

/* ---- keeper_family.c ---- */

/* All that are away come home, each by itself, and go on to where; "home": they stay. */
MUST int mx_keeper_fetch(struct mx_keeper *k, const char *where, struct err *e);
/* The same of one child; text: its number and where. */
MUST int mx_keeper_fetch_child(struct mx_keeper *k, const char *text, struct err *e);
/* A child has come home; is_own_wish: for something that it can do here only. */
void mx_keeper_child_came(struct mx_keeper *k, pid_t pid, bool is_own_wish);
/* The first has come home, and nobody is away any more. */
void mx_keeper_first_came(struct mx_keeper *k, bool is_own_wish);

/* As a request to. */
MUST int mx_keeper_migrate(struct mx_keeper *k, const char *where, struct err *e);

/* ---- keeper_freeze.c ---- */

/* Requests; what is begun is done later. Return 0 or -errno with words. */
MUST int mx_keeper_freeze(struct mx_keeper *k, struct err *e);
MUST int mx_keeper_thaw(struct mx_keeper *k, struct err *e);
/* What becomes of them: a move has ended; the hands have answered; the keeper ends, or the
 * hands have died. */
void mx_keeper_frost_moved(struct mx_keeper *k);
void mx_keeper_on_frost(struct mx_keeper *k, const struct mx_note *n);
void mx_keeper_frost_end(struct mx_keeper *k);
/* For people; "" when it is not. */
const char *mx_keeper_frost_text(const struct mx_keeper *k);

/* ---- keeper_home.c ---- */

/* One step of the home's own place; held: something happened to its copy. */
void mx_keeper_hold(struct mx_keeper *k, struct mx_holder_in in);
void mx_keeper_held(struct mx_keeper *k, enum mx_holder_event what, enum mx_why why);
/* Does the job's own process end when its hands are killed? */
bool mx_keeper_is_tied(const struct mx_keeper *k);
bool mx_keeper_has_process(const struct mx_keeper *k);
/* The process runs here, held by nobody: all that was elsewhere is forgotten. */
void mx_keeper_is_at_home(struct mx_keeper *k);
/* Its memory begins to go when it was looked at and there is a way. */
void mx_keeper_copy_if_ready(struct mx_keeper *k);
void mx_keeper_on_hands(void *ctx, uint32_t events);
/* fd: as for mx_hands_tell. */
void mx_keeper_tell(struct mx_keeper *k, enum mx_hands_ask what, int fd);
/* The calls of the copy that has the right are served. */
void mx_keeper_serve(struct mx_keeper *k);
/* The job is over, and what is left of it here is ended. */
void mx_keeper_end_process(struct mx_keeper *k);

/* ---- keeper_hosts.c ---- */

void mx_keeper_open_streams(struct mx_keeper *k);
void mx_keeper_close_streams(struct mx_keeper *k);
void mx_keeper_end_relay(struct mx_keeper *k);
void mx_host_forget(struct mx_host *h);
void mx_host_is_dead(struct mx_host *h);
/* It is as good as cut off, by us: without its calls the copy there is of no use. */
void mx_host_lose(struct mx_host *h);
struct mx_host *mx_keeper_find_node(struct mx_keeper *k, int node);
/* Begins a connection to a node. Returns 0; -EBUSY when there are too many. */
MUST int mx_keeper_add_host(struct mx_keeper *k, int node, struct mx_host **out, struct err *e);
void mx_keeper_send_order(struct mx_keeper *k, uint32_t place, const struct mx_order *order);
#endif
