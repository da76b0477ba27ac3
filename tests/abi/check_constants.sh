#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# check_constants.sh LAYOUT HEADER...
#
# Checks that LAYOUT (abi_layout.h) asserts the value of every constant that a public header defines, as an enumerator or
# by #define: a constant that is not asserted could change unnoticed, since abidiff does not see the value of a #define,
# nor an enumeration that no struct has as the type of a member.
#
# Not constants: include guards, names that end in _ (not public), and the macros that define a plugin or its lists.
# NFQE_VERSION is that of the release. Exit status: 0 all are asserted, 1 some are not, with their names.

set -u
layout=$1
shift

# The enumerators: the names in an enumeration, without its comments.
enumerators=$(grep -hvE '^#' "$@" | tr '\n' ' ' | sed -E 's:/\*[^*]*\*+([^/*][^*]*\*+)*/: :g' |
    grep -oE '\benum nfqe_[a-z_]+ \{[^}]*\}' | grep -oE '\bNFQE_[A-Z0-9_]*[A-Z0-9]\b')
defines=$(sed -nE 's/^#define (NFQE_[A-Z0-9_]*[A-Z0-9])([( ].*)$/\1/p' "$@")
names=$(printf '%s\n' "$enumerators" "$defines" | sort -u)
status=0
checked=0
for name in $names; do
    case $name in
    NFQE_PLUGIN | NFQE_PLUGIN_CXX | NFQE_VERSION | NFQE_MEMBER | NFQE_OPTIONS | NFQE_COUNTERS | NFQE_REASONS) continue ;;
    esac
    checked=$((checked + 1))
    if ! grep -qE "^NFQE_(IS|TEXT)\(${name}[(,]" "$layout"; then
        echo "FAILED: ${layout##*/} asserts nothing about $name"
        status=1
    fi
done
if [ "$checked" -lt 50 ] || [ "$(echo "$enumerators" | wc -w)" -lt 50 ]; then
    echo "FAILED: only $checked constants found in the headers; this check no longer reads them"
    status=1
fi
exit $status
