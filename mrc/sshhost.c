/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sshhost.c: is the server the one that is meant?
 * Must not know: how known_hosts is written. */
#include "mrc/sshparts.h"

#include "common/base/base64.h"
#include "common/sys/log.h"
#include "mrc/ask.h"
#include "mrc/hostkey.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static void fingerprint(struct ssh *s, char *text, size_t size_bytes)
{
    const char *hash = libssh2_hostkey_hash(s->session, LIBSSH2_HOSTKEY_HASH_SHA256);
    if (!hash || base64_encode(text, size_bytes, hash, 32) < 0)
        snprintf(text, size_bytes, "?");
    text[strcspn(text, "=")] = 0;
}

static int ask_host(struct ssh *s, const char *type, const char *print, bool has_others,
                    struct err *e)
{
    char question[1024], answer[MRC_ASK_BYTES];
    snprintf(question, sizeof question,
             "The host '%s' (%s port %s) is not known yet.%s\n"
             "Its %s key has the fingerprint SHA256:%s\n"
             "Connect, and remember the key (yes/no/[fingerprint])? ",
             s->c->alias, s->c->hostname, s->c->port,
             has_others ? " Keys of other types are known for it!" : "", type, print);
    for (int i = 0; i < 3; i++) {
        int rc = s->c->is_batch ? -ENXIO : mrc_ask(question, false, answer);
        if (rc == -ENXIO)
            return err_set(e, 0,
                           "the key of %s is not known (%s SHA256:%s) and nobody can be asked: "
                           "connect once by hand, or set StrictHostKeyChecking=accept-new",
                           s->c->alias, type, print);
        if (rc < 0)
            return rc;
        if (strcasecmp(answer, "yes") == 0)
            return 0;
        if (strncasecmp(answer, "SHA256:", 7) == 0 && strcmp(answer + 7, print) == 0)
            return 0;
        if (strcasecmp(answer, "no") == 0)
            break;
        snprintf(question, sizeof question, "Please type 'yes', 'no' or the fingerprint: ");
    }
    return err_set(e, 0, "host key of %s not accepted", s->c->alias);
}

static int meet_host(struct ssh *s, const uint8_t *blob, size_t len, const char *type,
                     bool has_others, struct err *e)
{
    char print[64];
    fingerprint(s, print, sizeof print);
    switch (s->c->strict) {
    case MRC_STRICT_YES:
        return err_set(e, 0,
                       "the key of %s is not known (%s SHA256:%s) and StrictHostKeyChecking is "
                       "yes: add it to known_hosts",
                       s->c->alias, type, print);
    case MRC_STRICT_ASK: {
        int rc = ask_host(s, type, print, has_others, e);
        if (rc < 0)
            return rc;
        break;
    }
    case MRC_STRICT_NO:
    case MRC_STRICT_ACCEPT_NEW: break;
    }
    struct err why = { 0 };
    if (mrc_hostkey_remember(s->c, blob, len, &why) < 0)
        log_warn("%s", why.text);
    else if (s->c->strict != MRC_STRICT_ASK)
        log_warn("the key of %s is new and now remembered (%s SHA256:%s)", s->c->alias, type,
                 print);
    return 0;
}

static int refuse_changed(struct ssh *s, const struct mrc_hostkey_answer *a, const char *type,
                          struct err *e)
{
    char print[64], name[600];
    fingerprint(s, print, sizeof print);
    if (mrc_sshconf_known_name(s->c, name, sizeof name) < 0)
        name[0] = 0;
    if (s->c->strict == MRC_STRICT_NO) {
        log_warn(
            "the %s key of %s has CHANGED (known: %s:%u); StrictHostKeyChecking is off, so "
            "going on without password authentication",
            type, s->c->alias, a->file, a->line);
        s->is_key_distrusted = true;
        return 0;
    }
    return err_set(
        e, 0,
        "the %s key of %s has CHANGED (known: %s:%u, now SHA256:%s): somebody may be in "
        "between. If it is right, run ssh-keygen -R '%s'",
        type, s->c->alias, a->file, a->line, print, name);
}

void mrc_ssh_say_authority(const struct ssh *s, const char *file, unsigned line, struct err *e)
{
    const char *remedy = mrc_ssh_may_refer(s) ? ""
                         : s->c->is_resolved  ? ": use --transport openssh"
                                              : ": install OpenSSH's client";
    err_say(
        e, EOPNOTSUPP,
        "%.60s is known by a certificate authority (%.100s:%u), which libssh2 can't check%s",
        s->c->alias, file, line, remedy);
}

int mrc_ssh_check_host(struct ssh *s, struct err *e)
{
    size_t len;
    int kind;
    const uint8_t *blob = (const uint8_t *)libssh2_session_hostkey(s->session, &len, &kind);
    char type[MRC_HOSTKEY_TYPE_BYTES];
    if (!blob || mrc_hostkey_type(blob, len, type, sizeof type) < 0)
        return err_set(e, EPROTO, "host key of %s", s->c->alias);
    struct mrc_hostkey_answer a;
    mrc_hostkey_check(s->c, blob, len, &a);
    switch (a.verdict) {
    case MRC_HOSTKEY_KNOWN:
        log_at(LOG_DEBUG, "the %s key of %s is known: %s:%u", type, s->c->alias, a.file,
               a.line);
        return 0;
    case MRC_HOSTKEY_UNKNOWN: return meet_host(s, blob, len, type, a.has_other_types, e);
    case MRC_HOSTKEY_CHANGED: return refuse_changed(s, &a, type, e);
    case MRC_HOSTKEY_REVOKED:
        return err_set(e, 0, "the %s key of %s is marked as revoked in %s:%u: not connecting",
                       type, s->c->alias, a.file, a.line);
    case MRC_HOSTKEY_CA: mrc_ssh_say_authority(s, a.file, a.line, e); return -EOPNOTSUPP;
    }
    return err_set(e, EPROTO, "host key of %s", s->c->alias);
}
