/* SPDX-License-Identifier: GPL-2.0-or-later */
/* options.h: what the user of mrc asked for.
 * Must not know: what is made of it. Source: mrc/options.def. */
#ifndef MRC_OPTIONS_H
#define MRC_OPTIONS_H

#include "common/base/err.h"
#include "common/sys/opt.h"
#include "mrc/held.h"
#include "mrc/hostset.h"

#include <stdint.h>

enum { TREE_HEAD, TREE_TARGET, TREE_SCRATCH, TREE_READ_ONLY, TREE_OVERLAY };
enum { HIDING_HIDE, HIDING_SHOW };
enum { ENV_ADD, ENV_DROP };
enum { HOSTS_LIST, HOSTS_FILE };
enum { OUTPUT_PREFIX, OUTPUT_ORDER, OUTPUT_MIXED };
enum { VIEW_CHOICE_HOME, VIEW_CHOICE_ROOT, VIEW_CHOICE_NONE };
enum { CONSISTENCY_LEASE, CONSISTENCY_STRICT, CONSISTENCY_LOOSE };
enum { COMPRESS_AUTO, COMPRESS_NO, COMPRESS_YES };

/* What is to be done: a job, or one of the commands that take the place of the host. */
enum mrc_verb { VERB_JOB, VERB_PS, VERB_STOP, VERB_CACHE, VERB_LOGS, VERB_DOCTOR, VERB_TOP, VERB_ATTACH, VERB_DETACH };

struct mrc_options {
    const char *port, *login, *config_file, *jump, *via, *directory, *reconnect_for, *freeze_after;
    uint32_t reconnect_s, freeze_s; /* of reconnect_for, freeze_after */
    struct opt_list identities, ssh_options, trees, hiding, env, hosts, nest;
    long long parallel, keep_output; /* 0 = not given */
    bool forward_agent, no_tty, no_input, background, no_command, no_pid_ns, quiet, stats, no_hub, no_cache, no_profile, as_ssh, detach, ignored;
    bool reads_ahead; /* standard input, whoever else may want it */
    int transport, view, consistency, compress, tty, verbose, output, ip_version;
    /* From the arguments behind the options. */
    char host[512], user[256], port_text[16];
    bool is_local;
    enum mrc_verb verb;
    bool with_jobs; /* of VERB_STOP; its host, "" = all, is in host */
    bool wants_json;
    bool is_once; /* of VERB_TOP */
    bool is_clearing, is_showing; /* of VERB_CACHE */
    bool files_only; /* of VERB_ATTACH; its job is in host */
    bool is_forgetting; /* of VERB_DETACH, likewise */
    bool is_ending;     /* likewise */
    /* Of a job that a job wanted (mrc/nest/wanted.h); NULL: this process's. */
    char **job_env;
    char *job_cwd;
    char **command; /* into argv, NULL-terminated; empty = login shell */
};

/* Returns 0, OPT_DONE when the program has nothing more to do, -EINVAL with words. */
MUST int mrc_options_parse(struct mrc_options *o, int argc, char **argv, struct err *e);

/* Takes the name of the host, as it stands before a command: for jobs on several, whose options
 * were parsed without one. Returns 0 or -EINVAL with words. */
MUST int mrc_options_host(struct mrc_options *o, const char *text, struct err *e);

#endif
