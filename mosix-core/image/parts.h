/* SPDX-License-Identifier: GPL-2.0-or-later */
/* parts.h: what capturing consists of, and restoring.
 * Must not know: who asks. */
#ifndef MOSIX_CORE_IMAGE_PARTS_H
#define MOSIX_CORE_IMAGE_PARTS_H

#include "mosix-core/image/capture.h"
#include "mosix-core/image/image.h"
#include "mosix-core/image/maps.h"
#include "mosix-core/image/threads.h"
#include "mosix-core/image/tracee.h"

#include <sys/ptrace.h>
#include <sys/stat.h>

/* Older headers lack it. */
#ifndef PTRACE_GET_RSEQ_CONFIGURATION
#define PTRACE_GET_RSEQ_CONFIGURATION 0x420f
struct __ptrace_rseq_configuration {
    uint64_t rseq_abi_pointer;
    uint32_t rseq_abi_size, signature, flags, pad;
};
#endif

/* A section that is kept: its views point into its own body. */
struct mx_kept {
    struct mx_sec s;
    uint8_t *body;
};

/* Prepares registers that were found while a call was interrupted. has_signal: one waits that
 * would be taken now. is_elsewhere: they are for another process, which has no note of the
 * kernel's of how to go on. Afterwards the kernel decides what becomes of the call: it is made
 * again, or ends with EINTR because of a signal. */
void mx_regs_interrupted(struct user_regs_struct *regs, bool has_signal, bool is_elsewhere);

/* Capturing: each writes its sections. */
MUST int mx_capture_process(const struct mx_tracee *t, const struct mx_clocks *ahead,
                            const struct mx_maps *m, struct mx_image_writer *w, struct err *e);
MUST int mx_capture_state(struct mx_capture *c, struct mx_image_writer *w, struct err *e);
/* without: one that is left out; 0: none. */
MUST int mx_capture_descriptors(const struct mx_tracee *t, int without,
                                struct mx_image_writer *w, struct err *e);

/* Signals that wait, without taking them: of the process, or of the thread. ptr: MX_PENDING_MAX
 * of them. */
MUST int mx_capture_peek(const struct mx_tracee *t, bool is_of_process, uint8_t *ptr,
                         uint32_t *len_bytes, struct err *e);
/* A restartable sequence that was interrupted begins anew. The kernel would see to that when
 * the thread goes on, but forgets about the sequence at the first call that we make in between.
 * So this comes before that. */
MUST int mx_capture_leave_sequence(struct mx_tracee *t, struct err *e);
/* Registers as they are for the process to go on here, in t->regs, and for another. */
MUST int mx_capture_fix(struct mx_tracee *t, struct user_regs_struct *elsewhere, struct err *e);

/* Threads besides the first. check: they share all that an image takes for shared. ask: what
 * only they can tell, in the scratch memory of first. write: their sections. */
MUST int mx_capture_check_threads(const struct mx_capture *c, struct err *e);
MUST int mx_capture_ask_threads(struct mx_capture *c, struct err *e);
MUST int mx_capture_write_threads(struct mx_capture *c, struct mx_image_writer *w,
                                  struct err *e);

/* The letter of "State:" of /proc/PID/status; 0: there is none of this number. */
char mx_task_state(pid_t pid);

/* An open descriptor that may be one of an object of the process's own. */
struct mx_open {
    unsigned number, same_as;
    uint32_t flags;
    bool is_cloexec;
    uint64_t inode, offset;
    const char *path; /* as /proc/PID/fd has it */
    const struct stat *st;
};
/* numbers: all count of the process. Returns 1 when its section was written, 0 when it is none
 * of these. */
MUST int mx_capture_object(pid_t pid, const struct mx_open *o, const unsigned *numbers,
                           int count, struct mx_image_writer *w, struct err *e);
/* In the process that is to have them. above: numbers from here on are free. */
MUST int mx_restore_objects(const struct mx_kept *objects, uint32_t count, int above,
                            struct err *e);

/* Could it be moved, as far as that is seen outside of its memory? */
MUST int mx_capture_check(const struct mx_capture *c, struct err *e);
/* As far as its POSIX timers say. */
MUST int mx_timers_look(pid_t pid, enum mx_capture_for what_for, struct err *e);
/* Its section, if it has any; and making those of a section in a fresh process. With scratch
 * memory. */
