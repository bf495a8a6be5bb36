/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nodelist.c: asking for JSON.
 * Must not know: what is asked. */
#include "mosix-core/cmd/nodelist.h"

#include "mosix-core/cmd/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = (8 << 20) + 64 }; /* docs/control.md: no answer is longer */

int nodelist_ask(struct nodelist *l, const char *request, struct err *e)
{
    *l = (struct nodelist){ .text = malloc(ROOM) };
    int rc =
        l->text ? mx_client_ask(request, l->text, ROOM, e) : err_set(e, ENOMEM, "ask mosixd");
    if (rc >= 0)
        rc = jval_read(l->text, strlen(l->text), &l->top, e);
    if (rc < 0)
        nodelist_drop(l);
    return rc < 0 ? rc : 0;
}

void nodelist_drop(struct nodelist *l)
{
    jval_drop(l->top);
    free(l->text);
    *l = (struct nodelist){ .text = NULL };
}
