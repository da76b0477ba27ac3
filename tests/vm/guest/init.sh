#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Process 1 of the guest that scripts/vm starts, after start.sh: init.sh TREE. Runs what the guest is there for.
#
# That is /run/vm/command, a script that the host has written: its output goes to the virtio port `output`, its exit code
# to /run/vm/exit-code. Without /run/vm/command, a shell gets the console. Then the guest is powered off.
#
# Always: an exit code is there only if the command has ended.
set -eu
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8

SHARE=/run/vm

cd "$1"
code=0
if [ -e "$SHARE/command" ]; then
    bash "$SHARE/command" </dev/null >/dev/virtio-ports/output 2>&1 || code=$?
else
    read -r rows columns <"$SHARE/terminal"
    stty -F /dev/hvc0 sane rows "$rows" columns "$columns"
    printf 'Linux %s. What is written here is gone at the end; "exit" ends it.\n' "$(uname -r)" >/dev/hvc0
    TERM=$(cat "$SHARE/term") setsid -c bash -i <>/dev/hvc0 >&0 2>&1 || code=$?
fi
printf '%s\n' "$code" >"$SHARE/exit-code"
exec poweroff -f
