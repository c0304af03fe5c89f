# Makes the lab's guest a node: what a distribution's boot and its container packages would have done. Run once per boot, before containerd.
# Arguments: root of the node tools, directory with the CNI plugin of the tests.
set -e
tools=$1
# overlayfs takes no upper directory on an overlay, which the guest's root is.
grep -q ' /var/lib ' /proc/mounts || mount -t tmpfs -o mode=0755,size=75% tmpfs /var/lib
grep -q ' /var/log ' /proc/mounts || mount -t tmpfs -o mode=0755 tmpfs /var/log
mount --make-rshared /
modprobe -a overlay nf_tables nft_chain_nat
mkdir -p /var/lib/kubelet /var/lib/containerd /var/log/pods /run/containerd /etc/cni/net.d /opt/cni/bin /etc/containerd /etc/kubernetes
printf '# no names are looked up in the lab\n' > /etc/resolv.conf

# runc starts itself again through /proc/self/exe, so it must run by the guest's own loader.
cp "$tools/usr/sbin/runc" /usr/local/sbin/runc
library=/usr/lib/x86_64-linux-gnu
[ -e $library/libseccomp.so.2 ] || cp -a "$tools"$library/libseccomp.so.2* $library/
printf '#!/bin/sh\nexec %s/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 --library-path %s/lib/x86_64-linux-gnu:%s%s %s/usr/sbin/nft "$@"\n' \
  "$tools" "$tools" "$tools" "$library" "$tools" > /usr/local/sbin/nft
chmod 755 /usr/local/sbin/nft

# In place of kube-proxy: the service of the API server leads to the lab's closed forwarding.
nft -f - <<'RULES'
table ip lab {
  chain output {
    type nat hook output priority -100;
    ip daddr 10.96.0.1 tcp dport 443 dnat to 10.0.2.100:6443
  }
}
RULES

# A network plugin that answers what is expected; pods of the tests use the node's network.
cat > /opt/cni/bin/lab <<'PLUGIN'
#!/bin/sh
cat > /dev/null
[ "$CNI_COMMAND" = VERSION ] && exec echo '{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}'
[ "$CNI_COMMAND" = ADD ] && exec echo '{"cniVersion":"1.0.0","ips":[{"address":"10.244.0.2/24"}]}'
exit 0
PLUGIN
chmod 755 /opt/cni/bin/lab
echo '{"cniVersion":"1.0.0","name":"lab","plugins":[{"type":"lab"}]}' > /etc/cni/net.d/10-lab.conflist
