/* SPDX-License-Identifier: GPL-2.0-or-later */
/* escape.c: what a hostile guest may try, an attempt a line: each in a child of its own, and
 * what became of it is printed. Run at home and away: the same is printed, as all of it happens
 * at home or not at all. Must not know: which of the two it is. Usage: escape VICTIM
 * [memory|processes]; VICTIM: a process of the host's. Waits for a line. */
#include "common/base/attr.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { KEY = 0x65736370, PORT = 7799, OURS = 0x4d784f75 /* of mosix-core/guest/filter.h */ };

static pid_t victim;

static long of(const char *path, int flags)
{
    return syscall(SYS_openat, AT_FDCWD, path, flags, 0600);
}

/* ---- files ---- */

static long host_file(void)
{
    return of("/tmp/only-on-the-host", O_RDONLY);
}
static long host_file_by_proc(void)
{
    return of("/proc/1/root/tmp/only-on-the-host", O_RDONLY);
}
static long host_file_by_dots(void)
{
    return of("/proc/self/cwd/../../../../../../../tmp/only-on-the-host", O_RDONLY);
}
static long host_file_changed(void)
{
    return truncate("/tmp/only-on-the-host", 0);
}
static long supervisors_descriptors(void)
{
    long found = 0;
    char path[64];
    for (int i = 0; i < 64; i++) {
        snprintf(path, sizeof path, "/proc/%d/fd/%d", getppid(), i);
        found += of(path, O_RDWR | O_NOCTTY) >= 0 && i > 2;
    }
    return found;
}
static long own_descriptors(void)
{
    long found = 0;
    for (int i = 3; i < 1024; i++)
        found += fcntl(i, F_GETFD) >= 0;
    return found;
}
/* The number of the listener of its own filter, whatever it is. */
static long answering_itself(void)
{
    char note[80];
    long found = 0;
    for (int i = 3; i < 256; i++) {
        memset(note, 0, sizeof note);
        found += ioctl(i, 0xc0502100UL /* SECCOMP_IOCTL_NOTIF_RECV */, note) == 0;
    }
    return found;
}
static long fetch_descriptor(void)
{
    long fd = syscall(SYS_pidfd_open, victim, 0);
    return syscall(SYS_pidfd_getfd, fd, 0, 0);
}
static long by_handle(void)
{
    struct {
        unsigned bytes;
        int type;
        char handle[128];
    } h = { 8, 1, { 2 } };
    return syscall(SYS_open_by_handle_at, AT_FDCWD, &h, O_RDONLY);
}
static long device(void)
{
    return of("/dev/mem", O_RDWR);
}
static long make_device(void)
{
    return mknod("/tmp/escape.device", S_IFCHR | 0600, 0x101);
}
static long root_directory(void)
{
    return chroot("/tmp");
}
static long mounting(void)
{
    return mount("none", "/mnt", "tmpfs", 0, NULL);
}
static long unmounting(void)
{
    return umount2("/proc", MNT_DETACH);
}
static long new_mount_calls(void)
{
    return syscall(428 /* open_tree */, AT_FDCWD, "/", 1);
}

/* ---- processes ---- */

static long kill_victim(void)
{
    return kill(victim, SIGKILL);
}
static long kill_by_pidfd(void)
{
    long fd = syscall(SYS_pidfd_open, victim, 0);
    return syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
}
static long trace_victim(void)
{
    return ptrace(PTRACE_SEIZE, victim, 0, 0);
}
static long read_victim(void)
{
    char here[8];
    struct iovec local = { here, 8 }, remote = { (void *)0x10000, 8 };
    return process_vm_readv(victim, &local, 1, &remote, 1, 0);
}
static long write_victim(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", victim);
    return of(path, O_RDWR);
}
static long limit_victim(void)
{
    struct rlimit none = { 0, 0 };
    return prlimit(victim, RLIMIT_CPU, &none, NULL);
}
static long slow_victim(void)
{
    return setpriority(PRIO_PROCESS, (id_t)victim, 19);
}
/* By the way that is the supervisor's own. In its namespace the supervisor is the first
 * process, and its own number is known. What the results are is not the same at home. */
