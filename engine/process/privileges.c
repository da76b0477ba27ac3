/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Giving up rights.
 *
 * The order is that of what each step needs. Securebits and the bounding set need CAP_SETPCAP, groups CAP_SETGID, uids
 * CAP_SETUID, so the capabilities go last; the securebits keep them across the change of uid. That change may make the process
 * dumpable again (fs.suid_dumpable), or not, so dumpable is set after it. A limit on cores does not hold for a core_pattern
 * that is a pipe; that the process is not dumpable does.
 *
 * What is so already is not done again: a worker inherits most from the fork server, which has no CAP_SETPCAP.
 * The bounding set is empty even where a capability is kept: it limits what an exec can give, not what a process has.
 *
 * In the end /proc is read, not what was asked for. Process: [queue process], [fork server], [worker].
 */
#include "process/privileges.h"

#include "base/arith.h"
#include "process/user_namespace.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * No power for uid 0 as such, no capability that is won or lost with a uid, none in the ambient set; none of it can be
 * changed again.
 */
#define SECUREBITS                                                                                                     \
    (SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED |                   \
     SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

#define STATUS_VALUE_MAX 64

static bool core_dumps; /* in this process and in those that it forks */

/* ---- what is left ---------------------------------------------------------------------------------------------- */

/* A line of /proc/PID/status, and what it has to say. */
struct status_line {
    const char *key;
    char value[STATUS_VALUE_MAX];
    bool seen;
};

enum {
    NO_NEW_PRIVS,
    CAP_INHERITABLE,
    CAP_PERMITTED,
    CAP_EFFECTIVE,
    CAP_AMBIENT,
    OF_EACH_UID, /* the rest is not the engine's where it keeps its uid */
    UID = OF_EACH_UID,
    GID,
    GROUPS,
    CAP_BOUNDING,
    STATUS_LINES,
};

static void expect_capabilities(struct status_line *line, uint64_t capabilities)
{
    snprintf(line->value, sizeof(line->value), "%016" PRIx64, capabilities);
}

static void expect_ids(struct status_line *line, uid_t id)
{
    snprintf(line->value, sizeof(line->value), "%u\t%u\t%u\t%u", id, id, id, id);
}

static int check_line(struct status_line *lines, unsigned count, char *text, struct error *error)
{
    char *value = strchr(text, ':');
    size_t len;

    if (value == NULL) {
        return 0;
    }
    *value++ = '\0';
    value += strspn(value, " \t");
    for (len = strlen(value); len > 0 && strchr(" \n", value[len - 1]) != NULL; len--) {
    }
    value[len] = '\0';
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(lines[i].key, text) == 0) {
            lines[i].seen = true;
            if (strcmp(lines[i].value, value) != 0) {
                return error_set(error, EXIT_CODE_RUN_TIME, -EPERM, "%s is \"%s\", not \"%s\"", text, value,
                                 lines[i].value);
            }
        }
    }
    return 0;
}

static int check_file(FILE *file, struct status_line *lines, unsigned count, struct error *error)
{
    char text[1024]; /* a list of groups can be longer; its first part says enough */
    int code = 0;

    while (code == 0 && fgets(text, sizeof(text), file) != NULL) {
        code = check_line(lines, count, text, error);
    }
    for (unsigned i = 0; i < count && code == 0; i++) {
        if (!lines[i].seen) {
            code = error_set(error, EXIT_CODE_RUN_TIME, -ENODATA, "/proc does not say its %s", lines[i].key);
        }
    }
    return code;
}

/*
 * Whether a process is there and has no capability, by a call that asks nothing of /proc: with hidepid, an ordinary user
 * does not see processes that are not dumpable. no_new_privs is not said, but a process without a uid of its own has
 * it, and no capability, from the fork server, who gave up both before plugin code ran.
 */
