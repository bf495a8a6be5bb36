/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mosctl.h: the verbs of mosctl.
 * Must not know: how they are chosen. Each returns an exit status's meaning: 0 or -errno with
 * words; what they say goes to standard output. */
#ifndef MOSIX_CORE_CMD_MOSCTL_H
#define MOSIX_CORE_CMD_MOSCTL_H

#include "common/base/err.h"

#include <stdbool.h>

enum {
    MOSCTL_PATH_MAX = 1024, /* bytes of a file's name */
    MOSCTL_DAYS = 825,      /* that a certificate lasts */
};

struct mosctl_options {
    const char *dir, *key, *out;
    const char *value; /* a second argument, of the one verb that has it */
    long long days;
    bool is_node, is_json;
};

typedef int (*mosctl_verb)(const struct mosctl_options *o, const char *what, struct err *e);

MUST int mosctl_keygen(const struct mosctl_options *o, const char *what, struct err *e);
MUST int mosctl_certify(const struct mosctl_options *o, const char *what, struct err *e);
MUST int mosctl_revoke(const struct mosctl_options *o, const char *what, struct err *e);
MUST int mosctl_rotate(const struct mosctl_options *o, const char *what, struct err *e);
MUST int mosctl_deliver(const struct mosctl_options *o, const char *what, struct err *e);
MUST int mosctl_status(const struct mosctl_options *o, const char *what, struct err *e);
MUST int mosctl_rstatus(const struct mosctl_options *o, const char *what, struct err *e);
MUST int mosctl_localstatus(const struct mosctl_options *o, const char *what, struct err *e);
MUST int mosctl_whois(const struct mosctl_options *o, const char *what, struct err *e);

/* Of govern.c. */
/* clang-format off */
MUST int mosctl_stay(const struct mosctl_options *o, const char *what, struct err *e);
MUST int mosctl_nostay(const struct mosctl_options *o, const char *what, struct err *e);
MUST int mosctl_lstay(const struct mosctl_options *o, const char *what, struct err *e);
MUST int mosctl_nolstay(const struct mosctl_options *o, const char *what, struct err *e);
MUST int mosctl_block(const struct mosctl_options *o, const char *what, struct err *e);
MUST int mosctl_noblock(const struct mosctl_options *o, const char *what, struct err *e);
MUST int mosctl_maxguests(const struct mosctl_options *o, const char *what, struct err *e);
MUST int mosctl_maxload(const struct mosctl_options *o, const char *what, struct err *e);
MUST int mosctl_gridguests(const struct mosctl_options *o, const char *what, struct err *e);
MUST int mosctl_opengrid(const struct mosctl_options *o, const char *what, struct err *e);
MUST int mosctl_closegrid(const struct mosctl_options *o, const char *what, struct err *e);
MUST int mosctl_cngpri(const struct mosctl_options *o, const char *what, struct err *e);
MUST int mosctl_expel(const struct mosctl_options *o, const char *what, struct err *e);
MUST int mosctl_bring(const struct mosctl_options *o, const char *what, struct err *e);
MUST int mosctl_isolate(const struct mosctl_options *o, const char *what, struct err *e);
MUST int mosctl_shutdown(const struct mosctl_options *o, const char *what, struct err *e);
/* clang-format on */

#endif