static long signals_by_the_back_door(void)
{
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_code = SI_QUEUE;
    for (int signo = 1; signo <= 64; signo++) {
        info.si_signo = signo;
        for (pid_t to = -1; to <= 3; to++)
            if (to != getpid())
                syscall(SYS_rt_tgsigqueueinfo, to, to, signo, &info, 0, OURS);
    }
    info.si_code = 0; /* as the kernel's own */
    return syscall(SYS_rt_tgsigqueueinfo, victim, victim, SIGKILL, &info, 0, OURS) == 0;
}
static long robust_list_of_the_first(void)
{
    void *list;
    size_t bytes;
    return syscall(SYS_get_robust_list, 1, &list, &bytes) == 0;
}
static long be_first(void)
{
    return prctl(PR_SET_CHILD_SUBREAPER, 1) + prctl(PR_SET_PTRACER, -1);
}

/* ---- namespaces, rights ---- */

static int nothing(void *ctx UNUSED)
{
    _exit(of("/tmp/only-on-the-host", O_RDONLY) < 0 ? 0 : 9);
}
static long in_namespaces(int flags)
{
    static char stack[64 << 10];
    int status = 0;
    int pid = clone(nothing, stack + sizeof stack, flags | SIGCHLD, NULL);
    if (pid < 0)
        return -1;
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status) == 9;
}
static long user_namespace(void)
{
    return in_namespaces(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID) > 0;
}
static long net_namespace(void)
{
    return in_namespaces(CLONE_NEWNET);
}
static long clone3_flags(void)
{
    struct clone_args a = { .flags = CLONE_NEWPID | CLONE_NEWNS, .exit_signal = SIGCHLD };
    return syscall(SYS_clone3, &a, sizeof a);
}
static long clone3_number(void)
{
    pid_t number = 1;
    struct clone_args a = { .exit_signal = SIGCHLD,
                            .set_tid = (uint64_t)(uintptr_t)&number,
                            .set_tid_size = 1 };
    return syscall(SYS_clone3, &a, sizeof a);
}
static long clone3_cgroup(void)
{
    struct clone_args a = { .flags = 0x200000000ULL, .exit_signal = SIGCHLD, .cgroup = 99 };
    return syscall(SYS_clone3, &a, sizeof a);
}
static long leave_namespaces(void)
{
    return unshare(CLONE_NEWNS | CLONE_NEWIPC);
}
static long enter_namespaces(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/mnt", victim);
    return setns((int)of(path, O_RDONLY), CLONE_NEWNS);
}
static long become_root(void)
{
    return setresuid(0, 0, 0);
}
static long become_the_host(void)
{
    return setresuid(65534, 65534, 65534);
}
static long all_rights(void)
{
    struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct all[2] = { { ~0U, ~0U, ~0U }, { ~0U, ~0U, ~0U } };
    return syscall(SYS_capset, &head, all);
}
static long filter_of_its_own(void)
{
    return syscall(SYS_seccomp, 1, 8 /* a listener */, NULL);
}

/* ---- the kernel ---- */

