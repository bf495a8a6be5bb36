/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image_fixture.h: one sensible section of each number, for tests.
 * Must not know: which test. */
#ifndef TESTS_UNIT_MOSIX_IMAGE_FIXTURE_H
#define TESTS_UNIT_MOSIX_IMAGE_FIXTURE_H

#include "mosix-core/image/form/sections.h"

/* In an order in which they may come; the end's sum is zero. Returns how many. */
unsigned image_fixture(struct mx_sec sections[MX_SECTIONS_END]);

#endif
