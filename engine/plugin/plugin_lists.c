/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks the lists of counters and reasons that a plugin declares, and copies the names of reasons.
 *
 * A list has a number of elements in the head, or ends with an element whose name is NULL. A wrong number, or a missing
 * end, leads to whatever lies after the list. So an element is read only if it lies in a segment of the plugin's own file,
 * and a text only if it ends in the segment, of the plugin or of a library, in which it begins. Segments are those that
 * the dynamic loader mapped; what the plugin allocated is in none.
 *
 * Elements are found by the plugin's element size, which may be larger than ours. Runs in the fork server, before load().
 */
#include "plugin/plugin_lists.h"

#include "base/arith.h"

#include <errno.h>
#include <inttypes.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

#define TEXTS_MAX 3

/* The sizes in ABI 2.0, which every plugin of major version 2 has at least. */
#define COUNTER_SIZE_2_0 (offsetof(struct nfqe_counter, help) + sizeof(const char *))
#define REASON_SIZE_2_0 (offsetof(struct nfqe_reason, help) + sizeof(const char *))

#define LETTERS "abcdefghijklmnopqrstuvwxyz0123456789_"

_Static_assert(PLUGIN_LIST_NAME_MAX == 31 && REASON_NAME_SIZE == 32, "as the rules below say");

/* An element begins with pointers to texts, of which the first one is its name. */
struct list {
    const char *element; /* what one is called */
    const char *name_characters;
    const char *name_rule;
    const void *elements;
    uint32_t stride;
    uint32_t count; /* 0: the last element has no name */
    uint32_t max;   /* elements that are possible */
    uint32_t texts;
    uint32_t size; /* of an element, at least */
};

struct reader {
    const struct list *list;
    const void *exported;
    struct error *error;
};

/* ---- memory -------------------------------------------------------------------------------------------------- */

struct search {
    uintptr_t address;
    uintptr_t neighbour; /* must be in a segment of the same file; 0: any file */
    size_t len;          /* bytes from the address to the end of its segment */
};

/* 0: the address is in no segment of the file. */
static size_t bytes_in_file(const struct dl_phdr_info *info, uintptr_t address)
{
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + segment->p_vaddr;

        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_R) != 0 && address >= start &&
            address - start < segment->p_memsz) {
            return segment->p_memsz - (address - start);
        }
    }
    return 0;
}

static int search_file(struct dl_phdr_info *info, size_t size, void *data)
{
    struct search *search = data;

    (void)size;
    if (search->neighbour == 0 || bytes_in_file(info, search->neighbour) > 0) {
        search->len = bytes_in_file(info, search->address);
    }
    return search->len > 0;
}

static size_t bytes_there(const void *address, const void *neighbour)
{
    struct search search = {.address = (uintptr_t)address, .neighbour = (uintptr_t)neighbour};

    dl_iterate_phdr(search_file, &search);
    return search.len;
}

bool plugin_lists_is_text(const char *text)
{
    size_t len = bytes_there(text, NULL);

    return len > 0 && memchr(text, '\0', len) != NULL;
}

/* ---- a list -------------------------------------------------------------------------------------------------- */

static const char *hint(const struct list *list)
{
    return list->count != 0 ? "the number of elements must be right"
                            : "the list must end with an element whose name is NULL";
}

/* Copies the texts of element `index`. Returns whether they can be read; an element without a name has no others. */
static bool read_element(const struct reader *reader, size_t index, const char *texts[TEXTS_MAX])
{
    const struct list *list = reader->list;
    const char *element = (const char *)list->elements + index * list->stride;

    if (bytes_there(element, reader->exported) < list->size) {
        return false;
    }
    memcpy(texts, element, list->texts * sizeof(texts[0]));
    for (unsigned i = 0; i < list->texts && texts[0] != NULL; i++) {
        if (texts[i] != NULL && !plugin_lists_is_text(texts[i])) {
            return false;
        }
    }
    return true;
}

static const char *name_at(const struct list *list, size_t index)
{
    const char *name;

    memcpy(&name, (const char *)list->elements + index * list->stride, sizeof(name));
    return name;
}

static int check_name(const struct reader *reader, size_t index, const char *name)
{
    const struct list *list = reader->list;
    size_t len = strspn(name, list->name_characters);

    if (len == 0 || len > PLUGIN_LIST_NAME_MAX || name[len] != '\0') {
        return error_set(reader->error, EXIT_CODE_PLUGIN, -EBADMSG, "its %s %zu has a name that is not %s; %s",
                         list->element, index + 1, list->name_rule, hint(list));
    }
    for (size_t i = 0; i < index; i++) {
        if (strcmp(name_at(list, i), name) == 0) {
            return error_set(reader->error, EXIT_CODE_PLUGIN, -EBADMSG, "declares its %s %s twice", list->element,
                             name);
        }
    }
    return 0;
}

static int check_sizes(const struct reader *reader)
{
    const struct list *list = reader->list;

    if (list->stride < list->size || list->stride % sizeof(const char *) != 0) {
        return error_set(reader->error, EXIT_CODE_PLUGIN, -EBADMSG,
                         "its %s_size is %" PRIu32 ", ABI 2.0 has %" PRIu32 "; the plugin must use NFQE_PLUGIN(...)",
                         list->element, list->stride, list->size);
    }
    if (list->count > list->max) {
        return error_set(reader->error, EXIT_CODE_PLUGIN, -EBADMSG,
                         "declares %" PRIu32 " %ss, at most %" PRIu32 " are possible", list->count, list->element,
                         list->max);
    }
    return 0;
}

