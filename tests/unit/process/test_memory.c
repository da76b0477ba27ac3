/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory_find_available(): the least of what the machine and its cgroups leave, and whose that is.
 *
 * The files of /proc and of cgroups are a table of this program, in the formats of the kernel.
 */
#include "unit.h"

#include "process/memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

#define MIB UINT64_C(1048576)
#define FILES_MAX 32

static struct {
    const char *path;
    const char *text;
} files[FILES_MAX];

static unsigned count;
static uint64_t total_memory; /* as sysinfo(2) says; 0: it fails */
static struct memory_available available;

FILE *__wrap_fopen(const char *path, const char *mode);
int __wrap_sysinfo(struct sysinfo *info);

FILE *__wrap_fopen(const char *path, const char *mode)
{
    assert_string_equal(mode, "re");
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(files[i].path, path) == 0) {
            return fmemopen((void *)(uintptr_t)files[i].text, strlen(files[i].text), "r");
        }
    }
    errno = ENOENT;
    return NULL;
}

int __wrap_sysinfo(struct sysinfo *info)
{
    if (total_memory == 0) {
        return -1;
    }
    info->totalram = total_memory / 4096;
    info->mem_unit = 4096;
    return 0;
}

/* A later file of the same name takes the place of an earlier one. */
static void put(const char *path, const char *text)
{
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(files[i].path, path) == 0) {
            files[i].text = text;
            return;
        }
    }
    assert_true(count < FILES_MAX);
    files[count].path = path;
    files[count++].text = text;
}

static int set_up(void **state)
{
    (void)state;
    count = 0;
    total_memory = 0;
    put("/proc/meminfo", "MemTotal:       16000000 kB\nMemFree:               1 kB\nMemAvailable:    8000000 kB\n");
    return 0;
}

static void assert_available(uint64_t bytes, const char *owner)
{
    memory_find_available(&available);
    assert_int_equal(available.bytes, bytes);
    assert_string_equal(available.owner, owner);
    assert_int_equal(available.is_limit, owner[0] == '/');
}

/* ---- the machine ------------------------------------------------------------------------------------------------- */

static void test_without_cgroups_the_machine_is_the_limit(void **state)
{
    (void)state;
    assert_available(UINT64_C(8000000) * 1024, "this machine");
    put("/proc/meminfo", "MemAvailable: 0 kB\n");
    assert_available(0, "this machine");
}

static void test_what_is_not_known_is_no_limit(void **state)
{
    (void)state;
    put("/proc/meminfo", "MemTotal: 5 kB\nMemFree: 6 kB\n");
    assert_available(UINT64_MAX, "");
}

static void test_without_proc_the_machine_has_at_most_all_its_memory(void **state)
{
    (void)state;
    count = 0;
    assert_available(UINT64_MAX, "");
    total_memory = 512 * MIB;
    assert_available(512 * MIB, "this machine");
}

/* ---- version 2 --------------------------------------------------------------------------------------------------- */

#define MOUNT2 "30 23 0:27 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define OTHER_MOUNTS "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n23 22 0:21 / /proc rw - proc proc rw\n"

static void unify(const char *path)
{
    put("/proc/self/cgroup", path);
    put("/proc/self/mountinfo", OTHER_MOUNTS MOUNT2);
}

static void test_limit_of_the_own_cgroup_less_its_usage_is_left(void **state)
{
    (void)state;
    unify("0::/system.slice/nfqe.service\n");
    put("/sys/fs/cgroup/system.slice/nfqe.service/memory.max", "209715200\n");
    put("/sys/fs/cgroup/system.slice/nfqe.service/memory.current", "1048576\n");
    assert_available(199 * MIB, "/sys/fs/cgroup/system.slice/nfqe.service/memory.max");
    put("/sys/fs/cgroup/system.slice/nfqe.service/memory.max", "max\n");
    assert_available(UINT64_C(8000000) * 1024, "this machine");
    put("/sys/fs/cgroup/system.slice/nfqe.service/memory.max", "1048575\n"); /* it was lowered meanwhile */
    assert_available(0, "/sys/fs/cgroup/system.slice/nfqe.service/memory.max");
}

static void test_file_cache_of_a_cgroup_can_be_had(void **state)
{
    (void)state;
    unify("0::/a\n");
    put("/sys/fs/cgroup/a/memory.max", "104857600\n");
    put("/sys/fs/cgroup/a/memory.current", "52428800\n");
    put("/sys/fs/cgroup/a/memory.stat", "anon 1\nfile 40000000\ninactive_anon 99999\ninactive_file 1048576\n"
                                        "active_file 2097152\nslab_reclaimable 3145728\nslab 77777\n");
    assert_available(56 * MIB, "/sys/fs/cgroup/a/memory.max");
    put("/sys/fs/cgroup/a/memory.stat", "inactive_file 999999999\n"); /* of a moment later */
    assert_available(100 * MIB, "/sys/fs/cgroup/a/memory.max");
}

