/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sshconf.h: the user's OpenSSH configuration for one host, as `ssh -G` resolves it.
 * Must not know: libssh2, how a connection is made.
 * Source: ssh_config(5); names and spelling of values as `ssh -G` of OpenSSH 7 to 10 prints. */
#ifndef MRC_SSHCONF_H
#define MRC_SSHCONF_H

#include "common/base/attr.h"
#include "common/base/err.h"
#include "mrc/transport.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mrc_strict {
    MRC_STRICT_ASK,
    MRC_STRICT_YES,
    MRC_STRICT_NO,
    MRC_STRICT_ACCEPT_NEW,
};

enum {
    MRC_SSHCONF_LIST_MAX = 32, /* more identities or known-hosts files are left out */
    MRC_SSHCONF_ARGV_MAX = 256 /* words of an ssh command line */
};

struct mrc_sshconf_list {
    const char *item[MRC_SSHCONF_LIST_MAX];
    size_t count;
};

/* Texts live in store, or are static. "none" is kept as "none" where it means something. */
struct mrc_sshconf {
    char *store;
    bool is_resolved;  /* by ssh -G; else built-in defaults */
    const char *alias; /* the host as typed; borrowed from the options */
    const char *hostname;
    const char *user;
    const char *port;
    const char *hostkeyalias;
    const char *addressfamily;
    const char *bindaddress;
    const char *bindinterface;
    const char *proxycommand;
    const char *proxyjump;
    const char *controlpath;
    const char *identityagent;
    const char *preferredauthentications;
    const char *hostkeyalgorithms;
    const char *kexalgorithms;
    const char *ciphers;
    const char *macs;
    const char *knownhostscommand;
    const char *pkcs11provider;
    struct mrc_sshconf_list identities; /* as written; see mrc_sshconf_expand */
    struct mrc_sshconf_list certificates;
    struct mrc_sshconf_list user_known_hosts;
    struct mrc_sshconf_list global_known_hosts;
    enum mrc_strict strict;
    bool is_batch;
    bool has_compression;
    bool has_pubkey;
    bool has_password;
    bool has_kbdint;
    bool has_gssapi;
    bool has_hostbased;
    bool has_tcpkeepalive;
    bool passes_proxy_fd;
    bool hashes_known_hosts;
    bool identities_only;
    int connect_timeout_s; /* 0: none set */
    int alive_interval_s;  /* 0: no keep-alives */
    int alive_count_max;
    int password_prompts;
    uint32_t control_persist_s; /* 0: none set; all ones: for ever */
    uint8_t fingerprint[32];    /* of all that ssh -G said; zeros without it */
};

/* The program that is the user's ssh: $MRC_SSH or "ssh". */
const char *mrc_sshconf_program(void);

/* Words of an ssh command line up to the host, without a command: program, options as the user
 * gave them, extra (NULL-terminated, may be NULL), "--", host. argv gets at most max words and
 * a NULL; all borrowed. Returns the count or -E2BIG. */
MUST int mrc_sshconf_argv(const struct mrc_transport_opts *o, const char *const *extra,
                          const char **argv, size_t max);

/* Asks ssh -G, or takes the defaults where there is no ssh (c->is_resolved false).
 * Returns 0; -errno with words: ssh refused the options, host is not a name. */
MUST int mrc_sshconf_resolve(const struct mrc_transport_opts *o, struct mrc_sshconf *c,
                             struct err *e);
void mrc_sshconf_fini(struct mrc_sshconf *c);

/* For mrc_sshconf_resolve and its test: defaults, then the output of ssh -G (taken: c frees it;
 * modified). Unknown lines are skipped. */
void mrc_sshconf_defaults(struct mrc_sshconf *c);
void mrc_sshconf_parse(struct mrc_sshconf *c, char *text);

/* Expands ~, ${NAME} and % tokens of ssh_config(5) in a file name or command: %% %h %n %p %r %u
 * %d %i %k %l %L %j. Returns 0, -EINVAL an unknown token, -ENAMETOOLONG. */
MUST int mrc_sshconf_expand(const struct mrc_sshconf *c, const char *text, char *out,
                            size_t size_bytes);

/* The name that known_hosts has for it: HostKeyAlias, host, or [host]:port; lower case. */
MUST int mrc_sshconf_known_name(const struct mrc_sshconf *c, char *out, size_t size_bytes);

#endif
