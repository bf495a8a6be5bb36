/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mosctl.c: verbs of the owner of a cluster, and of whoever looks at it.
 * Must not know: what verbs do. */
#include "mosix-core/cmd/mosctl.h"

#include "common/sys/opt.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const struct opt table[] = {
#define OPT_STRUCT struct mosctl_options
#include "common/sys/opt_begin.h"
#include "mosix-core/cmd/mosctl.def"
#include "common/sys/opt_end.h"
};

static const struct opt_program program = {
    "mosctl",
    "keygen [-d DIR] [--node]\n"
    "certify [-d DIR] [-k FILE] [-o DIR] [--days N] NODE\n"
    "revoke [-d DIR] NODE\n"
    "rotate [-d DIR]\n"
    "deliver [-d DIR]\n"
    "status|rstatus [--json] [NODE]\n"
    "localstatus [--json]\n"
    "whois [--json] NODE\n"
    "stay|nostay|lstay|nolstay|block|noblock\n"
    "maxguests|maxload|gridguests|opengrid|rejoin [N]\n"
    "closegrid|expel|bring|isolate|shutdown\n"
    "cngpri [-d DIR] CLUSTER PRIORITY",
    "Makes and ends the trust among the nodes of a cluster, shows them, and says what this one "
    "takes.",
    table, ARRAY_LEN(table)
};

static const struct {
    const char *word;
    mosctl_verb fn;
} verbs[] = {
    { "keygen", mosctl_keygen },     { "certify", mosctl_certify },
    { "revoke", mosctl_revoke },     { "rotate", mosctl_rotate },
    { "deliver", mosctl_deliver },   { "status", mosctl_status },
    { "rstatus", mosctl_rstatus },   { "localstatus", mosctl_localstatus },
    { "whois", mosctl_whois },       { "stay", mosctl_stay },
    { "nostay", mosctl_nostay },     { "lstay", mosctl_lstay },
    { "nolstay", mosctl_nolstay },   { "block", mosctl_block },
    { "noblock", mosctl_noblock },   { "maxguests", mosctl_maxguests },
    { "maxload", mosctl_maxload },   { "gridguests", mosctl_gridguests },
    { "opengrid", mosctl_opengrid }, { "closegrid", mosctl_closegrid },
    { "cngpri", mosctl_cngpri },     { "expel", mosctl_expel },
    { "bring", mosctl_bring },       { "isolate", mosctl_isolate },
    { "rejoin", mosctl_opengrid },   { "shutdown", mosctl_shutdown },
};

int main(int argc, char **argv)
{
    struct mosctl_options o = { .dir = "." };
    struct err e = { "" };
    unsigned verb = 0;
    int first = 1, rc;
    bool has_verb = argc > 1 && argv[1][0] != '-';
    signal(SIGPIPE, SIG_IGN);
    umask(077);
    rc = opt_parse(&program, argc - has_verb, argv + has_verb, &o, &first, &e);
    if (rc == OPT_DONE)
        return 0;
    while (has_verb && verb < ARRAY_LEN(verbs) && strcmp(verbs[verb].word, argv[1]) != 0)
        verb++;
    if (rc == 0 && !has_verb)
        rc = err_say(&e, EINVAL, "what is to be done? See mosctl --help");
    else if (rc == 0 && verb == ARRAY_LEN(verbs))
        rc = err_say(&e, EINVAL, "there is no verb %.80s: see mosctl --help", argv[1]);
    argc -= has_verb;
    argv += has_verb;
    bool has_value = rc == 0 && verbs[verb].fn == mosctl_cngpri && argc - first == 2;
    if (has_value)
        o.value = argv[first + 1];
    else if (rc == 0 && argc - first > 1)
        rc = err_say(&e, EINVAL, "'%.80s' is one argument too many", argv[first + 1]);
    if (rc < 0) {
        fprintf(stderr, "mosctl: %s\n", e.text);
        return 2;
    }
    rc = verbs[verb].fn(&o, first < argc ? argv[first] : NULL, &e);
    if (rc < 0)
        fprintf(stderr, "mosctl: %s\n", e.text);
    if (rc == 0 && fflush(stdout) != 0)
        rc = -EIO;
    return rc < 0;
}
