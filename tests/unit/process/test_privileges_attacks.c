/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What hostile code of a plugin tries in a worker, and in a fork server: all of it is refused.
 *
 * A scene has the processes of an engine: the supervisor (process 1 of a PID namespace, root), a queue process that owns
 * a queue, a fork server, a worker of another queue, and the hostile worker. Each attack runs in a child of the hostile
 * process, so one that gets through does not hide the next. Then the supervisor looks whether the others still run.
 * The queue's socket is left to the hostile process, which an engine does not do.
 */
#include "rights.h"

#include "base/arith.h"
#include "process/privileges_plan.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define FIRST (RIGHTS_UID + 2000)
#define LAST (FIRST + 99)
#define DIRECTORY "/mnt" /* a file system of the scene's own */
#define SECRET DIRECTORY "/root-only"
#define SETUID_COPY DIRECTORY "/setuid-copy"

static struct scene {
    struct privileges_plan plan;
    pid_t queue;
    pid_t forkserver;
    pid_t sibling;
    int queue_socket;
    unsigned got_through;
    bool attacked; /* all attacks were tried, */
    bool finished; /* and the signals to all processes, too */
} *scene; /* shared by all of it */

static struct error error;

/* ---- attacks on the own rights: whether one gets through ------------------------------------------------------- */

static bool take_uid_of_root(void)
{
    const gid_t groups[] = {0};

    if (setresuid(0, 0, 0) == 0 || setuid(0) == 0 || setresgid(0, 0, 0) == 0 || setgroups(1, groups) == 0) {
        return true;
    }
    syscall(SYS_setfsuid, 0);
    return syscall(SYS_setfsuid, -1) == 0;
}

static bool take_uid_of_queue_process(void)
{
    uid_t uid = privileges_queue_uid(&scene->plan, 0);

    return setresuid(uid, uid, uid) == 0;
}

static bool take_uid_of_sibling(void)
{
    uid_t uid = privileges_worker_uid(&scene->plan, 0, 1, 0, 0);

    return setresuid(uid, uid, uid) == 0 || setreuid(uid, uid) == 0 || setuid(uid) == 0;
}

/* The first one after those of this generation. */
static bool take_uid_of_another_generation(void)
{
    uid_t uid = privileges_worker_uid(&scene->plan, 1, 0, 0, 0) - 1;

    return setresuid(uid, uid, uid) == 0;
}

static bool take_capabilities(void)
{
    if (prctl(PR_SET_SECUREBITS, 0) == 0 || prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0) {
        return true;
    }
    for (unsigned i = 0; i <= CAP_LAST_CAP; i++) {
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) == 0 || prctl(PR_CAPBSET_READ, i, 0, 0, 0) != 0) {
            return true;
        }
    }
    capng_clear(CAPNG_SELECT_BOTH);
    capng_updatev(CAPNG_ADD, CAPNG_PERMITTED | CAPNG_EFFECTIVE, CAP_NET_ADMIN, -1);
    return capng_apply(CAPNG_SELECT_CAPS) == 0;
}

/* The copy says by its exit status whether it has more rights. */
static bool execute_set_user_id_program(void)
{
    execl(SETUID_COPY, SETUID_COPY, "rights", (char *)NULL);
    return false;
}

static bool raise_limits(void)
{
    const struct rlimit more = {RLIM_INFINITY, RLIM_INFINITY};
    const struct sched_param real_time = {1};

    return setrlimit(RLIMIT_CORE, &more) == 0 || setpriority(PRIO_PROCESS, 0, -1) == 0 ||
           sched_setscheduler(0, SCHED_RR, &real_time) == 0;
}

static bool raise_process_limit(void)
{
    unsigned limit = privileges_worker_processes(&scene->plan);
    const struct rlimit more = {limit + 1, limit + 1};

    return setrlimit(RLIMIT_NPROC, &more) == 0;
}

static bool make_namespaces(void)
{
    return unshare(CLONE_NEWUSER) == 0 || unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWNS) == 0 ||
           mount("tmpfs", DIRECTORY, "tmpfs", 0, NULL) == 0;
}

