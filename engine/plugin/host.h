/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host table that a plugin calls, and the services that it uses.
 *
 * The process that runs the plugin provides the services: fork server and worker write to the engine's log, a test
 * keeps the lines. Each plugin has its own struct nfqe_host, whose context is its plugin_host.
 */
#ifndef ENGINE_PLUGIN_HOST_H
#define ENGINE_PLUGIN_HOST_H

#include <nfqe/plugin.h>

#include <stdbool.h>

#define PLUGIN_FAIL_MAX 201 /* bytes that host->fail() keeps, including the NUL */

struct plugin_host;

/* What a process offers to the plugins that it runs. Must outlive every plugin_host that uses it. */
struct host_services {
    void *context;
    /* Writes one log line. level: NFQE_LOG_... as the plugin gave it, so it may be any number. */
    void (*log)(void *context, int level, const char *id, const char *text);
    /* Of memory that plugins declare; NULL: not offered. As in struct nfqe_host, by the plugin's main thread in load(). */
    int (*area_declare)(void *context, const struct plugin_host *host, uint32_t kind, const char *name, uint64_t len);
    const struct nfqe_area *(*area)(void *context, const struct plugin_host *host, const char *name);
};

struct plugin_host {
    struct nfqe_host table; /* what the plugin sees */
    const struct host_services *services;
    const char *id; /* of the plugin */
    bool loading; /* load() runs */
    char fail_text[PLUGIN_FAIL_MAX]; /* of the last host->fail(); empty: none */
};

/* id: must outlive the host. [fork server] */
void plugin_host_init(struct plugin_host *host, const struct host_services *services, const char *id);

/* Before open(): where the plugin runs. queue: its number in the kernel. [worker] */
void plugin_host_place(struct plugin_host *host, uint32_t queue, uint32_t worker_index, uint32_t worker_count);

/* Before open(): the cells of the plugin's counters, for the life of the process. [worker] */
void plugin_host_give_counters(struct plugin_host *host, uint64_t *cells, uint32_t count);

#endif
