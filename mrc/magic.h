/* SPDX-License-Identifier: GPL-2.0-or-later */
/* magic.h: what the agent writes before the first byte of the session, so that whatever a login
 * script prints can be skipped. Must not know: anything. */
#ifndef MRC_MAGIC_H
#define MRC_MAGIC_H

#define MRC_AGENT_MAGIC "\n\001mrc-agent-1 6f1d9c52\002\n"

#endif
