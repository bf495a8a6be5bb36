/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sshparts.h: what the files that speak SSH by libssh2 share: ssh.c, sshhost.c, sshauth.c,
 * sshcommand.c. For them only. Replacing the library is editing these. */
#ifndef MRC_SSHPARTS_H
#define MRC_SSHPARTS_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "common/sys/buf.h"
#include "common/sys/clock.h"
#include "mrc/sshconf.h"
#include "mrc/transport.h"
#include "mrc/words.h"

#include <errno.h>
#include <libssh2.h>

struct ssh {
    const struct mrc_sshconf *c;
    const struct mrc_transport_opts *o;
    int stream;              /* to mrc */
    int control;             /* who may ask for more commands on this connection; -1 */
    int sock;                /* to the server */
    struct mrc_words *words; /* of a proxy; NULL without one */
    LIBSSH2_SESSION *session;
    LIBSSH2_AGENT *agent;
    uint8_t *in; /* bytes from the server that libssh2 has not taken: [in_head, in_tail) */
    uint64_t taken_bytes; /* by libssh2, ever */
    size_t in_head, in_tail;
    struct buf out;    /* bytes for the server */
    bool is_sock_over; /* the server has closed, or the socket failed */
    int sock_errno;
    uint64_t heard_count;    /* times that something came */
    uint64_t heard_ms;       /* last byte from the server */
    char goodbye[160];       /* the server's reason for disconnecting */
    bool is_key_distrusted;  /* changed host key, StrictHostKeyChecking=no: no secrets to it */
    const char *skipped_key; /* a kind of key that ssh could use and libssh2 can't */
    char tried[512];         /* methods and keys tried, for the error */
    uint64_t round_trip_us;  /* an upper bound, by the handshake */
    bool is_canceled;        /* the person gave up at a question */
    bool is_alone;           /* nobody could be asked */
    bool has_key;            /* that libssh2 can use */
    bool is_accepted;        /* set by the probe of a public key */
};

/* Waiting: libssh2 never blocks here. */

static inline uint64_t mrc_ssh_deadline(uint64_t ms)
{
    return clock_mono_ms() + ms;
}

/* Sends what waits in s->out as far as the socket takes it. */
void mrc_ssh_flush(struct ssh *s);

/* Waits until a call that said LIBSSH2_ERROR_EAGAIN can go on.
 * Returns 0, -ETIMEDOUT, -ECANCELED, -errno. */
MUST int mrc_ssh_wait(struct ssh *s, uint64_t end_ms);

/* Repeats a libssh2 call until it doesn't say "again". rc is its result, or -ETIMEDOUT or
 * -ECANCELED, which are no results of libssh2's (its errors end at -51 but for EAGAIN). */
#define MRC_SSH_REPEAT(s, end_ms, rc, call)                                                    \
    while (((rc) = (call)) == LIBSSH2_ERROR_EAGAIN) {                                          \
        (rc) = mrc_ssh_wait(s, end_ms);                                                        \
        if ((rc) < 0)                                                                          \
            break;                                                                             \
    }                                                                                          \
    mrc_ssh_flush(s)

static inline bool mrc_ssh_is_outside(int rc) /* an error of MRC_SSH_REPEAT's own */
{
    return rc == -ETIMEDOUT || rc == -ECANCELED;
}

/* Words for a connection that ended, and for any result of MRC_SSH_REPEAT; when: "during …". */
MUST int mrc_ssh_lost(struct ssh *s, struct err *e, const char *when);
MUST int mrc_ssh_failed(struct ssh *s, int rc, struct err *e, const char *when);

/* Is name in the list, which has commas? */
bool mrc_ssh_list_has(const char *list, const char *name, size_t len);
bool mrc_ssh_signs_rsa_sha2(void);
/* Is there an ssh that could do it instead, and may we say so? */
bool mrc_ssh_may_refer(const struct ssh *s);

/* The steps after the handshake: 0, -EOPNOTSUPP for what ssh could do instead, -errno. */

/* sshhost.c: compares the server's key with those that are known, asks the user. */
MUST int mrc_ssh_check_host(struct ssh *s, struct err *e);
/* Words for a host of which known_hosts names only an authority, at that line. */
void mrc_ssh_say_authority(const struct ssh *s, const char *file, unsigned line, struct err *e);

/* sshauth.c. Opens the agent and lists its keys: false without one. */
bool mrc_ssh_open_agent(struct ssh *s);
/* Before anything is sent: is there a key to show? Sets has_key, and skipped_key for one that
 * only ssh could use. */
void mrc_ssh_look_for_keys(struct ssh *s);
MUST int mrc_ssh_authenticate(struct ssh *s, struct err *e);

/* sshcommand.c: starts the command and moves bytes until it ends or mrc closes the stream, and
 * does the same for the commands that are asked for on control (mrc/share.h; -1: none; taken)
 * until that is closed. Takes s->stream. */
MUST int mrc_ssh_run_command(struct ssh *s, int control, struct err *e);

#endif