static bool write_sysctls(void)
{
    return open("/proc/sys/user/max_user_namespaces", O_WRONLY) >= 0 ||
           open("/proc/sys/kernel/core_pattern", O_WRONLY) >= 0;
}

/* ---- attacks on the kernel's queue and on files ---------------------------------------------------------------- */

static bool use_netlink(void)
{
    return rights_bind_queue(rights_open_netlink()) != -EPERM || rights_send_verdict(rights_open_netlink()) != -EPERM;
}

static bool use_netlink_socket_of_queue_process(void)
{
    return rights_bind_queue(scene->queue_socket) != -EPERM || rights_send_verdict(scene->queue_socket) != -EPERM;
}

static bool read_files_of_root(void)
{
    return open("/etc/shadow", O_RDONLY) >= 0 || open(SECRET, O_RDONLY) >= 0 || unlink(SECRET) == 0 ||
           chmod(SECRET, 0666) == 0;
}

/* ---- attacks on other processes -------------------------------------------------------------------------------- */

static bool signals(pid_t pid)
{
    int process = pidfd_open(pid, 0);

    return kill(pid, 0) == 0 || kill(pid, SIGSTOP) == 0 || kill(pid, SIGKILL) == 0 ||
           pidfd_send_signal(process, SIGKILL, NULL, 0) == 0;
}

static bool slows_down(pid_t pid)
{
    const struct rlimit none = {0, 0};
    const struct sched_param batch = {0};
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(0, &set);
    return prlimit(pid, RLIMIT_NOFILE, &none, NULL) == 0 || setpriority(PRIO_PROCESS, (id_t)pid, 19) == 0 ||
           sched_setscheduler(pid, SCHED_BATCH, &batch) == 0 || sched_setaffinity(pid, sizeof(set), &set) == 0;
}

static bool opens(pid_t pid, const char *name)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    return open(path, O_RDONLY) >= 0;
}

static bool looks_into(pid_t pid)
{
    char byte;
    const struct iovec local = {&byte, 1};
    const struct iovec remote = {(void *)(uintptr_t)&scene, 1}; /* all processes are forks of one: it is there */
    int process = pidfd_open(pid, 0);

    return ptrace(PTRACE_SEIZE, pid, 0, 0) == 0 || ptrace(PTRACE_ATTACH, pid, 0, 0) == 0 ||
           process_vm_readv(pid, &local, 1, &remote, 1, 0) == 1 || pidfd_getfd(process, scene->queue_socket, 0) >= 0 ||
           opens(pid, "mem") || opens(pid, "environ") || opens(pid, "maps") || opens(pid, "fd") || opens(pid, "ns/net");
}

static bool signal_trusted(void)
{
    return signals(1) || signals(scene->queue);
}

static bool slow_down_trusted(void)
{
    return slows_down(1) || slows_down(scene->queue);
}

static bool look_into_trusted(void)
{
    return looks_into(1) || looks_into(scene->queue);
}

static bool signal_siblings(void)
{
    return signals(scene->sibling) || signals(scene->forkserver);
}

static bool slow_down_siblings(void)
{
    return slows_down(scene->sibling) || slows_down(scene->forkserver);
}

static bool look_into_siblings(void)
{
    return looks_into(scene->sibling) || looks_into(scene->forkserver);
}

/* ---- the scene ------------------------------------------------------------------------------------------------- */

#define BY_FORKSERVER 1 /* refused to a fork server, too */
#define OWN_UID 2       /* refused only where each worker has a uid of its own */

#define ATTACK(function, flags)                                                                                        \
    {                                                                                                                  \
        #function, function, flags                                                                                     \
    }

