#!/usr/bin/env bash
# Boots this machine's own systemd as process 1 of a machine that is made of this one: `boot.sh FOLDER CGROUP`.
#
# The root is an overlay over / whose upper layer is memory, the network is a loopback of its own, the control groups
# are a fresh cgroup2 view below CGROUP. It ends with this process: kill it by its id and the whole machine is gone.
# It must never write outside FOLDER (an empty one), never start a service of the machine it runs on, and never be
# reached from outside but by nsenter.
set -euo pipefail

folder=${1:?an empty folder for mount points}
cgroup=${2:?a control group of cgroup2, made for this machine}

if [ "${3:-}" != inside ]; then
  echo $$ >"$cgroup/cgroup.procs"
  exec unshare --pid --fork --kill-child --mount --cgroup --ipc --uts --net -- "$0" "$folder" "$cgroup" inside
fi

mount --make-rprivate /
mount -t tmpfs -o mode=0755 upper "$folder"
mkdir "$folder"/{upper,work,root}
mount -t overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" overlay "$folder/root"
root=$folder/root

mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=0755 dev "$root/dev"
mkdir "$root"/dev/{pts,shm}
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
  IFS=: read -r name major minor <<<"$node"
  mknod -m 0666 "$root/dev/$name" c "$major" "$minor"
done
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/0 "$root/dev/stdin"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"
mount -t tmpfs -o mode=0755 run "$root/run"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
# Not the profile of whoever works on the machine below.
mount -t tmpfs -o mode=0700 home "$root/root"

# Of the services of the machine below only what a Debian server always has: the journal and the bus.
units=$root/etc/systemd/system
rm -rf "$units" && mkdir -p "$units"
cat >"$units/machine.target" <<'UNIT'
[Unit]
Description=A machine that was made for a test
Requires=basic.target dbus.socket
After=basic.target dbus.socket
UNIT
for unit in systemd-udevd.service systemd-udev-trigger.service systemd-udevd-control.socket systemd-udevd-kernel.socket \
  systemd-modules-load.service systemd-sysctl.service systemd-hwdb-update.service systemd-remount-fs.service \
  systemd-random-seed.service systemd-binfmt.service systemd-timesyncd.service systemd-networkd.service \
  systemd-resolved.service apparmor.service ifupdown-pre.service networking.service keyboard-setup.service \
  console-setup.service getty.target dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount \
  sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount systemd-journal-flush.service \
  systemd-update-utmp.service; do
  ln -s /dev/null "$units/$unit"
done
: >"$root/etc/fstab"
echo machine >"$root/etc/hostname"
echo "00000000000000000000000000000001" >"$root/etc/machine-id"

cd "$root"
pivot_root . mnt
exec chroot . /usr/bin/env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
  /bin/sh -c 'umount -l /mnt; exec /lib/systemd/systemd --system --unit=machine.target --log-target=console --log-level=info' \
  </dev/null
