/* SPDX-License-Identifier: GPL-2.0-or-later */
/* openssh.c: the user's own ssh program.
 * Must not know: libssh2. */
#include "mrc/openssh.h"

#include "common/sys/fd.h"
#include "common/sys/log.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static bool is_set(const char *value)
{
    return value && *value && strcmp(value, "none") != 0;
}

/* Is somebody listening on the control socket? */
static bool is_master_alive(const struct mrc_sshconf *c)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    char path[PATH_MAX];
    if (!is_set(c->controlpath) ||
        mrc_sshconf_expand(c, c->controlpath, path, sizeof path) < 0 ||
        strlen(path) >= sizeof a.sun_path)
        return false;
    memcpy(a.sun_path, path, strlen(path) + 1);
    AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
}

/* A certificate lies beside an identity that exists. */
static bool has_certificate(const struct mrc_sshconf *c)
{
    for (size_t i = 0; i < c->certificates.count; i++)
        if (is_set(c->certificates.item[i]))
            return true;
    for (size_t i = 0; i < c->identities.count; i++) {
        char path[PATH_MAX], cert[PATH_MAX + 16];
        if (mrc_sshconf_expand(c, c->identities.item[i], path, sizeof path) < 0)
            continue;
        snprintf(cert, sizeof cert, "%s-cert.pub", path);
        if (access(path, F_OK) == 0 && access(cert, F_OK) == 0)
            return true;
    }
    return false;
}

static bool can_authenticate(const struct mrc_sshconf *c)
{
    return c->has_pubkey || c->has_password || c->has_kbdint;
}

/* Does the list of preferred methods have one that libssh2 knows? */
static bool prefers_known_method(const struct mrc_sshconf *c)
{
    const char *list = c->preferredauthentications;
    return !is_set(list) || strstr(list, "publickey") || strstr(list, "password") ||
           strstr(list, "keyboard-interactive");
}

const char *mrc_openssh_reason(const struct mrc_sshconf *c, const struct mrc_transport_opts *o)
{
    if (is_master_alive(c))
        return "a ControlMaster connection to this host is open";
    if (has_certificate(c))
        return "there is a certificate for this host or key";
    if (is_set(c->pkcs11provider))
        return "PKCS11Provider is set";
    if (c->passes_proxy_fd)
        return "ProxyUseFdpass is set";
    if (is_set(c->knownhostscommand))
        return "KnownHostsCommand is set";
    if (o->forward_agent)
        return "the agent is to be forwarded";
    if (!can_authenticate(c) || !prefers_known_method(c))
        return "only authentication methods that libssh2 lacks are allowed";
    return NULL;
}

int mrc_openssh_argv(const struct mrc_transport_opts *o, const char **argv, size_t max)
{
    /* Ours come first, and the first value counts in ssh. */
    const char *extra[16] = {
        "-T", "-x", "-e", "none", "-o", "ClearAllForwardings=yes", "-o", "RemoteCommand=none"
    };
    size_t n = 8;
    extra[n++] = o->forward_agent ? "-A" : "-a"; /* what the job may use, and no more */
    if (o->verbosity <= LOG_QUIET)
        extra[n++] = "-q";
    if (o->verbosity >= LOG_TRACE)
        extra[n++] = "-v";
    extra[n] = NULL;
    int count = mrc_sshconf_argv(o, extra, argv, max);
    if (count < 0)
        return count;
    if ((size_t)count + 1 > max)
        return -E2BIG;
    argv[count++] = o->command;
    argv[count] = NULL;
    return count;
}
