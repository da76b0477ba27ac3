/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kinds of value that an option can have. A parser writes *target, or appends to its list in *options.
 *
 * On failure the error has EXIT_CODE_USAGE, or EXIT_CODE_CONFIGURATION if the value is valid but does not fit into the
 * list. The options may then be changed in part and must not be used.
 */
#ifndef ENGINE_CONFIG_OPTION_PARSERS_H
#define ENGINE_CONFIG_OPTION_PARSERS_H

#include "config/options.h"

/*
 * Appends FILE[,@name=NAME][,KEY=VALUE...] to options->plugins. A comma in the file name or in a value is written twice.
 * NAME has the characters of a plugin's id.
 */
option_parser option_parse_plugin;

/* Sets a string that options->text owns, which is not empty. */
option_parser option_parse_plugin_info;

/* Appends N, A-B, or A:B as iptables has it, to options->queues. */
option_parser option_parse_queues;

/* Sets a struct crash_limit_setting from N/TIME or off; the option's limits are those of TIME, in ms. */
option_parser option_parse_crash_limit;

/* Sets a struct uid_range from FIRST-LAST or off. */
option_parser option_parse_uids;

/* Replaces options->cpus by a list such as 0,2-5. */
option_parser option_parse_cpus;

/* Set a uint64_t: from a decimal number; from a size with K, M or G, in bytes; from a time with its unit, in ms. */
option_parser option_parse_number, option_parse_size, option_parse_time;

/* Sets a uint32_t to NFQE_ACCEPT or NFQE_DROP from accept or drop. */
option_parser option_parse_verdict;

/* Sets an enum from one of the words of option->value, "a|b|c": to the position of the word, from 0. */
option_parser option_parse_word;

/* Sets a bool from on or off. */
option_parser option_parse_switch;

/* Sets a bool to true; the option takes no value. */
option_parser option_parse_flag;

/* Sets a struct mark_setting from BITS[/MASK]. */
option_parser option_parse_mark;

/* Sets a uint32_t from MASK: bits of the mark side by side, in which can be counted to option->min. */
option_parser option_parse_mark_field;

/* Sets an enum rules_form from nft, iptables, or no value for both. */
option_parser option_parse_rules;

#endif
