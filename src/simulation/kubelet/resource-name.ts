// Which resource names kubelet takes from a device plugin: the rule of IsExtendedResourceName in k8s.io/kubernetes
// pkg/apis/core/v1/helper, in sentences of our own.

const label = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const subdomain = new RegExp(`^${label}(\\.${label})*$`);
const namePart = /^[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?$/;

/** Why kubelet refuses the name; null: it takes it. */
export function refuseResourceName(resource: string): string | null {
  const parts = resource.split('/');
  const [prefix = '', name = ''] = parts;
  if (parts.length !== 2) return `resource name ${resource} is not of the form DOMAIN/NAME`;
  if (prefix === 'kubernetes.io' || prefix.endsWith('.kubernetes.io')) {
    return `resource name ${resource} lies in kubernetes.io, which belongs to Kubernetes`;
  }
  if (resource.startsWith('requests.')) return `resource name ${resource} must not begin with requests.`;
  // Quota names prepend this, and the whole has to be a name still.
  if (`requests.${prefix}`.length > 253 || !subdomain.test(prefix)) {
    return `${prefix} in resource name ${resource} is no DNS subdomain of at most 244 characters`;
  }
  if (name.length > 63 || !namePart.test(name)) {
    return `${name} in resource name ${resource} is no name of at most 63 letters, digits, -, _ and .`;
  }
  return null;
}
