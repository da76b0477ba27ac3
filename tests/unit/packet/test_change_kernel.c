/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * This machine's kernel takes changed packets as right ones, and makes the same checksums.
 *
 * In a network namespace, what is written to a TUN device arrives as if from a wire, so the kernel verifies all lengths
 * and checksums before a socket gets the payload, or before it answers. Packets are changed and sent so; that the kernel
 * does look is shown by damaged ones, which no change may make right. Needs root.
 */
#include "unit.h"

#include "change_fixture.h"
#include "rights.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>

#define WAIT_MS 5000
#define PAYLOAD 200
#define GROWTH 64
#define SAME (PAYLOAD - GROWTH) /* bytes at the end of each packet */
#define DATAGRAM_MAX 2048
#define IPV6_SOURCE 8 /* offset of an address */
#define NO_DEVICE 78 /* exit status: no TUN device, or not this protocol */

static int tun;
static unsigned version;

/* ---- a device ---------------------------------------------------------------------------------------------------- */

static void set_up(int fd, struct ifreq *request)
{
    EXPECT(ioctl(fd, SIOCGIFFLAGS, request) == 0);
    request->ifr_flags |= IFF_UP;
    EXPECT(ioctl(fd, SIOCSIFFLAGS, request) == 0);
}

/* The packets' IPv4 source is on this link, and their destination is this machine's. */
static void set_ipv4(struct ifreq *request)
{
    struct sockaddr_in *address = (struct sockaddr_in *)(void *)&request->ifr_addr;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    *address = (struct sockaddr_in){.sin_family = AF_INET};
    EXPECT(inet_pton(AF_INET, "198.51.100.2", &address->sin_addr) == 1);
    EXPECT(ioctl(fd, SIOCSIFADDR, request) == 0);
    address->sin_addr.s_addr = htonl(0xf0000000);
    EXPECT(ioctl(fd, SIOCSIFNETMASK, request) == 0);
    set_up(fd, request);
    close(fd);
}

/* Until its work queue has looked at a new address, the kernel ignores packets to it. */
static void wait_until_owned(int fd, const struct in6_addr *address)
{
    const struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_addr = *address};
    int tries = WAIT_MS;

    while (bind(fd, (const struct sockaddr *)&name, sizeof(name)) < 0) {
        EXPECT(errno == EADDRNOTAVAIL && tries-- > 0);
        usleep(1000);
    }
}

static void set_ipv6(struct ifreq *request)
{
    struct in6_ifreq address = {.ifr6_prefixlen = 16};
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);

    EXPECT(ioctl(fd, SIOCGIFINDEX, request) == 0);
    address.ifr6_ifindex = request->ifr_ifindex;
    memset(&address.ifr6_addr, 0x20, sizeof(address.ifr6_addr));
    EXPECT(ioctl(fd, SIOCSIFADDR, &address) == 0);
    wait_until_owned(fd, &address.ifr6_addr);
    close(fd);
}

static void open_device(void)
{
    struct ifreq request = {.ifr_name = "tun0", .ifr_flags = IFF_TUN | IFF_NO_PI};

    tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (tun < 0 || ioctl(tun, TUNSETIFF, &request) < 0) {
        _exit(NO_DEVICE);
    }
    set_ipv4(&request);
    set_ipv6(&request);
}

static int open_socket(int protocol)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(BUILDER_DEST_PORT)};
    int off = 0;
    int fd = socket(AF_INET6, SOCK_DGRAM, protocol);

    if (fd < 0) {
        _exit(NO_DEVICE);
    }
    EXPECT(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) == 0);
    EXPECT(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    return fd;
}

static void send_bytes(const uint8_t *bytes, size_t len)
{
    EXPECT(write(tun, bytes, len) == (ssize_t)len);
}

static size_t receive(int fd, uint8_t *bytes)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    ssize_t len;

    EXPECT(poll(&ready, 1, WAIT_MS) == 1);
    len = read(fd, bytes, DATAGRAM_MAX);
    EXPECT(len >= 0);
    return (size_t)len;
}

/* ---- packets ----------------------------------------------------------------------------------------------------- */

