// KubeVirt objects in their documented shape (kubevirt.io/v1), and KubeVirt's own rules on host devices, in our own words: who may have a
// device, who offers it, and which address a virtual machine gets (virt-controller, virt-handler, virt-launcher).

export interface PciHostDevice {
  readonly pciVendorSelector: string;
  readonly resourceName: string;
  readonly externalResourceProvider?: boolean;
}

/** A KubeVirt object; `devices` undefined: no permittedHostDevices; null: without pciHostDevices. */
export function kubeVirtObject(devices?: readonly PciHostDevice[] | null): Record<string, unknown> {
  const permittedHostDevices = devices === null ? { usb: [] } : { pciHostDevices: devices };
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'KubeVirt',
    metadata: { name: 'kubevirt', namespace: 'kubevirt' },
    spec: {
      configuration: {
        developerConfiguration: { featureGates: ['HostDevices'] },
        ...(devices === undefined ? {} : { permittedHostDevices }),
      },
    },
  };
}

export function pciHostDevicesOf(object: unknown): readonly PciHostDevice[] | undefined {
  const { spec } = object as {
    readonly spec: {
      readonly configuration: {
        readonly permittedHostDevices?: { readonly pciHostDevices?: readonly PciHostDevice[] };
      };
    };
  };
  const { permittedHostDevices } = spec.configuration;
  return permittedHostDevices === undefined ? undefined : (permittedHostDevices.pciHostDevices ?? []);
}

/** Whether virt-controller lets a virtual machine have this resource: it asks only where the list is set. */
export function permits(object: unknown, resource: string): boolean {
  const devices = pciHostDevicesOf(object);
  return devices === undefined || devices.some(({ resourceName }) => resourceName === resource);
}

/** Resources that virt-handler offers by a plugin of its own, each with its selector. */
export function ownPlugins(object: unknown): readonly PciHostDevice[] {
  return (pciHostDevicesOf(object) ?? []).filter(({ externalResourceProvider }) => externalResourceProvider !== true);
}

/**
 * Addresses that virt-launcher gives to the entries of a virtual machine, in their order: of each resource's variable it takes one off
 * for each entry, and the address is gone from every resource then. Throws as it does, when there are too few.
 */
export function launcherAddresses(
  entries: readonly { readonly deviceName: string }[],
  environment: Readonly<Record<string, string>>,
): readonly string[] {
  const pools = new Map<string, string[]>();
  for (const { deviceName } of entries) {
    const variable = `PCI_RESOURCE_${deviceName.toUpperCase().replaceAll(/[/.]/g, '_')}`;
    const text = environment[variable]?.replace(/,$/, '');
    if (text === undefined) throw new Error(`failed to find ${variable}`);
    pools.set(deviceName, text.split(','));
  }
  return entries.map(({ deviceName }) => {
    const address = pools.get(deviceName)?.[0];
    if (address === undefined) throw new Error(`no more addresses of ${deviceName}`);
    for (const [name, pool] of pools)
      pools.set(
        name,
        pool.filter((one) => one !== address),
      );
    return address;
  });
}
