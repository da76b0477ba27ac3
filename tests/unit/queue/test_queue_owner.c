/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * queue_owner_find(): the process that holds a netlink socket is found, whoever opened it, and whether it ends.
 *
 * The sockets and the processes are real. A process that is ending is stopped by ptrace in the middle of its end.
 */
#include "in_child.h"
#include "unit.h"

#include "queue/queue_owner.h"

#include <errno.h>
#include <linux/netlink.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct queue_owner owner;

static int open_socket(int protocol, uint32_t *port_id)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK};
    socklen_t len = sizeof(address);
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *port_id = address.nl_pid;
    return fd;
}

static void end_child(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_process_that_opened_the_socket_is_found(void **state)
{
    uint32_t port_id;
    int fd = open_socket(NETLINK_NETFILTER, &port_id);

    (void)state;
    prctl(PR_SET_NAME, "of) the (test");
    assert_int_equal(queue_owner_find(port_id, &owner), 0);
    assert_int_equal(owner.pid, getpid());
    assert_string_equal(owner.name, "of) the (test");
    assert_false(owner.ending);
    close(fd);
}

static void test_process_that_inherited_the_socket_is_found(void **state)
{
    uint32_t port_id;
    int fd = open_socket(NETLINK_NETFILTER, &port_id);
    pid_t child = start_child("heir", CHILD_SLEEPS);

    (void)state;
    close(fd);
    do { /* until it has its name */
        assert_int_equal(queue_owner_find(port_id, &owner), 0);
    } while (strcmp(owner.name, "heir") != 0);
    assert_int_equal(owner.pid, child);
    assert_false(owner.ending);
    end_child(child);
}

static void test_socket_that_is_closed_or_of_another_protocol_has_no_owner(void **state)
{
    uint32_t port_id;
    int fd = open_socket(NETLINK_ROUTE, &port_id);
    struct queue_owner untouched = {.pid = 5};

    (void)state;
    owner = untouched;
    assert_int_equal(queue_owner_find(port_id, &owner), -ENOENT);
    close(fd);
    fd = open_socket(NETLINK_NETFILTER, &port_id);
    close(fd);
    assert_int_equal(queue_owner_find(port_id, &owner), -ENOENT);
    assert_memory_equal(&owner, &untouched, sizeof(owner));
}

/* Kills a child of this process, which stays as it is while it ends, with its descriptors. */
static void hold_at_its_end(pid_t pid)
{
    int status;

    assert_int_equal(ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACEEXIT), 0);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(status >> 8, SIGTRAP | PTRACE_EVENT_EXIT << 8);
}

static void let_end(pid_t pid)
{
    assert_int_equal(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_killed_process_that_has_not_closed_the_socket_is_ending(void **state)
{
    uint32_t port_id;
    int fd = open_socket(NETLINK_NETFILTER, &port_id);
    pid_t child = start_child("killed", CHILD_SLEEPS);

    (void)state;
    hold_at_its_end(child);
    assert_int_equal(queue_owner_find(port_id, &owner), 0);
    assert_int_equal(owner.pid, getpid()); /* which has it, too, and goes on */
    assert_false(owner.ending);
    close(fd);
    assert_int_equal(queue_owner_find(port_id, &owner), 0);
    assert_int_equal(owner.pid, child);
    assert_true(owner.ending);
    let_end(child);
    assert_int_equal(queue_owner_find(port_id, &owner), -ENOENT);
}

/* Its death signal comes only when the parent has freed its memory. */
static void test_process_whose_parent_was_killed_is_ending(void **state)
{
    uint32_t port_id;
    int fd = open_socket(NETLINK_NETFILTER, &port_id);
    int told[2];
    pid_t parent;
    pid_t child;

    (void)state;
    assert_int_equal(pipe(told), 0);
    parent = fork();
    assert_true(parent >= 0);
    if (parent == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        child = start_child("orphan", CHILD_SLEEPS);
        close(fd);
        (void)!write(told[1], &child, sizeof(child));
        for (;;) {
            pause();
        }
    }
    close(fd);
    assert_int_equal(read(told[0], &child, sizeof(child)), sizeof(child));
    assert_int_equal(queue_owner_find(port_id, &owner), 0);
    assert_int_equal(owner.pid, child);
    assert_false(owner.ending);
    hold_at_its_end(parent);
    assert_int_equal(queue_owner_find(port_id, &owner), 0);
    assert_int_equal(owner.pid, child);
    assert_true(owner.ending);
    let_end(parent);
    close(told[0]);
    close(told[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_process_that_opened_the_socket_is_found),
        cmocka_unit_test(test_process_that_inherited_the_socket_is_found),
        cmocka_unit_test(test_socket_that_is_closed_or_of_another_protocol_has_no_owner),
        cmocka_unit_test(test_killed_process_that_has_not_closed_the_socket_is_ending),
        cmocka_unit_test(test_process_whose_parent_was_killed_is_ending),
    };

    return cmocka_run_group_tests_name("queue_owner", tests, NULL, NULL);
}
