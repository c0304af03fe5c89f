#!/lab/busybox sh
# PID 1 of the guest after the switch of root: mounts, kmod, the drivers a node would have loaded, network, executor.
busybox=/lab/busybox
for applet in mount mkdir sh ln chmod cat ip modprobe sleep hostname basename; do eval "$applet() { $busybox $applet \"\$@\"; }"; done
. /lab/settings
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs -o mode=0755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
# As systemd mounts it.
mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup
for path in $VISIBLE; do
  mkdir -p "$path"
  mount -o bind "/lab/visible$path" "$path"
done
ln -sf /proc/self/fd /dev/fd
hostname "$NAME"

# kmod with its own libraries under the usual names, for the programs of the guest and for the kernel's own requests.
library=/lab/tools/lib/x86_64-linux-gnu
wrap() {
  printf '#!/lab/busybox sh\nexec %s/ld-linux-x86-64.so.2 --argv0 %s --library-path %s:/lab/tools/usr/lib/x86_64-linux-gnu /lab/tools/%s "$@"\n' \
    "$library" "$1" "$library" "$2" > "/usr/sbin/$1"
  chmod 755 "/usr/sbin/$1"
}
for name in kmod modprobe insmod rmmod lsmod depmod modinfo; do wrap "$name" bin/kmod; done
[ -x /usr/sbin/mkfs.ext4 ] || wrap mkfs.ext4 sbin/mke2fs
[ -x /usr/bin/lspci ] || wrap lspci usr/bin/lspci
[ -x /usr/sbin/ip ] || [ -x /bin/ip ] || wrap ip bin/ip
[ -x /usr/bin/rdma ] || wrap rdma usr/bin/rdma
[ -e /sbin/modprobe ] || echo /usr/sbin/modprobe > /proc/sys/kernel/modprobe
export PATH=${NODE%/*}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LANG=C.UTF-8

ip link set lo up
[ -n "$DRIVERS" ] && /usr/sbin/modprobe -a $DRIVERS
for path in /sys/class/net/*; do
  case "$(readlink -f "$path/device")" in */virtio*)
    uplink=${path##*/}
    ip link set "$uplink" up
    ip addr add 10.0.2.15/24 dev "$uplink"
    ip route add default via 10.0.2.2
    echo "$uplink" > /lab/uplink
  esac
done
export UV_THREADPOOL_SIZE=8
while :; do
  "$NODE" /lab/executor.mjs
  echo "lab: the executor ended with $?, starting it again"
done
