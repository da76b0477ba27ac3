/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plugin_file_check() on files: which are refused, with which message, and what the copy is.
 *
 * The order of the checks is part of the promise, so that a person who corrects what a message says meets no earlier
 * check again. To make a system call fail, the check runs in a thread with a seccomp filter that refuses the call.
 *
 * Always: a check that fails leaves no descriptor open (attempt_done() counts them), and no file makes it hang: an
 * alarm ends the program after ALARM_SECONDS.
 */
#include "unit.h"

#include "abi_main.h"
#include "attempt.h"
#include "plugin/plugin_file.h"
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ALARM_SECONDS 50
#define DAMAGED "a truncated or damaged ELF file; copy or build it again"
#define NO_FILE "not a regular file; a plugin is a shared object (.so)"
#define SIGNAL_NS 70000 /* between two signals: so that some come within a copy */
#define CHECKS_UNDER_SIGNALS 1000
#define SIZE_LIMIT (256L * 1024 * 1024)
#define SOMEBODY 12345
#define SOMEBODY_ELSE 23456

static void expect_refusal(const char *path, int code, const char *message)
{
    assert_true(attempt_is_refused(path, NULL, ATTEMPT_CHECK, code, message));
}

static void expect_writable_file(const char *path)
{
    char message[PATH_MAX + 64];

    snprintf(message, sizeof(message), "anybody may write to it; run: chmod o-w %s", path);
    expect_refusal(path, -EACCES, message);
}

static void expect_writable_directory(const char *path, const char *directory)
{
    char message[2 * PATH_MAX + 64];

    snprintf(message, sizeof(message), "anybody may write to its directory %s; run: chmod o-w %s", directory,
             directory);
    expect_refusal(path, -EACCES, message);
}

/* ---- what kind of file ----------------------------------------------------------------------------- */

static void test_what_is_no_plugin_file_is_refused(void **state)
{
    const char *fifo = scratch_path("fifo.so");
    const char *dangling = scratch_path("dangling.so");

    (void)state;
    assert_int_equal(mkfifo(fifo, 0644), 0);
    assert_int_equal(symlink("/nowhere/at/all.so", dangling), 0);
    expect_refusal(scratch_path("missing.so"), -ENOENT, "cannot be opened: No such file or directory");
    expect_refusal(dangling, -ENOENT, "cannot be opened: No such file or directory");
    expect_refusal(scratch_directory("directory.so", 0755), -EINVAL, NO_FILE);
    expect_refusal(fifo, -EINVAL, NO_FILE);
    expect_refusal("/dev/null", -EINVAL, NO_FILE);
    expect_refusal(scratch_write("empty.so", "", 0), -ENOEXEC, "the file is empty");
    expect_refusal(scratch_write("byte.so", "x", 1), -ENOEXEC, "not an ELF file; a plugin is a shared object (.so)");
    expect_refusal(scratch_write("text.so", "text", 4), -ENOEXEC, "not an ELF file; a plugin is a shared object (.so)");
    expect_refusal(scratch_copy("no_section.so", "no_section"), -ENOENT,
                   "no section .nfqe_plugin: not a plugin of nfq-engine; it must use NFQE_PLUGIN(...)");
}

static void test_a_file_that_may_not_be_read_is_refused(void **state)
{
    const char *path = scratch_copy("unreadable.so", "good");
    bool is_root = geteuid() == 0;
    bool refused;

    (void)state;
    assert_int_equal(chmod(path, 0), 0);
    assert_int_equal(is_root ? seteuid(SOMEBODY) : 0, 0);
    refused = attempt_is_refused(path, NULL, ATTEMPT_CHECK, -EACCES, "cannot be opened: Permission denied");
    assert_int_equal(is_root ? seteuid(0) : 0, 0);
    assert_true(refused);
}

/* Every length up to 256 bytes, then a sample. */
static void test_a_truncated_file_is_refused_at_every_length(void **state)
{
    size_t len;
    char *data = scratch_read(scratch_built("good"), &len);

    (void)state;
    for (size_t cut = 4; cut < len; cut += cut < 256 ? 1 : len / 64) {
        expect_refusal(scratch_write("cut.so", data, cut), -ENOEXEC, DAMAGED);
    }
    expect_refusal(scratch_write("cut.so", data, len - 1), -ENOEXEC, DAMAGED);
    free(data);
}

/* A file in sysfs has fewer bytes than its size says, like a file that becomes shorter during the copy. */
static void test_a_file_that_is_shorter_than_its_size_is_refused(void **state)
{
    const char *path = "/sys/devices/system/cpu/online";
    struct stat status;

    (void)state;
    if (stat(path, &status) < 0 || status.st_size < 256) {
        print_message("skipped: no %s\n", path);
        skip();
    }
    expect_refusal(path, -EIO, "cannot be read: it became shorter");
}

