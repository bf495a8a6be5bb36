/* SPDX-License-Identifier: GPL-2.0-or-later */
/* settings.h: what is noted of a process of a job beside its mark. Of mosrun's options it is in
 * the environment that the program began with, as text, so that children have it too; what is
 * changed later goes before it and is the process's own, in a file of the daemon's that is
 * worth nothing when the process has ended. Must not know: what settings are for. */
#ifndef MOSIX_CORE_MOSIXD_SETTINGS_H
#define MOSIX_CORE_MOSIXD_SETTINGS_H

#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MX_SETTINGS_VARIABLE "MOSIX_SETTINGS"

enum { MX_SETTINGS_TEXT_MAX = 256 };

struct mx_settings {
#define SETTING(name, largest, is_settable) uint32_t name;
#include "mosix-core/mosixd/settings.def"
#undef SETTING
};

/* "lock=1 memory=500": those that are not 0. Words that are not understood are skipped, and
 * what is not named stays as it is. */
void mx_settings_get(struct mx_settings *s, const char *text);
void mx_settings_put(const struct mx_settings *s, char text[MX_SETTINGS_TEXT_MAX]);

/* NULL when there is none of that name. */
uint32_t *mx_settings_find(struct mx_settings *s, const char *name);
/* Returns 0; -ENOENT when there is no such setting, or it isn't for users; -ERANGE. */
MUST int mx_settings_check(const char *name, unsigned long long value, struct err *e);

/* Of process pid, which need not be there any more: then nothing is noted. */
void mx_settings_read(struct mx_settings *s, const char *run_dir, pid_t pid);
/* Returns 0; -ESRCH; or the error of writing. */
MUST int mx_settings_change(const char *run_dir, pid_t pid, const char *name, uint32_t value,
                            struct err *e);
/* One more move is noted; s is what then counts. */
MUST int mx_settings_moved(const char *run_dir, pid_t pid, struct mx_settings *s,
                           struct err *e);
/* What was changed no longer counts. */
void mx_settings_forget(const char *run_dir, pid_t pid);
/* Takes away what is noted of processes that have ended. */
void mx_settings_clean(const char *run_dir);

/* The file of process pid. */
void mx_settings_path(const char *run_dir, pid_t pid, char path[128]);

#endif
