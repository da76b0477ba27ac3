/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The exit statuses of nfq-engine. They are part of its interface: README.md and nfq-engine --help list them.
 */
#ifndef ENGINE_BASE_EXIT_CODE_H
#define ENGINE_BASE_EXIT_CODE_H

enum exit_code {
    EXIT_CODE_OK = 0,
    EXIT_CODE_RUN_TIME = 1,
    EXIT_CODE_USAGE = 2,         /* the command line cannot be parsed */
    EXIT_CODE_CONFIGURATION = 3, /* options contradict each other, a plugin, or this machine */
    EXIT_CODE_PLUGIN = 4,        /* a plugin was refused */
    EXIT_CODE_QUEUE = 5,         /* a queue cannot be bound, or was unbound by another program */
    EXIT_CODE_OUTAGE = 6,        /* no worker could decide, and --on-crash-limit or --on-outage says stop */
};

#endif
