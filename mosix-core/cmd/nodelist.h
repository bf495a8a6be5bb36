/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nodelist.h: an answer of this node's daemon in JSON, as text and taken apart.
 * Must not know: what is asked. */
#ifndef MOSIX_CORE_CMD_NODELIST_H
#define MOSIX_CORE_CMD_NODELIST_H

#include "common/base/err.h"
#include "common/sys/jsonread.h"

struct nodelist {
    char *text;
    struct json_value *top;
};

/* Returns 0; errors of mx_client_ask(); -EPROTO for an answer that is none. */
MUST int nodelist_ask(struct nodelist *l, const char *request, struct err *e);
void nodelist_drop(struct nodelist *l);

#endif