/* ---- who may write to it --------------------------------------------------------------------------- */

static void test_a_file_that_anybody_may_write_to_is_refused_before_it_is_read(void **state)
{
    const char *path = scratch_write("writable.so", "no ELF", 6);

    (void)state;
    assert_int_equal(chmod(path, 0646), 0);
    expect_writable_file(path);
    assert_int_equal(chmod(path, 0664), 0); /* its group may */
    expect_refusal(path, -ENOEXEC, "not an ELF file; a plugin is a shared object (.so)");
}

static void test_every_directory_above_counts(void **state)
{
    const char *const directories[] = {scratch_directory("a", 0755), scratch_directory("a/b", 0755),
                                       scratch_directory("a/b/c", 0755)};
    const char *path = scratch_copy("a/b/c/good.so", "good");

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(chmod(directories[i], 0777), 0);
        expect_writable_directory(path, directories[i]);
        assert_int_equal(chmod(directories[i], 01777), 0); /* only its owner may replace the file */
        attempt_expect_success(path, NULL, "");
        assert_int_equal(chmod(directories[i], 0775), 0); /* its group may */
        attempt_expect_success(path, NULL, "");
    }
    assert_int_equal(chmod(path, 0646), 0);
    assert_int_equal(chmod(directories[2], 0777), 0);
    expect_writable_file(path); /* two flaws */
}

static void test_of_a_link_both_directories_count(void **state)
{
    const char *open_directory = scratch_directory("open", 0777);
    const char *inward = scratch_path("inward.so");
    const char *outward = scratch_path("open/outward.so");

    (void)state;
    scratch_copy("open/good.so", "good");
    assert_int_equal(symlink("open/good.so", inward), 0);
    assert_int_equal(symlink(scratch_copy("good.so", "good"), outward), 0);
    expect_writable_directory(inward, open_directory);
    expect_writable_directory(outward, open_directory);
    assert_int_equal(chmod(open_directory, 0755), 0);
    attempt_expect_success(inward, NULL, "");
    attempt_expect_success(outward, NULL, "");
}

static void expect_owner(const char *path, uid_t owner, bool foreign)
{
    struct plugin plugin = {.path = path};
    struct error error;

    assert_int_equal(plugin_file_check(&plugin, &error), 0);
    assert_int_equal(plugin.owner, owner);
    assert_int_equal(plugin.foreign_owner, foreign);
    plugin_file_close(&plugin);
}

static void test_a_file_of_another_user_is_accepted_and_marked(void **state)
{
    const char *path = scratch_copy("owned.so", "good");
    const char *others = scratch_copy("others.so", "good");
    const char *of_root = scratch_copy("of_root.so", "good");

    (void)state;
    expect_owner(path, geteuid(), false);
    if (geteuid() != 0) {
        print_message("skipped: needs root to give a file away\n");
        skip();
    }
    assert_int_equal(chown(path, SOMEBODY, (gid_t)-1), 0);
    assert_int_equal(chown(others, SOMEBODY_ELSE, (gid_t)-1), 0);
    expect_owner(path, SOMEBODY, true);
    assert_int_equal(chmod(scratch_path("."), 0755), 0);
    assert_int_equal(seteuid(SOMEBODY), 0);
    expect_owner(path, SOMEBODY, false);
    expect_owner(others, SOMEBODY_ELSE, true);
    expect_owner(of_root, 0, false);
    assert_int_equal(seteuid(0), 0);
}

/* ---- the copy -------------------------------------------------------------------------------------- */

