/* SPDX-License-Identifier: MIT */
/*
 * The version of nfq-engine, in the one place where it is written. The build system, the packages
 * and `nfq-engine --version` read it from here.
 */
#ifndef NFQE_VERSION_H
#define NFQE_VERSION_H

#define NFQE_VERSION "0.1.0"

#endif
