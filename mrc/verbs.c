/* SPDX-License-Identifier: GPL-2.0-or-later */
/* verbs.c: see verbs.h.
 * Must not know: jobs. */
#include "mrc/verbs.h"

#include "common/sys/fd.h"
#include "mrc/cachecommand.h"
#include "mrc/detach/detach.h"
#include "mrc/doctorcommand.h"
#include "mrc/hub.h"
#include "mrc/logcommand.h"
#include "mrc/mrc.h"
#include "mrc/reach.h"
#include "mrc/topcommand.h"

/* A connection of its own, so that it can be asked while jobs run. */
static int connect_host(const struct mrc_options *o, struct mrc_connection *c, struct err *e)
{
    struct mrc_transport_opts to;
    *c = (struct mrc_connection){ .fd = -1 };
    mrc_reach(o, &to);
    return mrc_connect(&to, c, e);
}

/* -N: everything but a job. */
static int run_nothing(const struct mrc_options *o, struct err *e)
{
    struct mrc_connection c;
    int rc = connect_host(o, &c, e);
    mrc_disconnect(&c);
    return rc;
}

static int run_cache(const struct mrc_options *o, struct err *e)
{
    struct mrc_connection c;
    int rc = connect_host(o, &c, e);
    if (rc == 0)
        rc = mrc_cache_command(take_fd(&c.fd), o->host, o->is_clearing, e);
    mrc_disconnect(&c);
    return rc;
}

static int run_logs(const struct mrc_options *o, struct err *e)
{
    struct mrc_connection c;
    if (!o->host[0])
        return mrc_logs_here(e);
    int rc = connect_host(o, &c, e);
    if (rc == 0)
        rc = mrc_logs_there(take_fd(&c.fd), o->host, e);
    mrc_disconnect(&c);
    return rc;
}

static int run_doctor(const struct mrc_options *o, struct err *e)
{
    struct mrc_transport_opts to;
    mrc_reach(o, &to);
    return mrc_doctor(&to, o->wants_json, e);
}

static int run_ps(const struct mrc_options *o, struct err *e)
{
    return mrc_hub_ps(o->wants_json, mrc_detach_list, e);
}

static int run_top(const struct mrc_options *o, struct err *e)
{
    return mrc_top(&(struct top_opts){ o->is_once, o->wants_json }, e);
}

static int run_stop(const struct mrc_options *o, struct err *e)
{
    return mrc_hub_stop(o->host[0] ? o->host : NULL, o->with_jobs, e);
}

int mrc_verb(const struct mrc_options *o, struct err *e)
{
    static int (*const verbs[])(const struct mrc_options *, struct err *) = {
        [VERB_JOB] = run_nothing, [VERB_PS] = run_ps,     [VERB_STOP] = run_stop,
        [VERB_CACHE] = run_cache, [VERB_LOGS] = run_logs, [VERB_DOCTOR] = run_doctor,
        [VERB_TOP] = run_top,   [VERB_DETACH] = mrc_detach_job,
    };
    return verbs[o->verb](o, e);
}