/* What was checked is what runs, since nothing can change the copy. */
static void test_the_copy_is_equal_and_cannot_be_changed(void **state)
{
    struct plugin plugin = {.path = scratch_copy("plugin.so", "good")};
    const int all = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    struct error error;
    size_t len;
    char *data = scratch_read(plugin.path, &len);
    char *copy = malloc(len + 1);

    (void)state;
    assert_non_null(copy);
    assert_int_equal(plugin_file_check(&plugin, &error), 0);
    assert_int_equal(pread(plugin.memfd, copy, len + 1, 0), len);
    assert_memory_equal(copy, data, len);
    assert_int_equal(fcntl(plugin.memfd, F_GET_SEALS) & all, all);
    assert_int_equal(fcntl(plugin.memfd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(pwrite(plugin.memfd, "x", 1, 0), -1);
    assert_int_equal(ftruncate(plugin.memfd, 0), -1);
    plugin_file_close(&plugin);
    assert_int_equal(plugin.memfd, -1);
    free(copy);
    free(data);
}

/* Bytes of files that this process has mapped: a plugin, or its copy. The heap may grow. */
static size_t mapped_bytes(void)
{
    static char text[256 * 1024];
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    size_t bytes = 0;
    ssize_t part;

    assert_true(fd >= 0);
    while ((part = read(fd, text + len, sizeof(text) - 1 - len)) > 0) {
        len += (size_t)part;
    }
    close(fd);
    text[len] = '\0';
    for (const char *line = text; line != NULL && line[0] != '\0'; line = strchr(line, '\n') + 1) {
        char *end;
        uintptr_t first = strtoul(line, &end, 16);
        uintptr_t last = strtoul(end + 1, &end, 16);
        unsigned long inode = 0;

        assert_int_equal(sscanf(end, " %*s %*s %*s %lu", &inode), 1);
        bytes += inode != 0 ? last - first : 0;
    }
    return bytes;
}

/* The file ends at the end of a page, so a mapping that is one byte too long or too short differs by a page. */
static void note_nothing(int number)
{
    (void)number;
}

/* The kernel ends a copy early if the process has a signal to handle. */
static void test_a_signal_while_a_file_is_copied_changes_nothing(void **state)
{
    const struct sigaction action = {.sa_handler = note_nothing}; /* without SA_RESTART */
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    const struct itimerspec period = {{0, SIGNAL_NS}, {0, SIGNAL_NS}};
    struct plugin plugin = {.path = scratch_copy("plugin.so", "good")};
    struct error error;
    timer_t timer;

    (void)state;
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
    assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    assert_int_equal(timer_settime(timer, 0, &period, NULL), 0);
    for (unsigned i = 0; i < CHECKS_UNDER_SIGNALS; i++) {
        assert_int_equal(plugin_file_check(&plugin, &error), 0);
        plugin_file_close(&plugin);
    }
    assert_int_equal(timer_delete(timer), 0);
    signal(SIGUSR1, SIG_DFL);
}

static void test_the_check_leaves_nothing_mapped(void **state)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t len;
    char *data = scratch_read(scratch_built("good"), &len);
    size_t padded_len = (len + page - 1) / page * page;
    char *padded = calloc(1, padded_len);
    const char *path;

    (void)state;
    assert_non_null(padded);
    memcpy(padded, data, len);
    path = scratch_write("padded.so", padded, padded_len);
    for (unsigned i = 0; i < 3; i++) {
        size_t before = mapped_bytes();
        struct plugin plugin = {.path = path};
        struct error error;

        assert_int_equal(plugin_file_check(&plugin, &error), 0);
        assert_true(mapped_bytes() == before);
        plugin_file_close(&plugin);
    }
    free(padded);
    free(data);
}

/* The plugin's file then gets descriptor 0. */
static void test_a_closed_standard_input_is_no_error(void **state)
{
    struct plugin plugin = {.path = scratch_copy("plugin.so", "good")};
    struct error error;
    int kept = dup(STDIN_FILENO);
    int code;

    (void)state;
    close(STDIN_FILENO);
    code = plugin_file_check(&plugin, &error);
    if (kept >= 0) {
        dup2(kept, STDIN_FILENO);
        close(kept);
    }
    assert_int_equal(code, 0);
    plugin_file_close(&plugin);
}

/* ---- system calls that fail ------------------------------------------------------------------------ */

/* A system call that the kernel refuses if the low 32 bits of one of its arguments have this value. */
struct refused_call {
    uint32_t number;
    unsigned argument;
    uint32_t value;
    int error;
};

#define LOW_HALF (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : sizeof(uint32_t))
#define ARGUMENT(number) ((uint32_t)(offsetof(struct seccomp_data, args) + (number) * sizeof(uint64_t) + LOW_HALF))

static struct refused_call refused;
static struct plugin checked;
static struct error check_error;

/* A filter applies to its thread only. *data gets the code of the check, or 1 if no filter is possible. */
static void *check_with_refusal(void *data)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, refused.number, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARGUMENT(refused.argument)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, refused.value, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)refused.error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};
    int *code = data;

    *code = 1;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0) {
        *code = plugin_file_check(&checked, &check_error);
    }
    return NULL;
}

