/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Blocks all signals and reads them from a signalfd.
 *
 * All but SIGKILL and SIGSTOP can be blocked, also the two real-time signals that the C library keeps for itself and
 * leaves out of its signal sets; so the mask is set by the system call. A fault of the supervisor's own code ends it
 * all the same, since the kernel unblocks the signal of a fault. SIGPIPE and SIGXFSZ are not blocked but ignored: they
 * would be pending after each failed write. A program such as timeout(1) sends a signal twice, to the process and to
 * its group: within SIGNALS_BURST_MS that is one stop. Process: [supervisor].
 */
#include "process/signals.h"

#include "base/arith.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SIGNALS_BURST_MS 200
#define READ_AT_ONCE 16 /* any process may queue real-time signals faster than they are read */
#define LINES 5
#define PERIOD_NS (10 * NS_PER_S)
#define NAME_MAX_LEN 32

/* All but those that are ignored; the C library's functions would leave out signals 32 and 33. */
static sigset_t blocked_signals(void)
{
    sigset_t set;

    memset(&set, 0xff, sizeof(set));
    sigdelset(&set, SIGPIPE);
    sigdelset(&set, SIGXFSZ);
    return set;
}

void signals_block(void)
{
    sigset_t set = blocked_signals();

    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* if our parent ignored it, the kernel would reap our children itself */
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &set, NULL, _NSIG / 8);
}

static const char *signal_name(int number, char name[NAME_MAX_LEN])
{
    const char *known = sigabbrev_np(number);

    if (known != NULL) {
        snprintf(name, NAME_MAX_LEN, "SIG%s", known);
    } else {
        snprintf(name, NAME_MAX_LEN, "signal %d", number);
    }
    return name;
}

/* What it means, and what does what its sender may have wanted. */
static void log_unused(struct signals *signals, const struct signalfd_siginfo *info)
{
    char name[NAME_MAX_LEN];
    unsigned missed;

    if (!rate_limit_pass(&signals->log, event_loop_now(signals->loop), &missed)) {
        return;
    }
    if (missed > 0) {
        log_line("... %u more signals not shown", missed);
    }
    if (info->ssi_signo == SIGHUP) {
        log_line("SIGHUP: nothing to do, this engine cannot reload; to change its configuration, stop it with SIGTERM "
                 "and start it again");
    } else {
        log_line("%s from process %u: it has no meaning here and is ignored; SIGTERM stops the engine",
                 signal_name((int)info->ssi_signo, name), info->ssi_pid);
    }
}

static void ask_for_stop(struct signals *signals, int number)
{
    uint64_t now_ns = event_loop_now(signals->loop);

    if (signals->stop_ns == 0 || now_ns - signals->stop_ns >= SIGNALS_BURST_MS * NS_PER_MS) {
        signals->stop_ns = now_ns;
        signals->stop(signals->context, sigabbrev_np(number));
    }
}

static void take(struct signals *signals, const struct signalfd_siginfo *info)
{
    switch (info->ssi_signo) {
    case SIGCHLD:
        signals->child_ended(signals->context);
        break;
    case SIGTERM:
    case SIGINT:
        ask_for_stop(signals, (int)info->ssi_signo);
        break;
    case SIGCONT: /* these do nothing by default: a pause that is over, a window's new size, urgent data */
    case SIGWINCH:
    case SIGURG:
        break;
    default:
        log_unused(signals, info);
        break;
    }
}

/* What is not read now is read in the next turn. */
static void read_signals(void *context, uint32_t events)
{
    struct signals *signals = context;
    struct signalfd_siginfo infos[READ_AT_ONCE];
    ssize_t len = read(signals->watch.fd, infos, sizeof(infos));

    (void)events;
    for (size_t i = 0; len > 0 && i < (size_t)len / sizeof(infos[0]); i++) {
        take(signals, &infos[i]);
    }
}

int signals_open(struct signals *signals, struct event_loop *loop)
{
    sigset_t set = blocked_signals();

    signals->loop = loop;
    signals->stop_ns = 0;
    signals->log = (struct rate_limit){.burst = LINES, .period_ns = PERIOD_NS};
    signals->watch = (struct event_watch){
        .fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), .ready = read_signals, .context = signals};
    return signals->watch.fd < 0 ? -errno : event_loop_watch(loop, &signals->watch, EPOLLIN);
}

void signals_close(struct signals *signals)
{
    if (signals->loop != NULL) {
        event_loop_unwatch(signals->loop, &signals->watch);
        close_fd(&signals->watch.fd);
    }
}
