#!/bin/busybox sh
# First program of the guest: reaches the test machine's root by 9p, lays the lab's layers and a tmpfs over it, goes there.
set -e
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
. /lab/settings
for module in /modules/*.ko; do insmod "$module"; done
mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=512000 root /host
for bdi in /sys/class/bdi/9p*; do echo 512 > "$bdi/read_ahead_kb"; done
# Overlay refuses a layer below another one, so the modules get an overlay of their own.
number=0
lower=
for layer in $LAYERS; do
  ln -s "/host$layer" "/layers/$number"
  lower="$lower:/layers/$number"
  number=$((number + 1))
done
mount -t tmpfs -o mode=0755 tmpfs /rw
mkdir /rw/root /rw/root-work /rw/modules /rw/modules-work
mount -t overlay -o lowerdir=/host,upperdir=/rw/root,workdir=/rw/root-work overlay /new
mkdir -p "/new/usr/lib/modules/$RELEASE"
mount -t overlay -o "lowerdir=${lower#:},upperdir=/rw/modules,workdir=/rw/modules-work" modules "/new/usr/lib/modules/$RELEASE"
mkdir -p /new/lab/tools
cp -a /lab/. /bin/busybox /new/lab/
mount -o bind "/host$TOOLS" /new/lab/tools
for path in $VISIBLE; do
  mkdir -p "/new/lab/visible$path"
  mount -o bind "/host$path" "/new/lab/visible$path"
done
mount -t devtmpfs devtmpfs /new/dev
umount /sys
umount /proc
umount /dev
exec switch_root /new /lab/busybox sh /lab/boot.sh