static void test_every_cgroup_above_can_be_the_limit(void **state)
{
    static const char *const places[] = {"/sys/fs/cgroup/a/b/c", "/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a",
                                         "/sys/fs/cgroup"};
    char limits[4][64];
    char usages[4][64];

    (void)state;
    for (unsigned least = 0; least < 4; least++) {
        count = 0;
        put("/proc/meminfo", "MemAvailable: 8000000 kB\n");
        unify("0::/a/b/c\n");
        for (unsigned i = 0; i < 4; i++) {
            snprintf(limits[i], sizeof(limits[i]), "%s/memory.max", places[i]);
            snprintf(usages[i], sizeof(usages[i]), "%s/memory.current", places[i]);
            put(limits[i], i == least ? "1000\n" : "2000\n");
            put(usages[i], "10\n");
        }
        assert_available(990, limits[least]);
    }
}

/* In a cgroup namespace, the path is relative to its root, and one outside of that begins with "/..". */
static void test_cgroup_of_a_container_is_found_at_its_mount(void **state)
{
    (void)state;
    unify("0::/\n");
    put("/sys/fs/cgroup/memory.max", "5000\n");
    put("/sys/fs/cgroup/memory.current", "0\n");
    assert_available(5000, "/sys/fs/cgroup/memory.max");
    unify("0::/../other\n");
    assert_available(5000, "/sys/fs/cgroup/memory.max");
}

/* ---- version 1 --------------------------------------------------------------------------------------------------- */

#define PATHS1 "9:name=systemd:/x\n5:cpu,cpuacct:/y\n4:memory:/docker/1234\n0::/z\n"
#define MOUNTS1(root)                                                                                                  \
    OTHER_MOUNTS "32 31 0:29 " root " /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"                                  \
                 "35 31 0:32 " root " /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"

static void test_cgroup_of_version_1_is_a_limit(void **state)
{
    (void)state;
    put("/proc/self/cgroup", PATHS1);
    put("/proc/self/mountinfo", MOUNTS1("/"));
    put("/sys/fs/cgroup/memory/docker/1234/memory.limit_in_bytes", "209715200\n");
    put("/sys/fs/cgroup/memory/docker/1234/memory.usage_in_bytes", "10485760\n");
    put("/sys/fs/cgroup/memory/docker/1234/memory.stat", "inactive_file 77\ntotal_inactive_file 1048576\n"
                                                         "total_active_file 1048576\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "1\n");
    assert_available(192 * MIB, "/sys/fs/cgroup/memory/docker/1234/memory.limit_in_bytes");
}

/* A container without a cgroup namespace: what is mounted is not the root. */
static void test_mount_that_is_not_the_root_is_taken_for_what_it_is(void **state)
{
    (void)state;
    put("/proc/self/cgroup", PATHS1);
    put("/proc/self/mountinfo", MOUNTS1("/docker/1234"));
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "4000\n");
    put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "1\n");
    assert_available(3999, "/sys/fs/cgroup/memory/memory.limit_in_bytes");
    put("/proc/self/cgroup", "4:memory:/docker/1234/inner\n");
    put("/sys/fs/cgroup/memory/inner/memory.limit_in_bytes", "3000\n");
    put("/sys/fs/cgroup/memory/inner/memory.usage_in_bytes", "1\n");
    assert_available(2999, "/sys/fs/cgroup/memory/inner/memory.limit_in_bytes");
    put("/proc/self/cgroup", "4:memory:/docker/12345\n"); /* another one, which is not mounted here */
    assert_available(3999, "/sys/fs/cgroup/memory/memory.limit_in_bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_without_cgroups_the_machine_is_the_limit, set_up),
        cmocka_unit_test_setup(test_what_is_not_known_is_no_limit, set_up),
        cmocka_unit_test_setup(test_without_proc_the_machine_has_at_most_all_its_memory, set_up),
        cmocka_unit_test_setup(test_limit_of_the_own_cgroup_less_its_usage_is_left, set_up),
        cmocka_unit_test_setup(test_file_cache_of_a_cgroup_can_be_had, set_up),
        cmocka_unit_test_setup(test_every_cgroup_above_can_be_the_limit, set_up),
        cmocka_unit_test_setup(test_cgroup_of_a_container_is_found_at_its_mount, set_up),
        cmocka_unit_test_setup(test_cgroup_of_version_1_is_a_limit, set_up),
        cmocka_unit_test_setup(test_mount_that_is_not_the_root_is_taken_for_what_it_is, set_up),
    };

    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