static unsigned count_descriptors(void)
{
    unsigned count = 0;

    for (int fd = 0; fd < 1024; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static void expect_failure(struct refused_call call, const char *path, const char *message)
{
    unsigned descriptors = count_descriptors();
    pthread_t thread;
    int code;

    refused = call;
    checked = (struct plugin){.path = path};
    memset(&check_error, 0, sizeof(check_error));
    assert_int_equal(pthread_create(&thread, NULL, check_with_refusal, &code), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    if (code == 1) {
        print_message("skipped: no seccomp filter is possible\n");
        skip();
    }
    assert_string_equal(check_error.text, message);
    assert_int_equal(code, -call.error);
    assert_int_equal(checked.memfd, -1);
    assert_int_equal(count_descriptors(), descriptors);
}

static void test_each_system_call_that_fails_is_told(void **state)
{
    const char *path = scratch_copy("good.so", "good");
    const struct refused_call status_of_file = {SYS_newfstatat, 3, AT_EMPTY_PATH, EIO};
    const struct refused_call status_of_directory = {SYS_newfstatat, 0, (uint32_t)AT_FDCWD, EIO};
    const struct refused_call link_of_directory = {SYS_readlink, 2, PATH_MAX - 1, EACCES};
    const struct refused_call new_copy = {SYS_memfd_create, 1, MFD_CLOEXEC | MFD_ALLOW_SEALING, ENFILE};
    const struct refused_call copying = {SYS_sendfile, 2, 0, EIO};
    const struct refused_call sealing = {SYS_fcntl, 1, F_ADD_SEALS, EPERM};
    const struct refused_call mapping = {SYS_mmap, 3, MAP_PRIVATE, ENOMEM};
    char directory[PATH_MAX];
    char message[2 * PATH_MAX];

    (void)state;
    snprintf(directory, sizeof(directory), "%.*s", (int)(strrchr(path, '/') - path), path);
    snprintf(message, sizeof(message), "its directory %s cannot be read: Input/output error", directory);
    expect_failure(status_of_file, path, "cannot be read: Input/output error");
    expect_failure(status_of_directory, path, message);
    expect_failure(link_of_directory, path, "its directory cannot be found: Permission denied");
    expect_failure(new_copy, path, "no memory file for its copy: Too many open files in system");
    expect_failure(copying, path, "cannot be read: Input/output error");
    expect_failure(sealing, path, "its copy cannot be sealed: Operation not permitted");
    expect_failure(mapping, path, "its copy cannot be mapped: Cannot allocate memory");
}

/* A directory that is removed after the file was opened. */
static void test_a_directory_that_is_not_found_is_told(void **state)
{
    const struct refused_call first_part = {SYS_readlink, 2, 1023, ENOENT}; /* of realpath(3) */

    (void)state;
    expect_failure(first_part, scratch_copy("good.so", "good"),
                   "its directory cannot be found: No such file or directory");
}

/* For the largest allowed file, the memfd is refused, so that the test need not copy so much. */
static void test_a_file_larger_than_the_limit_is_refused(void **state)
{
    const struct refused_call new_copy = {SYS_memfd_create, 1, MFD_CLOEXEC | MFD_ALLOW_SEALING, ENFILE};
    const char *path = scratch_write("large.so", "", 0);

    (void)state;
    assert_int_equal(truncate(path, SIZE_LIMIT + 1), 0);
    expect_refusal(path, -EFBIG, "larger than 256 MiB");
    assert_int_equal(truncate(path, SIZE_LIMIT), 0);
    expect_failure(new_copy, path, "no memory file for its copy: Too many open files in system");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_no_plugin_file_is_refused),
        cmocka_unit_test(test_a_file_that_may_not_be_read_is_refused),
        cmocka_unit_test(test_a_truncated_file_is_refused_at_every_length),
        cmocka_unit_test(test_a_file_that_is_shorter_than_its_size_is_refused),
        cmocka_unit_test(test_a_file_that_anybody_may_write_to_is_refused_before_it_is_read),
        cmocka_unit_test(test_every_directory_above_counts),
        cmocka_unit_test(test_of_a_link_both_directories_count),
        cmocka_unit_test(test_a_file_of_another_user_is_accepted_and_marked),
        cmocka_unit_test(test_the_copy_is_equal_and_cannot_be_changed),
        cmocka_unit_test(test_a_signal_while_a_file_is_copied_changes_nothing),
        cmocka_unit_test(test_the_check_leaves_nothing_mapped),
        cmocka_unit_test(test_a_closed_standard_input_is_no_error),
        cmocka_unit_test(test_each_system_call_that_fails_is_told),
        cmocka_unit_test(test_a_directory_that_is_not_found_is_told),
        cmocka_unit_test(test_a_file_larger_than_the_limit_is_refused),
    };

    alarm(ALARM_SECONDS);
    return abi_main(tests, sizeof(tests) / sizeof(tests[0]), NULL);
}
