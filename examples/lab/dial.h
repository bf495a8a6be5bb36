/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dial.h: standard input and output joined to a TCP connection: what ssh's ProxyCommand wants.
 * Must not know: lab clusters. */
#ifndef EXAMPLES_LAB_DIAL_H
#define EXAMPLES_LAB_DIAL_H

#include "common/base/attr.h"
#include "common/base/err.h"

/* Connects to a numeric address and port, and copies both ways until the far side has ended its
 * stream. The end of standard input is passed on. Returns 0, or -errno with words. */
MUST int dial(const char *address, const char *port, struct err *e);

#endif
