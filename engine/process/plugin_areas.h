/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Areas where plugins run: declared in load(), which asks the supervisor; mapped in the fork server (TABLE) or in each
 * worker (the others).
 *
 * Always: a TABLE is at the same address in the fork server and in its workers, and nothing can write to it once load() has
 * returned. The other areas are not inherited by processes that a plugin forks.
 *
 * There is one list in a process; a worker has that of its fork server. Functions return 0 or a negative errno.
 * Process: [fork server] [worker].
 */
#ifndef ENGINE_PROCESS_PLUGIN_AREAS_H
#define ENGINE_PROCESS_PLUGIN_AREAS_H

#include "plugin/host.h"
#include "process/engine.h"

/* Before the first load(). [fork server] */
void plugin_areas_begin(struct engine *engine);

/* For host_services. */
int plugin_areas_declare(void *context, const struct plugin_host *host, uint32_t kind, const char *name, uint64_t len);
const struct nfqe_area *plugin_areas_find(void *context, const struct plugin_host *host, const char *name);

/* After a load(): what it has written to TABLEs can be read from now on, and not changed. [fork server] */
int plugin_areas_seal(void);

/* How many descriptors of areas a worker gets. */
unsigned plugin_areas_passed(void);

/* Maps them and closes the descriptors. fresh: bit i is said of fds[i]. -EPROTO: a file has another size. [worker] */
int plugin_areas_enter(int *fds, uint32_t fresh);

#endif
