#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# check_golden.sh GOLDEN SUPPRESSIONS PROBE PROBE_INSERTED PROBE_APPENDED
#
# Compares the types of the public headers (PROBE, from abi_probe.c) with those of the first release of this major
# version (GOLDEN). Then checks the comparison itself with two probes: it must report a member that was inserted in the
# middle of a struct, and must not report one that was appended.
#
# Exit status: 0 compatible; 1 not, with abidiff's report; 77 the check cannot run here, with the reason.
# GOLDEN was made by: abidw --no-corpus-path --no-comp-dir-path --no-show-locs --out-file GOLDEN PROBE, with the
# directory cut from the one path that is left in it. It is made once for a major version.

set -u
golden=$1 suppressions=$2 probe=$3 inserted=$4 appended=$5

if ! command -v abidiff >/dev/null; then
    echo "skipped: abidiff is not installed (Debian package abigail-tools)"
    exit 77
fi
if [ ! -f "$golden" ]; then
    echo "skipped: there is no ${golden##*/}, the golden file is per machine architecture"
    exit 77
fi

compare() {
    abidiff --no-added-syms --suppressions "$suppressions" "$golden" "$1"
}

status=0
if ! compare "$probe"; then
    echo "FAILED: the public headers changed in a way that breaks existing plugins; members may only be appended"
    status=1
fi
if compare "$inserted" >/dev/null; then
    echo "FAILED: a member inserted in the middle of a struct was not noticed"
    status=1
fi
if ! compare "$appended"; then
    echo "FAILED: a member appended at the end of a struct was refused"
    status=1
fi
exit $status