static long raw_int80(long number, long argument)
{
    long rc;
    __asm__ volatile("int $0x80" : "=a"(rc) : "a"(number), "b"(argument) : "memory");
    return rc;
}
static long int80_kill(void)
{
    long rc = raw_int80(37, victim); /* with signal ecx, which says nothing: it is no process */
    return rc == 0 ? 0 : -1;
}
static long int80_nothing(void)
{
    return raw_int80(1000, 0);
}
static long x32_open(void)
{
    return syscall(0x40000000 | SYS_open, "/tmp/only-on-the-host", O_RDONLY);
}
static long io_uring(void)
{
    unsigned p[30] = { 0 };
    long fd = syscall(425, 4, p);
    return fd < 0 ? -1 : 0;
}
static long bpf_program(void)
{
    char attr[128] = "";
    return syscall(SYS_bpf, 5, attr, sizeof attr);
}
static long perf(void)
{
    char attr[128] = "";
    attr[4] = 112;
    return syscall(SYS_perf_event_open, attr, victim, -1, -1, 0);
}
static long fault_handler(void)
{
    return syscall(SYS_userfaultfd, 0x800000 /* no such flag */);
}
static long keyring(void)
{
    return syscall(SYS_keyctl, 0, -5 /* of this group */, 0);
}
static long add_key(void)
{
    return syscall(SYS_add_key, "no-such-type", "escape", "x", 1, -3);
}
static long load_module(void)
{
    return syscall(SYS_init_module, "", 0, "");
}
static long new_kernel(void)
{
    return syscall(SYS_kexec_load, 0, 0, NULL, 0);
}
static long restart(void)
{
    return syscall(SYS_reboot, 0, 0, 0, NULL);
}
static long ports(void)
{
    return syscall(SYS_iopl, 3);
}
static long host_name(void)
{
    return sethostname("escaped", 7);
}
static long host_time(void)
{
    struct timespec t = { 0, 0 };
    return clock_settime(CLOCK_REALTIME, &t);
}
static long swapping(void)
{
    return syscall(SYS_swapon, "/tmp/only-on-the-host", 0);
}
static long accounting(void)
{
    return syscall(SYS_acct, "/tmp/only-on-the-host");
}
static long kernel_log(void)
{
    return syscall(SYS_syslog, 5, NULL, 0);
}
static long real_time(void)
{
    struct sched_param p = { .sched_priority = 50 };
    return sched_setscheduler(0, SCHED_FIFO, &p);
}
static long nicer(void)
{
    return setpriority(PRIO_PROCESS, 0, -20);
}
static long host_setting(void)
{
    return of("/proc/sys/kernel/core_pattern", O_WRONLY);
}

/* ---- others ---- */

static long abstract_socket(void)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    memcpy(a.sun_path + 1, "only-on-the-host", 16);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return connect(fd, (struct sockaddr *)&a, offsetof(struct sockaddr_un, sun_path) + 17);
}
static long host_network(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons(PORT),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    return connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&a, sizeof a);
}
static long raw_packets(void)
{
    return socket(AF_PACKET, SOCK_RAW, 0);
}
static long kernel_messages(void)
{
    return socket(AF_NETLINK, SOCK_RAW, 0) < 0 ? -1 : 0;
}
static long shared_memory(void)
{
    return shmget(KEY, 4096, 0);
}
static long program_from_memory(void)
{
    char *none[] = { NULL };
    int fd = (int)syscall(SYS_memfd_create, "x", 0);
    if (write(fd, "#!/no-such-program\n", 19) != 19)
        return -2;
    return syscall(SYS_execveat, fd, "", none, none, AT_EMPTY_PATH);
}
static long code_written_over(void)
{
    return of("/proc/self/mem", O_RDWR) >= 0;
}
static long timers_of_the_host(void)
{
    struct itimerval t = { { 0, 0 }, { 1000, 0 } };
    return setitimer(ITIMER_VIRTUAL, &t, NULL);
}
static long grows_by_itself(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN,
                -1, 0) == MAP_FAILED;
}

/* ---- another thread changes what a call points to while it is looked at ---- */

static char raced[64];
static struct clone_args raced_args;
static volatile bool is_raced;

static void *race(void *ctx)
{
    static const char places[2][64] = { "/tmp/never-there-anywhere", "/tmp/only-on-the-host" };
    (void)ctx;
    for (unsigned i = 0; is_raced; i++) {
        memcpy(raced, places[i % 2], sizeof raced);
        raced_args.flags = i % 2 ? CLONE_VM | CLONE_VFORK : 0;
    }
    return NULL;
}
/* Which of the two is opened is nothing to the host either way. */
static long racing_path(void)
{
    pthread_t t;
    long found = 0;
    is_raced = true;
    if (pthread_create(&t, NULL, race, NULL) != 0)
        return -2;
    for (int i = 0; i < 200; i++)
        found += of(raced, O_RDONLY) >= 0;
    is_raced = false;
    pthread_join(t, NULL);
    return found;
}
/* A child that is one thing when it is judged, and another when it is made. */
static long racing_clone3(void)
{
    pthread_t t;
    long lost = 0;
    is_raced = true;
    raced_args.exit_signal = SIGCHLD;
    if (pthread_create(&t, NULL, race, NULL) != 0)
        return -2;
    for (int i = 0; i < 40; i++) {
        int status = -1;
        long pid = syscall(SYS_clone3, &raced_args, sizeof raced_args);
        if (pid == 0)
            syscall(SYS_exit_group, 42);
        lost += waitpid((pid_t)pid, &status, 0) != pid || !WIFEXITED(status) ||
                WEXITSTATUS(status) != 42;
    }
    is_raced = false;
    pthread_join(t, NULL);
    return lost;
}

