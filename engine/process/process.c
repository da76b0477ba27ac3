/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Beginning a process, and looking at what it has.
 *
 * The parent-death signal is set first, then the parent is compared: if the supervisor died before the signal was set,
 * the comparison finds another parent. SIGTERM, SIGINT, SIGHUP and SIGQUIT are ignored, since a service manager sends
 * them to all processes while what is queued has still to be answered; if one has to be ended,
 * the supervisor sends SIGKILL. A terminal's signals, and a plugin's kill(0, ...), end at the session. Process: any.
 */
#include "process/process.h"

#include "base/arith.h"
#include "base/cpu_set.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

void process_tie_to_supervisor(pid_t supervisor)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != supervisor) {
        _exit(PROCESS_EXIT_FAILED);
    }
}

void process_reset_signals(void)
{
    for (int number = 1; number < _NSIG; number++) {
        struct sigaction action;

        /* A handler is a sanitizer's: it stays. */
        if (number != SIGPIPE && sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN) {
            signal(number, SIG_DFL);
        }
    }
}

void process_begin(const char *name, pid_t supervisor)
{
    static const int left_to_supervisor[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
    sigset_t none;

    prctl(PR_SET_NAME, name);
    process_tie_to_supervisor(supervisor);
    setsid();
    for (size_t i = 0; i < ARRAY_SIZE(left_to_supervisor); i++) {
        signal(left_to_supervisor[i], SIG_IGN);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

void process_enter_log(int *log)
{
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (*log > STDERR_FILENO) {
        fcntl(*log, F_SETFL, 0); /* an earlier process may have set O_NONBLOCK */
        dup2(*log, STDOUT_FILENO);
        dup2(*log, STDERR_FILENO);
        close_fd(log);
        if (nothing >= 0) {
            dup2(nothing, STDIN_FILENO);
        }
        setvbuf(stdout, NULL, _IONBF, 0);
        log_begin_child();
    }
    close_fd(&nothing);
}

/* One that is not open in this process by intention is -1. */
static bool is_open(int fd)
{
    return fd < 0 || fcntl(fd, F_GETFD) >= 0;
}

const char *process_check_intact(const struct engine *engine, const int *more, unsigned count)
{
    bool all = is_open(engine->channel);

    for (unsigned i = 0; i < engine->generation->plugin_count; i++) {
        all = all && is_open(engine->generation->plugins[i].memfd);
    }
    for (unsigned i = 0; i < count; i++) {
        all = all && is_open(more[i]);
    }
    return all ? NULL : "closed descriptors of the engine; a plugin must not close what it did not open";
}

bool has_cap_net_admin(void)
{
    return capng_get_caps_process() == 0 && capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN) == 1;
}

_Static_assert(CPUS_MAX <= CPU_SETSIZE, "a set has room for each CPU of --cpu");

int process_pin(int cpu)
{
    cpu_set_t set;

    if (cpu == QUEUE_GROUP_NO_CPU) {
        return 0;
    }
    set = cpu_set_one((uint32_t)cpu);
    return cpu_set_take(&set);
}
