/* SPDX-License-Identifier: GPL-2.0-or-later */
/* faults.h: bodies whose faults are to be made at home, where the job's memory is dumped.
 * Must not know: home.
 * Such a body is traced all the time, as nobody but a tracer sees a process that a fault is
 * about to end; each of its signals costs two stops more. So only those are whose dumps home
 * wants. What is done to a body by tracing goes on as before (mx_body_catch). */
#ifndef MOSIX_CORE_GUEST_FAULTS_H
#define MOSIX_CORE_GUEST_FAULTS_H

#include "mosix-core/guest/parts.h"

/* From now on b is watched, if it is not. One that is held just now is not. */
void mx_faults_watch(struct mx_body *b);

/* A watched body may have stopped: it goes on with its signal, or has a fault that ends it and
 * asks to go home, where it will make the same. Returns 0 or -errno. */
MUST int mx_faults_look(struct guest *g, struct mx_body *b, struct err *e);

#endif
