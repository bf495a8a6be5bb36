/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hubjob.c: what a job has to do with the hub: asks for a waiting agent, tells that it runs,
 * offers its connection. Whatever fails here, mrc goes on without the hub.
 * Must not know: the session. */
#include "mrc/hub.h"

#include "common/sys/crypto.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "common/sys/mem.h"
#include "mrc/agents.h"
#include "mrc/openssh.h"
#include "mrc/reconnect.h"
#include "mrc/share.h"
#include "mrc/sshconf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ANSWER_MS = 2000,
    CHANNEL_MS = 10000, /* the hub says no before */
    KEY_BYTES = 64 << 10,
    SPARE_S = 480, /* an agent waits for ten minutes */
};

/* Why not share it? NULL: nothing speaks against it. */
static const char *objection(const struct mrc_transport_opts *t, const struct mrc_sshconf *c)
{
    return t->kind == MRC_TRANSPORT_SSH2 ? NULL : mrc_openssh_reason(c, t);
}

static void put_text(struct wr *w, const char *text)
{
    put_bytes(w, bytes_of(text ? text : ""));
}

static int make_key(const struct mrc_transport_opts *t, const struct mrc_sshconf *c,
                    uint8_t key[MRC_HUB_KEY_BYTES])
{
    AUTO_FREE struct mrc_agents *agents = calloc(1, sizeof *agents);
    AUTO_FREE uint8_t *space = malloc(KEY_BYTES);
    if (!agents || !space)
        return -ENOMEM;
    int rc = mrc_agents_find(agents, NULL);
    if (rc < 0)
        return rc;
    struct wr w = wr_of(space, KEY_BYTES);
    const char *given[] = {
        mrc_hub_version,       t->host,     t->user, t->port, t->config_file, t->jump,
        mrc_sshconf_program(), c->hostname, c->user, c->port
    };
    for (size_t i = 0; i < ARRAY_LEN(given); i++)
        put_text(&w, given[i]);
    put_u32(&w, (uint32_t)t->kind);
    put_u32(&w, (uint32_t)mrc_silence_ms());
    put_u32(&w, (uint32_t)t->identity_count);
    for (size_t i = 0; i < t->identity_count; i++)
        put_text(&w, t->identities[i]);
    for (size_t i = 0; i < t->ssh_option_count; i++)
        put_text(&w, t->ssh_options[i]);
    for (size_t i = 0; i < agents->count; i++)
        put_text(&w, agents->file[i].hash);
    put_raw(&w, c->fingerprint, sizeof c->fingerprint);
    if (w.is_full)
        return -E2BIG;
    crypto_sha256(key, space, wr_len(&w));
    return 0;
}

static void describe(struct mrc_hub_job *j, char *const *command)
{
    size_t used = 0;
    for (; *command && used < sizeof j->command - 1; command++) {
        int n = snprintf(j->command + used, sizeof j->command - used, "%s%s", used ? " " : "",
                         *command);
        used += n > 0 ? (size_t)n : 0;
    }
}

static int introduce(struct mrc_hub_job *j, struct err *e)
{
    int rc = mrc_hub_connect(&j->fd, e);
    if (rc < 0)
        return rc;
    struct mrc_hub_msg m = { .id = MRC_HUB_job,
                             .job = { bytes_of(mrc_hub_version),
                                      { j->key, sizeof j->key },
                                      bytes_of(j->host),
                                      bytes_of(j->command),
                                      { j->view, j->wants_view ? sizeof j->view : 0 },
                                      mrc_reconnect_age_ms() } };
    rc = mrc_hub_send(j->fd, &m, -1);
    return rc < 0 ? err_set(e, -rc, "ask the hub") : 0;
}

/* Returns 0 with *fd_out -1 when it has none to give. */
static int ask(struct mrc_hub_job *j, int *fd_out, struct err *e)
{
    AUTO_FREE uint8_t *space = malloc(MRC_HUB_MSG_MAX);
    AUTO_FD fd = -1;
    struct mrc_hub_msg m;
    *fd_out = -1;
    int rc = space ? introduce(j, e) : err_set(e, ENOMEM, "ask the hub");
    if (rc < 0)
        return rc;
    rc = mrc_hub_wait(j->fd, CHANNEL_MS, space, &m, &fd);
    if (rc < 0)
        return err_set(e, -rc, "no answer from the hub");
    if (m.id == MRC_HUB_channel && fd >= 0) {
        *fd_out = take_fd(&fd);
        j->has_view = m.channel.view_id.len == sizeof j->view_id;
        if (j->has_view)
            memcpy(j->view_id, m.channel.view_id.ptr, sizeof j->view_id);
        j->mark = m.channel.mark;
        return bytes_to_text(m.channel.why_not, j->why_not, sizeof j->why_not);
    }
    char why[200] = "";
    if (m.id == MRC_HUB_none && bytes_to_text(m.none.why, why, sizeof why) == 0)
        log_at(LOG_VERBOSE, "hub: %s", why);
    return 0;
}

