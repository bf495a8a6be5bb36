/* SPDX-License-Identifier: GPL-2.0-or-later */
/* wire_errors.h: error numbers that mean the same on every architecture.
 * Must not know: who sends them. Source: common/base/wire_errors.def. */
#ifndef COMMON_BASE_WIRE_ERRORS_H
#define COMMON_BASE_WIRE_ERRORS_H

#include <stdint.h>

/* Maps 0 to 0 and a negative errno to its wire number; one that has none becomes EIO's. */
uint32_t wire_error_from(int negative_errno);

/* Maps 0 to 0 and a wire number to a negative errno; an unknown one becomes -EIO. */
int wire_error_to(uint32_t wire);

#endif
