/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The types of options: what the member of the config struct is, and how a value becomes one.
 */
#ifndef ENGINE_PLUGIN_OPTION_VALUES_H
#define ENGINE_PLUGIN_OPTION_VALUES_H

#include <nfqe/plugin.h>

#include <stdbool.h>

#define OPTION_REASON_MAX 256

/* What is wrong with a value, to be read after "option NAME=VALUE: ". */
struct option_reason {
    char text[OPTION_REASON_MAX];
};

struct option_type {
    const char *name;       /* as in enum nfqe_option_type */
    const char *member;     /* its type in C, for messages */
    size_t size;            /* of the member; of a list: of an item */
    bool has_limits;        /* it may have HAS_MIN and HAS_MAX */
    bool is_descriptor;     /* the value is opened by the supervisor */
    int64_t lowest;         /* that min and max can mean */

    /*
     * Writes a member, which may have any address. Returns 0; or -EINVAL with the reason, and nothing is written. The
     * member of a descriptor is -1, until its file is opened.
     */
    int (*parse)(const struct nfqe_option *option, const char *text, void *member, struct option_reason *reason);
};

/* NULL: this engine does not know the type. */
const struct option_type *option_type_find(uint32_t type);

/* Cuts the first choice off *rest, "a|b|c". Returns its length; 0: it is empty, or *rest is NULL: there is none left. */
size_t option_choice_next(const char **rest, const char **choice);

#endif
