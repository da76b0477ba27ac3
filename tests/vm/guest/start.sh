#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# /init of the initramfs that scripts/vm makes: mounts the host's root file system and goes on there, in init.sh.
#
# Mounts what a Debian system has mounted: there is no systemd. All of it is done here, since busybox is in memory, and
# each program of the host's file system that starts takes a tenth of a second.
#
# Always: the host's root file system is mounted read-only and lies under an overlay in memory, so the guest can write
# everywhere and the host sees nothing of it. The share `run` of the host is writable, on /run/vm; its files `tree` and
# `modules` name the tree and the modules of this kernel. Runs as process 1; if a step fails, the kernel panics.
set -e

P9="trans=virtio,version=9p2000.L,msize=512000"

mkdir -p /proc /dev /lower /upper /root
mount -t proc proc /proc
mount -t devtmpfs devtmpfs /dev
while read -r module; do
    insmod "/modules/$module"
done </modules/order

# The host's files hardly change meanwhile, and a lookup that is not cached costs a round trip through the emulator.
mount -t 9p -o "$P9,cache=loose,ro" host /lower
mount -t tmpfs -o mode=0755 tmpfs /upper
mkdir /upper/data /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work overlay /root

mount -t tmpfs -o mode=0755 tmpfs /root/run
mkdir /root/run/vm /root/run/lock
mount -t 9p -o "$P9,cache=none" run /root/run/vm
read -r tree </root/run/vm/tree
read -r modules </root/run/vm/modules

# An empty /tmp; the tree stays where it is, also if that is in /tmp.
mkdir /tree
mount --bind "/root$tree" /tree
mount -t tmpfs -o mode=1777 tmpfs /root/tmp
mkdir -p "/root$tree"
mount --move /tree "/root$tree"
mkdir -p "/root/lib/modules/${modules##*/}"
mount --bind "/root$modules" "/root/lib/modules/${modules##*/}"

mkdir -p /dev/pts /dev/shm /dev/virtio-ports
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
ln -s /proc/self/fd /dev/fd
mount -t sysfs sysfs /root/sys
mount -t cgroup2 cgroup2 /root/sys/fs/cgroup
mount -t debugfs debugfs /root/sys/kernel/debug
mount -t tracefs tracefs /root/sys/kernel/tracing
# There is no udev, which would make these.
for port in /root/sys/class/virtio-ports/*; do
    read -r name <"$port/name" || continue # a console has none
    ln -s "/dev/${port##*/}" "/dev/virtio-ports/$name"
done
mount --move /dev /root/dev
mount --move /proc /root/proc

hostname vm
ip link set lo up
exec switch_root /root /usr/bin/busybox sh "$tree/tests/vm/guest/init.sh" "$tree"