MUST int mx_timers_write(struct mx_tracee *t, struct mx_image_writer *w, struct err *e);
MUST int mx_timers_put(struct mx_tracee *t, const struct mx_sec_posix_timers *s, struct err *e);
/* Where it makes calls. */
MUST int mx_capture_find_call(struct mx_tracee *t, const struct mx_maps *m, struct err *e);
/* It stands outside of its vdso: before its memory is read. */
MUST int mx_capture_leave_vdso(struct mx_capture *c, const struct mx_maps *m, struct err *e);
/* Registers and state: from here to the end of its calls nobody may kill us, so what is written
 * meanwhile is held. */
MUST int mx_capture_rest(struct mx_capture *c, struct mx_image_writer *w, struct err *e);

/* Only one may trace a process: its number, and that one's. */
#define MX_TRACED_WORDS "process %d is traced by process %llu, a debugger or the like"

/* "Name:\tvalue" of /proc/PID/status: the value as a number in base. Returns 0; -ENODATA when
 * there is no such line. */
MUST int mx_status_number(pid_t pid, const char *name, int base, uint64_t *value,
                          struct err *e);

/* Nothing is written into its memory any more when it, or one of its other threads (NULL: it
 * has none), goes on (empty.c). */
MUST int mx_tracee_drop_areas(struct mx_tracee *t, struct mx_threads *others, struct err *e);

/* It stands still without any memory but the kernel's own from then on, and can make calls
 * (empty.c); others: its other threads, which stand still too; NULL: it has none. After a
 * failure some may be gone. */
MUST int mx_tracee_empty(struct mx_tracee *t, struct mx_threads *others, struct err *e);
/* The same, but mappings that are in one of these stay. */
struct mx_range {
    uint64_t start, end;
};
MUST int mx_tracee_empty_but(struct mx_tracee *t, struct mx_threads *others,
                             const struct mx_range *keep, unsigned count, struct err *e);

/* BLAKE2b of the code that the kernel maps into each process. */
MUST int mx_vdso_sum(const struct mx_tracee *t, const struct mx_maps *m,
                     uint8_t sum[MX_SECTION_SUM_BYTES], struct err *e);

/* Restoring: opens what a descriptor section names, in the process that is to have it; or
 * instead of it the file, of which only the way of opening is as it was. */
MUST int mx_restore_descriptor(const struct mx_sec_descriptor *d, const char *instead,
                               struct err *e);
/* Puts what the section says into the stopped process. Timers: of real time only if one is
 * left. */
MUST int mx_restore_state(struct mx_tracee *t, const struct mx_sec *s, struct err *e);
/* Signals wait again for the process tgid, or for the thread t, of which all are blocked. */
MUST int mx_restore_pending(struct mx_tracee *t, pid_t tgid, struct bytes pending,
                            bool is_of_process, struct err *e);
/* A thread that gets another number than it had: robust is its list of robust mutexes. Returns
 * 0; -ENOTSUP when it holds one, which could never be unlocked or found to have no owner. */
MUST int mx_restore_other_number(const struct mx_tracee *t, uint64_t robust, struct err *e);
/* t, the first, makes the thread that the section says, which stands still and is added to
 * threads. Returns 1 when it has the number that it had, 0 when it has another. */
MUST int mx_restore_thread(struct mx_tracee *t, const struct mx_sec_sibling *s,
                           struct mx_threads *threads, struct err *e);
/* The same of a stub, whose thread is among threads already. */
MUST int mx_restore_stub_thread(struct mx_tracee *t, const struct mx_sec_sibling *s,
                                struct mx_threads *threads, struct err *e);
/* The kernel forgets where the thread that makes the call has its rseq area. */
MUST int mx_tracee_drop_rseq(struct mx_tracee *t, struct err *e);
/* The next process or thread of our PID namespace gets this number, if it is free and nobody
 * makes one meanwhile. Returns whether that could be said: it needs rights in the namespace. */
bool mx_next_number(pid_t number);

#endif
