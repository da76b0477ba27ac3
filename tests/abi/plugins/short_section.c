/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * short_section - its section has one byte less than the head, so that reading the head would read beyond the section.
 */
#include <nfqe/plugin.h>

extern const char nfqe_plugin_v2[NFQE_HEAD_SIZE - 1] __attribute__((visibility("default")));
const char nfqe_plugin_v2[NFQE_HEAD_SIZE - 1] __attribute__((section(NFQE_SECTION), used)) = NFQE_MAGIC;
