/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How the program ends: its exit status, part of its interface (README.md, nfq-engine --help).
 */
#ifndef ENGINE_BASE_EXIT_CODE_H
#define ENGINE_BASE_EXIT_CODE_H

enum exit_code {
    EXIT_CODE_OK = 0,
    EXIT_CODE_RUN_TIME = 1,
    EXIT_CODE_USAGE = 2,         /* the command line cannot be understood */
    EXIT_CODE_CONFIGURATION = 3, /* understood, but it contradicts itself or this machine */
    EXIT_CODE_PLUGIN = 4,        /* a plugin was refused */
    EXIT_CODE_QUEUE = 5,         /* a queue cannot be bound */
};

#endif