static const struct attack {
    const char *name;
    bool (*gets_through)(void);
    unsigned flags;
} attacks[] = {
    ATTACK(take_uid_of_root, BY_FORKSERVER),
    ATTACK(take_uid_of_queue_process, BY_FORKSERVER),
    ATTACK(take_uid_of_sibling, OWN_UID),
    ATTACK(take_uid_of_another_generation, BY_FORKSERVER | OWN_UID),
    ATTACK(take_capabilities, BY_FORKSERVER),
    ATTACK(execute_set_user_id_program, BY_FORKSERVER),
    ATTACK(raise_limits, BY_FORKSERVER),
    ATTACK(raise_process_limit, 0),
    ATTACK(make_namespaces, BY_FORKSERVER | OWN_UID),
    ATTACK(write_sysctls, BY_FORKSERVER),
    ATTACK(use_netlink, BY_FORKSERVER),
    ATTACK(use_netlink_socket_of_queue_process, BY_FORKSERVER),
    ATTACK(read_files_of_root, BY_FORKSERVER),
    ATTACK(signal_trusted, BY_FORKSERVER),
    ATTACK(slow_down_trusted, BY_FORKSERVER),
    ATTACK(look_into_trusted, BY_FORKSERVER),
    ATTACK(signal_siblings, OWN_UID),
    ATTACK(slow_down_siblings, OWN_UID),
    ATTACK(look_into_siblings, 0),
};

/* Runs the attacks that must be refused; without_flags: not those with one of them. */
static void attack_all(unsigned with_flags, unsigned without_flags)
{
    for (size_t i = 0; i < ARRAY_SIZE(attacks); i++) {
        int status;
        pid_t pid;

        if ((attacks[i].flags & with_flags) != with_flags || (attacks[i].flags & without_flags) != 0) {
            continue;
        }
        pid = fork();
        EXPECT(pid >= 0);
        if (pid == 0) {
            _exit(attacks[i].gets_through() ? 1 : 0);
        }
        EXPECT(waitpid(pid, &status, 0) == pid);
        if (status != 0) {
            fprintf(stderr, "%s: gets through, status %d\n", attacks[i].name, status);
            scene->got_through++;
        }
    }
    scene->attacked = true;
}

