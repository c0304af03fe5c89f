// The names under which a container finds its devices. KubeVirt and the SR-IOV network device plugin transform the resource name
// in different ways, and each of them can map two names to one variable.

/**
 * Name of the variable that carries the addresses of `resource`.
 * KubeVirt (pkg/util/util.go, ResourceNameToEnvVar): `PCI_RESOURCE_`, upper case, `/` and `.` to `_`, a hyphen stays.
 * SR-IOV network device plugin (pkg/netdevice): `PCIDEVICE_`, upper case, everything but letters and digits to `_`.
 */
export function resourceVariable(environment: 'KubeVirt' | 'SriovNetwork', resource: string): string {
  const name = resource.toUpperCase();
  return environment === 'KubeVirt'
    ? `PCI_RESOURCE_${name.replace(/[/.]/g, '_')}`
    : `PCIDEVICE_${name.replace(/[^A-Z0-9]/g, '_')}`;
}