static const struct {
    const char *name;
    long (*fn)(void);
} attempts[] = {
#define A(name)                                                                                \
    {                                                                                          \
#name, name                                                                            \
    }
    A(host_file),
    A(host_file_by_proc),
    A(racing_path),
    A(racing_clone3),
    A(host_file_by_dots),
    A(host_file_changed),
    A(supervisors_descriptors),
    A(own_descriptors),
    A(answering_itself),
    A(fetch_descriptor),
    A(by_handle),
    A(device),
    A(make_device),
    A(root_directory),
    A(mounting),
    A(unmounting),
    A(new_mount_calls),
    A(kill_victim),
    A(kill_by_pidfd),
    A(trace_victim),
    A(read_victim),
    A(write_victim),
    A(limit_victim),
    A(slow_victim),
    A(signals_by_the_back_door),
    A(robust_list_of_the_first),
    A(be_first),
    A(user_namespace),
    A(net_namespace),
    A(clone3_flags),
    A(clone3_number),
    A(clone3_cgroup),
    A(leave_namespaces),
    A(enter_namespaces),
    A(become_root),
    A(become_the_host),
    A(all_rights),
    A(filter_of_its_own),
    A(int80_kill),
    A(int80_nothing),
    A(x32_open),
    A(io_uring),
    A(bpf_program),
    A(perf),
    A(fault_handler),
    A(keyring),
    A(add_key),
    A(load_module),
    A(new_kernel),
    A(restart),
    A(ports),
    A(host_name),
    A(host_time),
    A(swapping),
    A(accounting),
    A(kernel_log),
    A(real_time),
    A(nicer),
    A(host_setting),
    A(abstract_socket),
    A(host_network),
    A(raw_packets),
    A(kernel_messages),
    A(shared_memory),
    A(program_from_memory),
    A(code_written_over),
    A(timers_of_the_host),
    A(grows_by_itself),
};

static int try_all(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(attempts); i++) {
        int status;
        pid_t pid = fork();
        if (pid == 0) {
            errno = 0;
            long rc = attempts[i].fn();
            dprintf(1, "%s: %ld %s\n", attempts[i].name, rc < 0 ? -1 : rc,
                    rc < 0 ? strerrorname_np(errno) : "");
            _exit(0);
        }
        if (waitpid(pid, &status, 0) != pid || status)
            dprintf(1, "%s: ended with %#x\n", attempts[i].name, (unsigned)status);
    }
    return 0;
}

/* ---- bombs ---- */

static int eat_memory(void)
{
    enum { PIECE = 4 << 20, PIECES = 64 };
    unsigned got = 0;
    for (; got < PIECES; got++) {
        char *p = mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            break;
        memset(p, 1, PIECE);
    }
    printf("%u of %u\n", got, (unsigned)PIECES);
    return 0;
}

/* All are there at once. */
static int make_processes(void)
{
    enum { COUNT = 12 };
    int gate[2], status;
    char c;
    unsigned good = 0;
    if (pipe(gate) < 0)
        return 1;
    for (int i = 0; i < COUNT; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            close(gate[1]);
            _exit(read(gate[0], &c, 1) != 0);
        }
        if (pid < 0)
            printf("fork: %s\n", strerrorname_np(errno));
    }
    if (getchar() != '\n')
        return 1;
    close(gate[1]);
    while (wait(&status) > 0)
        good += status == 0;
    printf("%u of %u\n", good, (unsigned)COUNT);
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[2] : "";
    victim = argc > 1 ? (pid_t)strtol(argv[1], NULL, 10) : 0;
    if (victim <= 0 || getchar() != '\n')
        return 2;
    return strcmp(what, "memory") == 0      ? eat_memory()
           : strcmp(what, "processes") == 0 ? make_processes()
                                            : try_all();
}