/* From another machine. */
static void build(struct change_case *this, uint8_t protocol, size_t payload)
{
    if (version == 4) {
        builder_ipv4(&this->builder, 0, 0);
    } else {
        builder_ipv6(&this->builder);
        this->builder.bytes[IPV6_SOURCE + 15] = 1;
        builder_extension(&this->builder, IPV6_DESTINATION, 8);
        memset(this->builder.bytes + this->builder.len - 6, 0, 6); /* padding of one byte each */
    }
    change_case_transport(&this->builder, protocol);
    if (protocol == PROTOCOL_UDP_LITE) {
        uint8_t *header = this->builder.bytes + this->builder.transport;

        header[2] = BUILDER_DEST_PORT >> 8;
        header[3] = BUILDER_DEST_PORT & 0xff;
        header[5] = 8; /* the header alone is covered */
    }
    change_case_payload(&this->builder, payload);
    change_case_end(&this->builder, protocol);
    change_case_begin(this, 0);
}

static void finish(struct change_case *this)
{
    EXPECT(packet_change_finish(&this->change, &this->packet) == 0);
}

static void write_byte(struct change_case *this, uint32_t offset, uint8_t value)
{
    uint8_t *bytes;

    EXPECT(packet_change_writable(&this->change, &this->packet, offset, 1, &bytes) == 0);
    *bytes = value;
}

static void resize(struct change_case *this, uint32_t offset, int growth)
{
    static const uint8_t inserted[GROWTH] = "in between";
    uint32_t remove = growth < 0 ? (uint32_t)-growth : 0;

    EXPECT(packet_change_splice(&this->change, &this->packet, offset, remove, inserted,
                                growth > 0 ? (uint32_t)growth : 0) == 0);
}

/* ---- what the kernel says ---------------------------------------------------------------------------------------- */

/* A damaged packet comes before each, and does not arrive. */
static void change_datagrams(uint8_t protocol)
{
    int fd = open_socket(protocol == NFQE_PROTOCOL_UDP ? 0 : IPPROTO_UDPLITE);

    for (int growth = -GROWTH; growth <= GROWTH; growth++) {
        uint8_t arrived[DATAGRAM_MAX];
        struct change_case this;
        size_t len;

        build(&this, protocol, PAYLOAD);
        this.builder.bytes[this.builder.transport + 1] ^= 1;
        change_case_begin(&this, 0);
        resize(&this, this.packet.transport + 8u + 50, growth);
        finish(&this);
        send_bytes(this.packet.data, this.packet.len);

        build(&this, protocol, PAYLOAD);
        resize(&this, this.packet.transport + 8u + 51, growth);
        write_byte(&this, this.packet.transport, (uint8_t)growth);
        write_byte(&this, this.packet.len - 1, (uint8_t)(growth + 3));
        finish(&this);
        send_bytes(this.packet.data, this.packet.len);
        len = receive(fd, arrived);
        EXPECT(len == (size_t)(PAYLOAD + growth));
        EXPECT(memcmp(arrived, this.packet.data + this.packet.transport + 8, len) == 0);
    }
    close(fd);
}

/* The next packet that the kernel sends, of this protocol. Its checksum is what the model computes. */
static size_t receive_answer(uint8_t protocol, uint8_t *bytes)
{
    uint8_t right[DATAGRAM_MAX];
    size_t len;

    do {
        len = receive(tun, bytes);
    } while (bytes[0] >> 4 != (uint8_t)version || bytes[version == 4 ? 9 : 6] != protocol ||
             (protocol == NFQE_PROTOCOL_ICMPV6 && bytes[40] != 129)); /* it looks for neighbours, too */
    memcpy(right, bytes, len);
    change_model_make_right(right, len);
    EXPECT(memcmp(right, bytes, len) == 0);
    return len;
}

/* Requests of an echo, which are answered with the same bytes. */
static void change_echoes(void)
{
    uint8_t protocol = version == 4 ? NFQE_PROTOCOL_ICMP : NFQE_PROTOCOL_ICMPV6;

    for (int growth = -GROWTH; growth <= GROWTH; growth++) {
        uint8_t answer[DATAGRAM_MAX];
        struct change_case this;
        size_t len;

        build(&this, protocol, PAYLOAD);
        resize(&this, this.packet.len - 100, growth);
        write_byte(&this, this.packet.transport + 6u, (uint8_t)growth);
        finish(&this);
        send_bytes(this.packet.data, this.packet.len);
        len = receive_answer(protocol, answer);
        EXPECT(len == (version == 4 ? 20U : 40U) + 8 + PAYLOAD + (size_t)growth);
        EXPECT(memcmp(answer + len - SAME, this.packet.data + this.packet.len - SAME, SAME) == 0);
    }
}

