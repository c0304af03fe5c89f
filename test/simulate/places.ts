// Where things lie on a simulated node.

export const stateDirectory = '/var/lib/vfio-operator';
export const policyDirectory = '/etc/vfio-operator/policies';
export const pluginDirectory = '/var/lib/kubelet/device-plugins';
export const kubeletRoot = '/var/lib/kubelet';
