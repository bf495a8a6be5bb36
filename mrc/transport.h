/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transport.h: a two-way byte stream to a POSIX shell command on another machine.
 * Must not know: the session protocol, the agent.
 * Every transport is a child process that is joined to us by one stream socket: the child holds
 * keys and passwords, we don't. */
#ifndef MRC_TRANSPORT_H
#define MRC_TRANSPORT_H

#include "common/base/attr.h"
#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum mrc_transport_kind {
    MRC_TRANSPORT_AUTO, /* ssh2, or openssh when the resolved configuration needs what libssh2
                           lacks */
    MRC_TRANSPORT_SSH2, /* libssh2 in the child */
    MRC_TRANSPORT_OPENSSH, /* the user's own ssh program */
    MRC_TRANSPORT_VIA,   /* a command of the user's that gives a stream to a shell over there */
    MRC_TRANSPORT_LOCAL, /* sh on this computer */
};

/* What the user asked for; every text is borrowed for the call. */
struct mrc_transport_opts {
    enum mrc_transport_kind kind;
    const char *host; /* as typed, without user and port; may be an alias of ssh_config */
    const char *user; /* NULL: from the configuration */
    const char *port; /* NULL: from the configuration */
    const char *config_file;       /* -F */
    const char *jump;              /* -J */
    const char *const *identities; /* -i */
    size_t identity_count;
    const char *const *ssh_options; /* -o name=value, passed to ssh -G and ssh */
    size_t ssh_option_count;
    const char *via; /* MRC_TRANSPORT_VIA; `sh -c command` is appended to it as words, or for
                        ssh and its like, which join words again, the command as one word */
    const char *ssh_program; /* MRC_TRANSPORT_OPENSSH: shell words that are run instead of ssh,
                                with ssh's arguments behind them; NULL: ssh */
    const char *command; /* run there by the user's login shell, as ssh does: must be valid for
                            any POSIX shell */
    bool forward_agent;
    bool is_shared; /* libssh2 only: more commands may follow on the same connection */
    bool is_batch;  /* never ask on the terminal */
    bool is_resumed; /* libssh2 only: mrc itself says when a connection that carried the command is lost */
    int verbosity;  /* log level of the child; which kind AUTO became is told at LOG_VERBOSE */
};

struct mrc_stream {
    int fd;      /* stream socket: standard input and output of the command there */
    int control; /* of is_shared: where more commands are asked for, see mrc/share.h; 0 = none.
                    Closed by the child when it is not libssh2 that connects */
    int words;   /* what its programs said on their standard error and nobody has seen, see
                    mrc/words.h; ours to close */
    pid_t pid; /* the child; exits 0 after a clean end of the command, 255 after a failure that
                  it has reported on stderr, else with the status of a --via command that failed
                  and said nothing there */
};

/* Starts the child and returns at once; connecting, authentication and questions on the
 * terminal happen in the child, which prints its own errors, one sentence each ("mrc: …"), to
 * stderr. End of file on out->fd before any byte means that it failed. The command's own stderr
 * there comes out on our stderr. Shutting down writing on out->fd ends the command's standard
 * input.
 * The child ends, within seconds, when the last copy of out->fd is closed (so other children must not keep one)
 * or when we die. It ignores SIGINT, SIGQUIT, SIGTSTP and SIGHUP from the terminal, except
 * while it asks something there: what they mean is the caller's business.
 * With a control socket it ends when that is closed too, and outlives us once it was told so.
 * Without a copy of the user's ssh (none in PATH, or $MRC_SSH names none) the built-in defaults
 * count and ~/.ssh/config does not. */
MUST int mrc_transport_start(const struct mrc_transport_opts *o, struct mrc_stream *out,
                             struct err *e);

/* Sets the buffer of our end of such a stream: what is in it can't be overtaken. */
void mrc_transport_tune(int fd);

#endif