static int begin(struct mrc_hub_job *j, const struct mrc_transport_opts *t, char *const *command,
                 const uint8_t *view, bool may_start, int *fd_out, struct err *e)
{
    *j = (struct mrc_hub_job){ .fd = -1, .wants_view = view != NULL };
    if (view)
        memcpy(j->view, view, sizeof j->view);
    snprintf(j->host, sizeof j->host, "%s%s%s", t->user ? t->user : "", t->user ? "@" : "",
             t->host);
    *fd_out = -1;
    bool is_ssh = t->kind == MRC_TRANSPORT_AUTO || t->kind == MRC_TRANSPORT_SSH2;
    if (!is_ssh || t->forward_agent || !mrc_hub_idle_s())
        return 0;
    AUTO(mrc_sshconf_fini) struct mrc_sshconf c = { 0 };
    int rc = mrc_sshconf_resolve(t, &c, e);
    if (rc < 0)
        return rc;
    const char *why_not = objection(t, &c);
    struct err why = { "" };
    if (why_not) {
        log_at(LOG_VERBOSE, "the connection is not shared: %s", why_not);
        return 0;
    }
    if (make_key(t, &c, j->key) < 0)
        return 0; /* the same will be found when connecting, with words */
    j->is_wanted = true;
    j->idle_s = c.control_persist_s;
    describe(j, command);
    rc = ask(j, fd_out, &why);
    if (may_start && (rc == -ENOENT || rc == -ECONNREFUSED))
        rc = mrc_hub_start(&why); /* it will be there when our job is */
    else if (rc < 0)
        fd_close(&j->fd);
    if (rc < 0)
        log_at(LOG_VERBOSE, "without the hub: %s", why.text);
    return 0;
}

int mrc_hub_job_begin(struct mrc_hub_job *j, const struct mrc_transport_opts *t,
                      char *const *command, const uint8_t *view, int *fd_out, struct err *e)
{
    return begin(j, t, command, view, true, fd_out, e);
}

static int offer(struct mrc_hub_job *j, struct mrc_connection *c, struct err *e)
{
    AUTO_FREE uint8_t *space = malloc(MRC_HUB_MSG_MAX);
    AUTO_FD fd = -1;
    uint32_t spare_s = mrc_silence_ms() ? (uint32_t)mrc_silence_ms() / 2000 : SPARE_S;
    struct mrc_hub_msg m = { .id = MRC_HUB_offer,
                             .offer = { { j->key, sizeof j->key },
                                        bytes_of(c->command),
                                        bytes_of(c->nonce),
                                        j->idle_s,
                                        spare_s ? spare_s : 1 } };
    int rc = space ? mrc_hub_send(j->fd, &m, c->control) : -ENOMEM;
    if (rc == 0)
        rc = mrc_hub_wait(j->fd, ANSWER_MS, space, &m, &fd);
    if (rc < 0)
        return err_set(e, -rc, "offer the connection to the hub");
    if (m.id != MRC_HUB_kept || !m.kept.is_kept)
        return err_set(e, 0, "the hub does not take the connection");
    /* Until it knows, its holder dies with us. */
    rc = mrc_share_keep(c->control, ANSWER_MS);
    if (rc < 0)
        return err_set(e, -rc, "leave the connection to the hub");
    c->pid = 0; /* not ours any more */
    return 0;
}

/* The hub was perhaps not there when we asked. */
static int introduce_late(struct mrc_hub_job *j, struct err *e)
{
    AUTO_FREE uint8_t *space = malloc(MRC_HUB_MSG_MAX);
    if (!space)
        return err_set(e, ENOMEM, "ask the hub");
    int fd = -1;
    int rc = ask(j, &fd, e);
    if (rc == 0 && fd >= 0)
        close(fd); /* too late: we have one */
    return rc;
}

bool mrc_hub_job_started(struct mrc_hub_job *j, struct mrc_connection *c, uint32_t pid)
{
    struct err why = { "" };
    if (!j->is_wanted)
        return false;
    bool had_own = c->control > 0;
    int rc = j->fd < 0 ? introduce_late(j, &why) : 0;
    if (rc == 0) {
        struct mrc_hub_msg m = { .id = MRC_HUB_started, .started = { pid, { j->view_id, j->has_view ? sizeof j->view_id : 0 } } };
        rc = mrc_hub_send(j->fd, &m, -1);
    }
    if (rc == 0 && c->control > 0)
        rc = offer(j, c, &why);
    if (rc < 0)
        log_at(LOG_VERBOSE, "hub: %s", why.text[0] ? why.text : strerror(-rc));
    if (c->control > 0)
        fd_close(&c->control); /* the hub has its own, or nobody shall */
    c->control = 0;
    return rc == 0 && had_own;
}

void mrc_hub_job_end(struct mrc_hub_job *j)
{
    fd_close(&j->fd);
}

int mrc_connect_shared(const struct mrc_transport_opts *t, const char *what,
                       struct mrc_connection *out, struct err *e)
{
    struct mrc_hub_job j;
    struct mrc_transport_opts shared = *t;
    char *words[] = { (char *)what, NULL };
    int rc = begin(&j, t, words, NULL, false, &out->fd, e);
    if (rc == 0 && out->fd >= 0) {
        log_at(LOG_VERBOSE, "%s: by a connection that the hub keeps", t->host);
    } else if (rc == 0) {
        shared.is_shared = j.is_wanted && j.fd >= 0;
        rc = mrc_connect(&shared, out, e);
    }
    if (rc == 0 && j.fd >= 0)
        (void)mrc_hub_job_started(&j, out, 0);
    if (rc == 0 && j.fd >= 0)
        out->hub = take_fd(&j.fd);
    mrc_hub_job_end(&j);
    return rc;
}
