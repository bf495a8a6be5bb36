/* SPDX-License-Identifier: GPL-2.0-or-later */
/* texts.h: an array of texts that ends with NULL (arguments, environment) as bytes, and back.
 * Must not know: what they are for. Asked: u32 count, each text as bytes. */
#ifndef MOSIX_CORE_ABI_TEXTS_H
#define MOSIX_CORE_ABI_TEXTS_H

#include "common/base/wire.h"

struct mx_call_memory;

/* Puts the texts at address of the body's memory. Returns 0; -EFAULT; -E2BIG when w has no room
 * for them. */
MUST int mx_texts_put(struct wr *w, const struct mx_call_memory *m, uint64_t address);

/* Lays out what mx_texts_put made in room_bytes at arena, whose address is base: the pointers
 * first. Returns how many bytes it needs, -EPROTO. */
MUST int64_t mx_texts_take(struct bytes in, uint8_t *arena, uint32_t room_bytes, uint64_t base);

#endif
