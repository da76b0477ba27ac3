/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reference_classic - the loop of the usual tutorial: libnetfilter_queue with a callback, one recv() and one
 * nfq_set_verdict() for each packet, whole packets copied, offload packets split into segments.
 *
 * Only the length of the queue and the receive buffer are those of the engine; with the defaults the loop would be even
 * slower. It runs until it is killed; the kernel then drops queued packets.
 */
#include "policy.h"

#include <errno.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#define COPY_RANGE 0xffff
#define MESSAGE_MAX (COPY_RANGE + 4096)

static int on_packet(struct nfq_q_handle *queue, struct nfgenmsg *message, struct nfq_data *data, void *context)
{
    const enum policy_pattern *pattern = context;
    const struct nfqnl_msg_packet_hdr *header = nfq_get_msg_packet_hdr(data);
    unsigned char *payload = NULL;
    int len = nfq_get_payload(data, &payload);
    uint32_t id;

    (void)message;
    if (header == NULL) {
        return 0;
    }
    id = ntohl(header->packet_id);
    return nfq_set_verdict(queue, id, policy_decide(*pattern, id, payload, len > 0 ? (size_t)len : 0), 0, NULL);
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

int main(int argc, char *argv[])
{
    static char buffer[MESSAGE_MAX] __attribute__((aligned(8)));
    enum policy_pattern pattern;
    uint16_t number;
    struct nfq_handle *handle;
    struct nfq_q_handle *queue;
    bool whole; /* it does not know how */
    int on = 1;
    int fd;

    policy_parse(argc, argv, &number, &pattern, &whole);
    handle = nfq_open();
    if (handle == NULL) {
        die("nfq_open");
    }
    queue = nfq_create_queue(handle, number, on_packet, &pattern);
    if (queue == NULL) {
        die("nfq_create_queue");
    }
    if (nfq_set_mode(queue, NFQNL_COPY_PACKET, COPY_RANGE) < 0 || nfq_set_queue_maxlen(queue, POLICY_MAX_LEN) < 0) {
        die("nfq_set_mode");
    }
    fd = nfq_fd(handle);
    nfnl_rcvbufsiz(nfq_nfnlh(handle), POLICY_RECEIVE_BUFFER);
    setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof(on));
    for (;;) {
        ssize_t len = recv(fd, buffer, sizeof(buffer), 0);

        if (len >= 0) {
            nfq_handle_packet(handle, buffer, (int)len);
        } else if (errno != EINTR && errno != ENOBUFS) {
            die("recv");
        }
    }
}
