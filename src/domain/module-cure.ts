// What to tell a person whose host does not let the agent load a module.

/** The lines of host configuration that load `module` at boot, for systemd hosts and for Talos. */
export function describeBootLoading(module: string): string {
  return (
    `have the host load it at boot: a line "${module}" in /etc/modules-load.d/vfio-operator.conf, ` +
    `or on Talos "machine: {kernel: {modules: [{name: ${module}}]}}" in the machine configuration`
  );
}