static bool has_no_capability(pid_t pid)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = pid};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
    uint32_t any = 0;

    if (syscall(SYS_capget, &header, sets) < 0) {
        return false;
    }
    for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        any |= sets[i].effective | sets[i].permitted | sets[i].inheritable;
    }
    return any == 0;
}

int privileges_check(pid_t pid, uid_t uid, uint64_t capabilities, struct error *error)
{
    struct status_line lines[STATUS_LINES] = {
        [NO_NEW_PRIVS] = {"NoNewPrivs", "1", false},
        [CAP_INHERITABLE] = {"CapInh", "", false},
        [CAP_PERMITTED] = {"CapPrm", "", false},
        [CAP_EFFECTIVE] = {"CapEff", "", false},
        [CAP_AMBIENT] = {"CapAmb", "", false},
        [UID] = {"Uid", "", false},
        [GID] = {"Gid", "", false},
        [GROUPS] = {"Groups", "", false},
        [CAP_BOUNDING] = {"CapBnd", "", false},
    };
    char path[64] = "/proc/thread-self/status";
    FILE *file;
    int code;

    expect_capabilities(&lines[CAP_INHERITABLE], 0);
    expect_capabilities(&lines[CAP_PERMITTED], capabilities);
    expect_capabilities(&lines[CAP_EFFECTIVE], capabilities);
    expect_capabilities(&lines[CAP_AMBIENT], 0);
    expect_capabilities(&lines[CAP_BOUNDING], 0);
    expect_ids(&lines[UID], uid);
    expect_ids(&lines[GID], uid);
    if (pid != 0) {
        snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    }
    file = fopen(path, "re");
    if (file == NULL) {
        code = -errno;
        if (pid != 0 && uid == PRIVILEGES_SAME_UID && capabilities == 0 && has_no_capability(pid)) {
            return 0;
        }
        return error_set(error, EXIT_CODE_RUN_TIME, code, "%s: %s", path, strerror(-code));
    }
    code = check_file(file, lines, uid == PRIVILEGES_SAME_UID ? OF_EACH_UID : STATUS_LINES, error);
    fclose(file);
    return code;
}

bool privileges_has(uint64_t capabilities)
{
    bool all = capng_get_caps_process() == 0;

    for (unsigned i = 0; i <= CAP_LAST_CAP; i++) {
        if ((capabilities & PRIVILEGES_CAPABILITY(i)) != 0) {
            all = all && capng_have_capability(CAPNG_EFFECTIVE, i) == 1;
        }
    }
    return all;
}

/* ---- the steps ------------------------------------------------------------------------------------------------- */

/* `what` could not be done: text for "cannot ...". */
static int step_failed(struct error *error, const char *what)
{
    int code = errno != 0 ? -errno : -EPERM; /* libcap-ng has refusals of its own */

    return error_set(error, EXIT_CODE_RUN_TIME, code, "cannot %s: %s", what, strerror(-code));
}

static int lock_securebits(struct error *error)
{
    if (prctl(PR_GET_SECUREBITS) != SECUREBITS && prctl(PR_SET_SECUREBITS, SECUREBITS) < 0) {
        return step_failed(error, "lock the securebits");
    }
    return 0;
}

static int change_ids(uid_t id, struct error *error)
{
    uid_t uid[3];
    gid_t gid[3];

    if (getgroups(0, NULL) != 0 && setgroups(0, NULL) < 0) {
        return step_failed(error, "leave the supplementary groups");
    }
    getresgid(&gid[0], &gid[1], &gid[2]);
    if ((gid[0] != id || gid[1] != id || gid[2] != id) && setresgid(id, id, id) < 0) {
        return step_failed(error, "change the gid");
    }
    getresuid(&uid[0], &uid[1], &uid[2]);
    if ((uid[0] != id || uid[1] != id || uid[2] != id) && setresuid(id, id, id) < 0) {
        return step_failed(error, "change the uid");
    }
    return 0;
}

