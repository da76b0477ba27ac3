/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a port id to processes: /proc/net/netlink has the inode of each netlink socket, /proc/PID/fd what a process has
 * open.
 *
 * A port id is usually the id of the process that opened the socket, but processes that inherited it may live longer. A
 * process that was killed keeps its descriptors until its memory is freed, and its children get their death signal
 * after that, so a process is taken to be ending if its parent is. What cannot be read counts as not there: the
 * process has ended meanwhile. Process: [supervisor].
 */
#include "queue/queue_owner.h"

#include <dirent.h>
#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NETLINK_FILE "/proc/self/net/netlink"
#define PATH_SIZE 64 /* below /proc, and of what a descriptor of a socket is called */

/* The inode of the socket; 0: there is none. */
static unsigned long find_inode(uint32_t port_id)
{
    FILE *file = fopen(NETLINK_FILE, "re");
    unsigned long found = 0;
    char line[256];

    while (file != NULL && found == 0 && fgets(line, sizeof(line), file) != NULL) {
        unsigned protocol;
        unsigned id;
        unsigned long inode;

        if (sscanf(line, "%*s %u %u %*s %*s %*s %*s %*s %*s %lu", &protocol, &id, &inode) == 3 &&
            protocol == NETLINK_NETFILTER && id == port_id) {
            found = inode;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return found;
}

static bool holds(pid_t pid, const char *socket)
{
    char path[PATH_SIZE];
    bool found = false;
    const struct dirent *entry;
    DIR *directory;

    snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    directory = opendir(path);
    while (directory != NULL && !found && (entry = readdir(directory)) != NULL) {
        char target[PATH_SIZE];
        ssize_t len = readlinkat(dirfd(directory), entry->d_name, target, sizeof(target) - 1);

        if (len > 0) {
            target[len] = '\0';
            found = strcmp(target, socket) == 0;
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
    return found;
}

static bool is_ending(const struct proc_stat *process)
{
    struct proc_stat parent;

    return process->ending || (process->parent > 0 && proc_stat_read(process->parent, &parent) == 0 && parent.ending);
}

int queue_owner_find(uint32_t port_id, struct queue_owner *owner)
{
    unsigned long inode = find_inode(port_id);
    struct queue_owner found = {.ending = true};
    const struct dirent *entry;
    char socket[PATH_SIZE];
    DIR *directory;

    directory = inode != 0 ? opendir("/proc") : NULL;
    if (directory == NULL) {
        return -ENOENT;
    }
    snprintf(socket, sizeof(socket), "socket:[%lu]", inode);
    while (found.ending && (entry = readdir(directory)) != NULL) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        struct proc_stat process;

        if (pid > 0 && holds(pid, socket) && proc_stat_read(pid, &process) == 0) {
            found = (struct queue_owner){.pid = pid, .ending = is_ending(&process)};
            memcpy(found.name, process.name, sizeof(found.name));
        }
    }
    closedir(directory);
    if (found.pid == 0) {
        return -ENOENT;
    }
    *owner = found;
    return 0;
}
