// The policies of the demo, as files that a person would keep in Git. Two of them also match a device that the node lives on: nothing
// in them protects it, the agent does.

/** Where the demo's agent looks for policies. */
export const policyDirectory = '/etc/vfio-operator/policies';

/** Resource names that pods of the demo ask for. */
export const resources = {
  gpu: 'vfio-operator.dev/gpu',
  connectX: 'vfio-operator.dev/connectx-vf',
  nvme: 'vfio-operator.dev/nvme',
} as const;

const head = 'apiVersion: vfio-operator.dev/v1alpha1\nkind: VfioPolicy\n';

/** Text by file name. */
export const policyFiles: Readonly<Record<string, string>> = {
  'gpu.yaml': `${head}metadata: { name: gpu }
spec:
  devices:
    - vendor: '10de'
      class: '03'
  iommuGroup: BindCompanions # its audio function comes along
  resource: { name: ${resources.gpu} }
`,
  'connectx.yaml': `${head}metadata: { name: connectx }
spec:
  devices:
    - vendor: '15b3'
      function: Physical
  sriov: { virtualFunctions: 4 }
  resource: { name: ${resources.connectX} }
`,
  'nvme.yaml': `${head}metadata: { name: nvme }
spec:
  devices:
    - class: '010802' # every NVMe drive
  resource: { name: ${resources.nvme} }
`,
  'nic.yaml': `${head}metadata: { name: nic }
spec:
  devices:
    - vendor: '8086'
      device: '10d3'
`,
};
