/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kinds of value that an option can have. Each parser writes *target, or the list in *options that it appends to.
 *
 * On failure the error is filled with EXIT_CODE_USAGE, or with EXIT_CODE_CONFIGURATION if the value can be understood
 * but a list cannot take it; the options may be changed in part and must not be used.
 */
#ifndef ENGINE_CONFIG_OPTION_PARSERS_H
#define ENGINE_CONFIG_OPTION_PARSERS_H

#include "config/options.h"

/* FILE[,KEY=VALUE...] appended to options->plugins; a comma in the file name is written twice. */
option_parser option_parse_plugin;

/* N or A-B appended to options->queues. */
option_parser option_parse_queues;

/* 0,2-5 in place of options->cpus. */
option_parser option_parse_cpus;

/* Into an uint64_t: a decimal number; bytes with K, M or G; milliseconds of a time with its unit. */
option_parser option_parse_number, option_parse_size, option_parse_time;

/* accept or drop, into an uint32_t as NFQE_ACCEPT or NFQE_DROP. */
option_parser option_parse_verdict;

/* on, off or auto, into an enum gso_setting. */
option_parser option_parse_gso;

/* on or off, into a bool. */
option_parser option_parse_switch;

/* Without a value: sets a bool. */
option_parser option_parse_flag;

/* BITS[/MASK], into a struct mark_setting. */
option_parser option_parse_mark;

/* nft, iptables or nothing for both, into an enum rules_form. */
option_parser option_parse_rules;

#endif
