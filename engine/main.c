/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The program nfq-engine: parses the command line and does what it asks for.
 *
 * It prints the help, the version, a plugin's description or firewall rules and exits, or it becomes the supervisor. An error before that comes
 * back as a struct error, which is logged here. The supervisor gets the functions that the other processes run from
 * here, so that its code does not depend on theirs.
 *
 * Always: descriptors 0 to 2 are open before anything else is opened. Runs in the process that becomes the supervisor.
 */
#include "base/error.h"
#include "base/log.h"
#include "base/process_title.h"
#include "config/command_line.h"
#include "config/firewall_rules.h"
#include "config/help.h"
#include "config/options.h"
#include "config/queue_group.h"
#include "process/forkserver.h"
#include "process/nft_probe.h"
#include "process/plugin_info.h"
#include "process/queue_process.h"
#include "process/supervisor.h"
#include "process/worker.h"

#include <nfqe/plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* If a standard descriptor were closed, the next file that is opened would get its number. */
static void open_standard_descriptors(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) {
        close(fd);
    }
}

/*
 * The directory of the installed plugins, from that of the program: so it is found below any prefix. NULL: unknown.
 */
static const char *find_plugin_directory(char directory[PATH_MAX])
{
    static const char relative[] = "/" NFQE_PLUGINS_FROM_PROGRAM;
    ssize_t len = readlink("/proc/self/exe", directory, PATH_MAX - sizeof(relative));
    char *end;

    if (len <= 0 || (size_t)len >= PATH_MAX - sizeof(relative)) {
        return NULL;
    }
    directory[len] = '\0';
    end = strrchr(directory, '/');
    memcpy(end, relative, sizeof(relative));
    return directory;
}

/* Logs the error. Returns the exit status that it leads to. */
static enum exit_code report(const struct error *error)
{
    char text[ERROR_LINE_MAX];

    log_line("%s", error_format(error, text));
    return error->exit_code;
}

/* Runs the engine until it is told to stop, or fails. */
static enum exit_code run_engine(const struct options *options)
{
    static const struct engine_programs programs = {
        .queue_run = queue_process_run, .forkserver_run = forkserver_run, .worker_run = worker_run};
    const struct queue_group *group;
    struct error error;
    enum exit_code code;

    if (queue_group_new(options, &group, &error) != 0) {
        return report(&error);
    }
    code = supervisor_run(group, &programs);
    queue_group_free(group);
    return code;
}

/* What was printed must have arrived: output to a full disk is an error. */
static enum exit_code flush_output(enum exit_code code)
{
    if (code == EXIT_CODE_OK && (fflush(stdout) != 0 || ferror(stdout) != 0)) {
        log_line("standard output cannot be written: %s", strerror(errno));
        return EXIT_CODE_RUN_TIME;
    }
    return code;
}

int main(int argc, char *argv[])
{
    static struct options options;
    static char plugin_directory[PATH_MAX];
    struct error error;
    enum exit_code code = EXIT_CODE_OK;

    signal(SIGXFSZ, SIG_IGN); /* a write beyond the limit on file sizes fails, as one to a full disk does */
    process_title_init(argc, argv);
    open_standard_descriptors();
    if (command_line_parse(&options, argc, argv, &error) != 0) {
        code = report(&error);
    } else if (options.help) {
        help_print(stdout);
    } else if (options.version) {
        printf("nfq-engine %s, plugin ABI %u.%u\n", NFQE_VERSION, NFQE_ABI_MAJOR(NFQE_ABI_VERSION),
               NFQE_ABI_MINOR(NFQE_ABI_VERSION));
    } else if (options.print_rules != RULES_NONE) {
        options.nft_queue_missing = options.print_rules != RULES_IPTABLES && nft_probe_queue_is_missing();
        code = firewall_rules_print(&options, &error) != 0 ? report(&error) : EXIT_CODE_OK;
    } else if (options.plugin_info != NULL) {
        options.plugin_directory = find_plugin_directory(plugin_directory);
        code = plugin_info_print(stdout, &options, &error) != 0 ? report(&error) : EXIT_CODE_OK;
    } else {
        options.plugin_directory = find_plugin_directory(plugin_directory);
        code = run_engine(&options);
    }
    code = flush_output(code);
    options_done(&options);
    return (int)code;
}
