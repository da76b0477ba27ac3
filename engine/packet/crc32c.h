/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CRC32c (Castagnoli), which SCTP has for its checksum (RFC 9260, appendix A). [worker]
 */
#ifndef ENGINE_PACKET_CRC32C_H
#define ENGINE_PACKET_CRC32C_H

#include <stdint.h>

#define CRC32C_BEGIN UINT32_MAX

/* The register after `len` more bytes; the first time CRC32C_BEGIN. What is sent is ~register, low byte first. */
uint32_t crc32c_add(uint32_t crc, const uint8_t *bytes, uint32_t len);

#endif
