/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rules.h: what the administrator has said of this node (mosctl block, maxguests, ...), kept in
 * a file, so that it is so after a restart, too. Must not know: who may say it, what follows.
 */
#ifndef MOSIX_CORE_MOSIXD_RULES_H
#define MOSIX_CORE_MOSIXD_RULES_H

#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct mx_rules {
#define RULE(name, value, largest, help) uint32_t name;
#include "mosix-core/mosixd/rules.def"
#undef RULE
};

enum { MX_RULES_TEXT_MAX = 512 };

/* What counts when nothing was said. */
void mx_rules_init(struct mx_rules *r);
/* Returns 0; -ENOENT, -ERANGE with words: nothing has changed. */
MUST int mx_rules_set(struct mx_rules *r, const char *name, uint64_t value, struct err *e);
/* A file of lines "name value"; one that is not there says nothing. Returns 0; -EINVAL with the
 * line; or the error of reading: then r is what counts when nothing was said. */
MUST int mx_rules_read(struct mx_rules *r, const char *path, struct err *e);
MUST int mx_rules_write(const struct mx_rules *r, const char *path, struct err *e);
/* One after the other: NULL after the last. */
const char *mx_rules_name(unsigned index);
uint32_t mx_rules_value(const struct mx_rules *r, unsigned index);

#endif