static int empty_bounding_set(struct error *error)
{
    int in_it = 0;

    for (unsigned long i = 0; in_it == 0; i++) {
        in_it = prctl(PR_CAPBSET_READ, i, 0, 0, 0);
    }
    if (in_it < 0) {
        return 0; /* past the last one that the kernel has */
    }
    errno = 0;
    capng_clear(CAPNG_SELECT_BOUNDS);
    if (capng_apply(CAPNG_SELECT_BOUNDS) < 0) {
        return step_failed(error, "empty the capability bounding set");
    }
    return 0;
}

/* What is not inheritable, the kernel takes out of the ambient set, too. */
static int keep_capabilities(uint64_t kept, struct error *error)
{
    errno = 0;
    capng_clear(CAPNG_SELECT_CAPS);
    for (unsigned i = 0; i <= CAP_LAST_CAP; i++) {
        if ((kept & PRIVILEGES_CAPABILITY(i)) != 0) {
            capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, i);
        }
    }
    if (capng_apply(CAPNG_SELECT_CAPS) < 0) {
        return step_failed(error, "reduce the capabilities");
    }
    return 0;
}

static int set_limit(unsigned resource, rlim_t value, const char *what, struct error *error)
{
    const struct rlimit limit = {value, value};

    return setrlimit(resource, &limit) < 0 ? step_failed(error, what) : 0;
}

static int turn_off_core_dumps(struct error *error)
{
    if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_GET_DUMPABLE) != 0) {
        return step_failed(error, "become undumpable");
    }
    return set_limit(RLIMIT_CORE, 0, "turn off core dumps", error);
}

static int turn_on_core_dumps(struct error *error)
{
    struct rlimit limit;

    if (prctl(PR_SET_DUMPABLE, 1) < 0 || getrlimit(RLIMIT_CORE, &limit) < 0) {
        return step_failed(error, "become dumpable");
    }
    return set_limit(RLIMIT_CORE, limit.rlim_max, "turn on core dumps", error);
}

/* Nothing of this needs a right. */
static int protect(struct error *error)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        return step_failed(error, "set no_new_privs");
    }
    return core_dumps ? turn_on_core_dumps(error) : turn_off_core_dumps(error);
}

static int drop(uid_t uid, uint64_t kept, struct error *error)
{
    int code = 0;

    if (uid != PRIVILEGES_SAME_UID) {
        code = lock_securebits(error);
        if (code == 0) {
            code = empty_bounding_set(error);
        }
        if (code == 0) {
            code = change_ids(uid, error);
        }
    }
    if (code == 0) {
        code = keep_capabilities(kept, error);
    }
    if (code == 0) {
        code = protect(error);
    }
    return code == 0 ? privileges_check(0, uid, kept, error) : code;
}

/* ---- the processes --------------------------------------------------------------------------------------------- */

void privileges_allow_core_dumps(void)
{
    core_dumps = true;
}

int privileges_drop_worker(uid_t uid, unsigned processes, struct error *error)
{
    int code = 0;

    if (processes > 0) {
        code = set_limit(RLIMIT_NPROC, processes, "limit the processes", error);
    }
    return code == 0 ? drop(uid, 0, error) : code;
}

int privileges_drop_queue(uid_t uid, struct error *error)
{
    return drop(uid, PRIVILEGES_CAPABILITY(CAP_NET_ADMIN), error);
}

int privileges_drop_forkserver(uid_t uid, uid_t first, uid_t last, struct error *error)
{
    int code;

    if (first == PRIVILEGES_SAME_UID) {
        return drop(uid, 0, error);
    }
    code = user_namespace_enter(first, last, error);
    if (code != 0) {
        return code;
    }
    user_namespace_close(); /* where it fails, privileges_plan_make() has found that plugins can make namespaces */
    return drop(uid, PRIVILEGES_CAPABILITY(CAP_SETUID) | PRIVILEGES_CAPABILITY(CAP_SETGID), error);
}