/* What comes to a closed port, with the acknowledgment that a reset then has as its number. */
static void change_segments(void)
{
    for (uint32_t number = 0; number < 40; number++) {
        uint8_t answer[DATAGRAM_MAX];
        struct change_case this;
        size_t tcp = version == 4 ? 20 : 40;

        build(&this, NFQE_PROTOCOL_TCP, PAYLOAD + number);
        resize(&this, this.packet.payload + number, (int)number - 20);
        write_byte(&this, this.packet.transport + 11u, (uint8_t)number);
        write_byte(&this, this.packet.transport + 13u, NFQE_TCP_ACK);
        finish(&this);
        send_bytes(this.packet.data, this.packet.len);
        receive_answer(NFQE_PROTOCOL_TCP, answer);
        EXPECT((answer[tcp + 13] & NFQE_TCP_RST) != 0 && answer[tcp + 7] == number);
    }
}

static void make_fragment(struct builder *builder, size_t at, bool more)
{
    if (version == 4) {
        builder_ipv4(builder, 0, (uint16_t)(at / 8 | (more ? 0x2000U : 0)));
        builder_protocol(builder, NFQE_PROTOCOL_UDP);
    } else {
        builder_ipv6(builder);
        builder->bytes[IPV6_SOURCE + 15] = 1;
        builder_fragment(builder, (uint16_t)(at / 8), more);
        builder_protocol(builder, NFQE_PROTOCOL_UDP);
    }
}

static void append(struct builder *builder, const uint8_t *bytes, size_t len)
{
    size_t at = builder->len;

    builder_bytes(builder, len);
    memcpy(builder->bytes + at, bytes, len);
    builder_finish(builder);
    if (version == 4) {
        change_model_make_right(builder->bytes, at); /* the header */
    }
}

/* The first fragment is changed, and the kernel puts them together. */
static void change_fragments(void)
{
    const size_t first = 64;
    uint8_t arrived[DATAGRAM_MAX];
    struct change_case whole;
    struct change_case this;
    struct builder last;
    const uint8_t *datagram;
    int fd = open_socket(0);

    build(&whole, NFQE_PROTOCOL_UDP, PAYLOAD);
    datagram = whole.builder.bytes + whole.builder.transport;
    make_fragment(&this.builder, 0, true);
    append(&this.builder, datagram, first);
    make_fragment(&last, first, false);
    append(&last, datagram + first, 8 + PAYLOAD - first);
    change_case_begin(&this, 0);
    write_byte(&this, this.packet.len - 2, 0x99);
    write_byte(&this, this.packet.transport + 1u, 0x99);
    finish(&this);
    send_bytes(this.packet.data, this.packet.len);
    send_bytes(last.bytes, last.len);
    EXPECT(receive(fd, arrived) == PAYLOAD);
    EXPECT(memcmp(arrived, this.packet.data + this.packet.len - (first - 8), first - 8) == 0);
    EXPECT(memcmp(arrived + first - 8, datagram + first, 8 + PAYLOAD - first) == 0);
    close(fd);
}

/* ---- the tests --------------------------------------------------------------------------------------------------- */

static void run_udp(void)
{
    change_datagrams(NFQE_PROTOCOL_UDP);
}

static void run_udp_lite(void)
{
    change_datagrams(PROTOCOL_UDP_LITE);
}

static void (*in_namespace)(void);

static void run_both_versions(void)
{
    open_device();
    for (version = 4; version <= 6; version += 2) {
        in_namespace();
    }
}

static void run(void (*part)(void))
{
    int status;

    in_namespace = part;
    status = rights_run_in_namespaces(run_both_versions);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == NO_DEVICE) {
        print_message("SKIPPED: no TUN device here, or this kernel does not have the protocol\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_changed_udp_datagrams_arrive_and_damaged_ones_do_not(void **state)
{
    (void)state;
    run(run_udp);
}

static void test_changed_udp_lite_datagrams_arrive_and_damaged_ones_do_not(void **state)
{
    (void)state;
    run(run_udp_lite);
}

static void test_changed_echo_requests_are_answered(void **state)
{
    (void)state;
    run(change_echoes);
}

static void test_changed_segments_are_answered(void **state)
{
    (void)state;
    run(change_segments);
}

static void test_changed_first_fragment_belongs_to_its_datagram(void **state)
{
    (void)state;
    run(change_fragments);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changed_udp_datagrams_arrive_and_damaged_ones_do_not),
        cmocka_unit_test(test_changed_udp_lite_datagrams_arrive_and_damaged_ones_do_not),
        cmocka_unit_test(test_changed_echo_requests_are_answered),
        cmocka_unit_test(test_changed_segments_are_answered),
        cmocka_unit_test(test_changed_first_fragment_belongs_to_its_datagram),
    };

    return cmocka_run_group_tests_name("change_kernel", tests, NULL, NULL);
}
