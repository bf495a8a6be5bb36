/* SPDX-License-Identifier: GPL-2.0-or-later */
/* answer.h: an answer in JSON that grows in memory, written field by field.
 * Must not know: what is answered. Keys are ours and need no escapes; texts are made plain
 * ASCII, because they come from files, programs and other nodes. */
#ifndef MOSIX_CORE_MOSIXD_ANSWER_H
#define MOSIX_CORE_MOSIXD_ANSWER_H

#include "common/base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mx_answer {
    char *ptr;
    size_t len_bytes, room_bytes, max_bytes;
    bool is_full, has_field; /* did not fit; a comma is due */
};

/* key NULL: of a list, or the whole. */
void mx_answer_open(struct mx_answer *a, const char *key, char bracket);
void mx_answer_close(struct mx_answer *a, char bracket);
void mx_answer_number(struct mx_answer *a, const char *key, int64_t value);
void mx_answer_bool(struct mx_answer *a, const char *key, bool value);
void mx_answer_text(struct mx_answer *a, const char *key, const char *text); /* NULL: null */
void mx_answer_null(struct mx_answer *a, const char *key);
/* null when it is not there. */
void mx_answer_maybe(struct mx_answer *a, const char *key, bool is_there, int64_t value);

#endif
