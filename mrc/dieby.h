/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dieby.h: the end by a signal that another process had.
 * Must not know: whose. */
#ifndef MRC_DIEBY_H
#define MRC_DIEBY_H

/* Dies as the job died, so that whoever waits for us sees the same; without a core, which is
 * the job's. Returns 128 + number if that signal does not kill. */
int mrc_die_by(int number);

#endif
