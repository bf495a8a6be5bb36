/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mosix.h: what a program that mosrun has started can ask and wish about itself: mosix(3).
 * Each function asks the daemon of the program's home by ordinary system calls, so it is the
 * same wherever the program runs, and costs a connection. They return -1 with errno: ENOTCONN,
 * no daemon runs here; EINVAL, the program was not started by mosrun; ETIMEDOUT, the daemon
 * does not answer; and what is said below. Threads: all may be called at once. */
#ifndef MOSIX_CORE_LIB_MOSIX_H
#define MOSIX_CORE_LIB_MOSIX_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The name of the node where it runs: "home", or that of the map. Returns its length; -1 with
 * ENAMETOOLONG when size is too small. */
int mosix_where(char *name, size_t size);
/* The same as a numeric address; "0" at home. */
int mosix_address(char *address, size_t size);
/* The number of that node; 0 at home. */
int mosix_whereami(void);
/* How often it has moved since mosrun, or the fork that it comes from. */
long mosix_nmigs(void);

/* To be at node, a name, number or address, or "home". Returns 0 when it is there; -1 with
 * ECANCELED when it stays where it was, ENOENT when there is no such node, EBUSY when it moves
 * already. */
int mosix_migrate(const char *node);
/* Locked against automatic moves; by mosix_migrate and migrate(1) it moves all the same. */
int mosix_lock(void);
int mosix_unlock(void);
int mosix_islocked(void);
/* signo comes after each move; 0: none. Returns 0; -1 with ERANGE. */
int mosix_sigmig(int signo);

/* Writes a checkpoint, which mosrun -R makes it again of. Returns 0 when it is written, and 1
 * in the process that is made again of it. -1 with ENOTSUP when it has what can't be in one;
 * EBUSY when it is moving; EIO when it can't be written. file: where its name goes, or NULL. */
int mosix_checkpoint(char *file, size_t size);
/* One is made every so many seconds; 0: no more. */
int mosix_checkpoint_every(unsigned seconds);
/* So many are kept, then the oldest gives way; 0: all. */
int mosix_checkpoint_keep(unsigned files);

/* It will need so much memory, in MiB; 0: nothing is known. */
int mosix_needmem(unsigned mib);
/* It computes, whatever it calls: 1, or 0. */
int mosix_cpujob(int is_cpujob);
/* The number of its job. */
long mosix_jobid(void);

#ifdef __cplusplus
}
#endif

#endif