static int check_elements(const struct reader *reader, size_t *count)
{
    const struct list *list = reader->list;
    size_t limit = list->count != 0 ? list->count : list->max + 1;

    for (size_t i = 0; i < limit; i++) {
        const char *texts[TEXTS_MAX];
        int code;

        if (!read_element(reader, i, texts)) {
            return error_set(reader->error, EXIT_CODE_PLUGIN, -EBADMSG,
                             "its %s %zu is not in the plugin's file, or points to memory that is not there; %s",
                             list->element, i + 1, hint(list));
        }
        if (texts[0] == NULL && list->count == 0) {
            *count = i;
            return 0;
        }
        if (texts[0] == NULL) {
            return error_set(reader->error, EXIT_CODE_PLUGIN, -EBADMSG, "its %s %zu of %" PRIu32 " has no name; %s",
                             list->element, i + 1, list->count, hint(list));
        }
        code = check_name(reader, i, texts[0]);
        if (code < 0) {
            return code;
        }
    }
    if (list->count == 0) {
        return error_set(reader->error, EXIT_CODE_PLUGIN, -EBADMSG, "declares more than %" PRIu32 " %ss; %s", list->max,
                         list->element, hint(list));
    }
    *count = list->count;
    return 0;
}

static int check_list(const struct list *list, const void *exported, size_t *count, struct error *error)
{
    const struct reader reader = {list, exported, error};
    int code;

    *count = 0;
    if (list->elements == NULL && list->count == 0) {
        return 0;
    }
    if (list->elements == NULL) {
        return error_set(error, EXIT_CODE_PLUGIN, -EBADMSG, "its %s_count is %" PRIu32 ", and it has no %ss",
                         list->element, list->count, list->element);
    }
    code = check_sizes(&reader);
    return code == 0 ? check_elements(&reader, count) : code;
}

static struct list list_of_counters(const struct nfqe_plugin *table)
{
    return (struct list){.element = "counter",
                         .name_characters = LETTERS,
                         .name_rule = "1 to 31 small letters, digits and _",
                         .elements = table->counters,
                         .stride = table->counter_size,
                         .count = table->counter_count,
                         .max = COUNTERS_MAX,
                         .texts = 3,
                         .size = COUNTER_SIZE_2_0};
}

static struct list list_of_reasons(const struct nfqe_plugin *table)
{
    return (struct list){.element = "reason",
                         .name_characters = LETTERS "-",
                         .name_rule = "1 to 31 small letters, digits, - and _",
                         .elements = table->reasons,
                         .stride = table->reason_size,
                         .count = table->reason_count,
                         .max = REASONS_MAX,
                         .texts = 2,
                         .size = REASON_SIZE_2_0};
}

int plugin_lists_check(const struct nfqe_plugin *table, const void *exported, struct plugin_lists *lists,
                       struct error *error)
{
    const struct list counters = list_of_counters(table);
    const struct list reasons = list_of_reasons(table);
    int code = check_list(&counters, exported, &lists->counter_count, error);

    return code == 0 ? check_list(&reasons, exported, &lists->reason_count, error) : code;
}

struct nfqe_counter plugin_lists_counter(const struct nfqe_plugin *table, size_t index)
{
    struct nfqe_counter counter;

    memcpy(&counter, (const char *)table->counters + index * table->counter_size, sizeof(counter));
    return counter;
}

struct nfqe_reason plugin_lists_reason(const struct nfqe_plugin *table, size_t index)
{
    struct nfqe_reason reason;

    memcpy(&reason, (const char *)table->reasons + index * table->reason_size, sizeof(reason));
    return reason;
}

_Static_assert(COUNTERS_MAX == REASONS_MAX, "names of both are kept in the same form");

static int add_names(const struct list *list, size_t count, unsigned position, struct reason_names *names,
                     struct error *error)
{
    uint32_t first = names->first[position];

    if (first > REASONS_MAX || count > REASONS_MAX - first) {
        return error_set(error, EXIT_CODE_PLUGIN, -EBADMSG,
                         "declares %zu %ss, and the plugins before it %" PRIu32 "; a chain can have %d", count,
                         list->element, first, REASONS_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        snprintf(names->names[first + i], REASON_NAME_SIZE, "%s", name_at(list, i));
    }
    names->first[position + 1] = first + (uint32_t)count;
    return 0;
}

int plugin_lists_add_counters(const struct nfqe_plugin *table, const struct plugin_lists *lists, unsigned position,
                              struct reason_names *names, struct error *error)
{
    const struct list counters = list_of_counters(table);

    return add_names(&counters, lists->counter_count, position, names, error);
}

int plugin_lists_add_reasons(const struct nfqe_plugin *table, const struct plugin_lists *lists, unsigned position,
                             struct reason_names *names, struct error *error)
{
    const struct list reasons = list_of_reasons(table);

    return add_names(&reasons, lists->reason_count, position, names, error);
}