static void make_files(void)
{
    struct stat self;
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int to;
    int status;
    pid_t pid;

    EXPECT(mount("tmpfs", DIRECTORY, "tmpfs", 0, "mode=755") == 0);
    EXPECT(close(open(SECRET, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)) == 0);
    to = open(SETUID_COPY, O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
    EXPECT(fstat(from, &self) == 0);
    for (off_t copied = 0; copied < self.st_size;) {
        EXPECT(sendfile(to, from, &copied, (size_t)(self.st_size - copied)) > 0);
    }
    EXPECT(fchmod(to, 04755) == 0 && close(to) == 0);
    close(from);
    pid = fork(); /* who has no_new_privs not set gets the rights */
    if (pid == 0) {
        EXPECT(setresuid(RIGHTS_UID, RIGHTS_UID, RIGHTS_UID) == 0);
        execute_set_user_id_program();
    }
    EXPECT(waitpid(pid, &status, 0) == pid);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

static void become_queue_process(void)
{
    EXPECT(rights_bind_queue(scene->queue_socket) == 0);
    EXPECT(privileges_drop_queue(privileges_queue_uid(&scene->plan, 0), &error) == 0);
}

static void become_worker(unsigned queue)
{
    unsigned processes = privileges_worker_processes(&scene->plan);

    if (privileges_drop_worker(privileges_worker_uid(&scene->plan, 0, queue, 0, 0), processes, &error) != 0) {
        fprintf(stderr, "%s\n", error.text);
        _exit(1);
    }
}

static void become_sibling(void)
{
    become_worker(1);
}

/* The fork server with a sibling; then it is hostile itself, or starts a worker that is. */
static void run_forkserver(bool hostile)
{
    bool own = scene->plan.form == PRIVILEGES_NAMESPACE;
    pid_t worker;

    scene->forkserver = getpid();
    if (privileges_become_forkserver(&scene->plan, 0, &error) != 0) {
        fprintf(stderr, "%s\n", error.text);
        _exit(1);
    }
    scene->sibling = rights_start(become_sibling);
    if (hostile) {
        attack_all(BY_FORKSERVER, own ? 0 : OWN_UID);
        if (own) {
            kill(-1, SIGKILL);
        }
    } else {
        worker = fork();
        if (worker == 0) {
            become_worker(0);
            attack_all(0, own ? 0 : OWN_UID);
            EXPECT(own || kill(scene->sibling, 0) == 0); /* what falls: the engine says so at start */
            if (own) {
                kill(-1, SIGKILL);
                kill(0, SIGKILL);
            }
            _exit(0);
        }
        EXPECT(waitpid(worker, NULL, 0) == worker);
    }
    scene->finished = true;
    for (;;) {
        pause();
    }
}

/* Whether it runs: neither stopped nor traced nor dead. */
static bool is_running(pid_t pid)
{
    char path[64];
    char state = '-';
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (file != NULL) {
        EXPECT(fscanf(file, "%*d (%*[^)]) %c", &state) == 1);
        fclose(file);
    }
    return state == 'S' || state == 'R';
}

static void play(enum privileges_form form, bool hostile_forkserver)
{
    const struct privileges_range range = {FIRST, LAST};
    pid_t forkserver;

    scene = mmap(NULL, sizeof(*scene), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(scene != MAP_FAILED);
    make_files();
    if (privileges_plan_make(&range, 2, 1, &scene->plan, &error) != 0) {
        fprintf(stderr, "%s\n", error.text);
        _exit(1);
    }
    EXPECT(scene->plan.form <= form); /* it can be had here */
    scene->plan.form = form;
    scene->queue_socket = rights_open_netlink();
    scene->queue = rights_start(become_queue_process);
    forkserver = fork();
    if (forkserver == 0) {
        run_forkserver(hostile_forkserver);
    }
    while (!scene->finished && is_running(forkserver)) {
        usleep(1000);
    }
    EXPECT(scene->finished && scene->attacked);
    EXPECT(scene->got_through == 0);
    EXPECT(privileges_check(scene->queue, privileges_queue_uid(&scene->plan, 0), PRIVILEGES_CAPABILITY(CAP_NET_ADMIN),
                            &error) == 0);
    EXPECT(is_running(scene->queue) && is_running(scene->sibling) && is_running(forkserver));
    EXPECT(rights_send_verdict(scene->queue_socket) == -ENOENT); /* the queue is there */
}

static void attack_from_worker(void)
{
    play(PRIVILEGES_NAMESPACE, false);
}

static void attack_from_forkserver(void)
{
    play(PRIVILEGES_NAMESPACE, true);
}

static void attack_from_worker_with_one_uid(void)
{
    play(PRIVILEGES_ONE_UID, false);
}

static void attack_from_forkserver_with_one_uid(void)
{
    play(PRIVILEGES_ONE_UID, true);
}

static void test_hostile_worker_reaches_no_other_process_and_no_right(void **state)
{
    (void)state;
    assert_int_equal(rights_run_in_namespaces(attack_from_worker), 0);
}

static void test_hostile_fork_server_reaches_its_workers_alone(void **state)
{
    (void)state;
    assert_int_equal(rights_run_in_namespaces(attack_from_forkserver), 0);
}

static void test_with_one_uid_a_hostile_worker_gets_no_right_and_looks_into_no_process(void **state)
{
    (void)state;
    assert_int_equal(rights_run_in_namespaces(attack_from_worker_with_one_uid), 0);
}

static void test_with_one_uid_a_hostile_fork_server_gets_no_right(void **state)
{
    (void)state;
    assert_int_equal(rights_run_in_namespaces(attack_from_forkserver_with_one_uid), 0);
}

/* As the set-user-ID copy: whether it has the rights of root. */
static int has_rights(void)
{
    return geteuid() == 0 || getuid() == 0 || privileges_check(0, getuid(), 0, &error) != 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hostile_worker_reaches_no_other_process_and_no_right),
        cmocka_unit_test(test_hostile_fork_server_reaches_its_workers_alone),
        cmocka_unit_test(test_with_one_uid_a_hostile_worker_gets_no_right_and_looks_into_no_process),
        cmocka_unit_test(test_with_one_uid_a_hostile_fork_server_gets_no_right),
    };

    if (argc == 2 && strcmp(argv[1], "rights") == 0) {
        return has_rights();
    }
    return cmocka_run_group_tests_name("privileges_attacks", tests, NULL, NULL);
}
