/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clock.h: the time, for drivers; pure cores get it as an argument. */
#ifndef COMMON_SYS_CLOCK_H
#define COMMON_SYS_CLOCK_H

#include <stdint.h>

uint64_t clock_mono_ms(void); /* since some start; goes on during suspend */
uint64_t clock_mono_us(void);
int64_t clock_wall_ms(void); /* since 1970 */

#endif
