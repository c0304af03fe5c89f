// What a person is told when a policy breaks a rule between its fields. These are the very messages of the CEL rules in the CRD (a
// test holds both against each other), so that a file and the API server say the same.
export const policySentences = {
  selectorTooWide:
    'a selector needs at least one of vendor, class of 2 digits or more, modalias with a literal vendor or class, addresses, slots, serialNumbers, acpiIndexes, physicalFunctions: anything less could take the whole node',
  parentsArePhysical: 'physicalFunctions selects virtual functions, so function cannot be Physical',
  pciAddressForm: 'a PCI address has its domain and is lower case, such as 0000:3b:00.0',
  onlyWithSriov: 'PrimaryNetwork and RootStorage can be allowed only together with sriov, for making virtual functions',
  sriovSelectsParents:
    'with sriov the selectors name the physical functions that get virtual functions: leave out physicalFunctions and function Virtual',
  labelValues: 'In and NotIn need values; Exists and DoesNotExist take none',
  moduleNeedsName: 'module says where the driver named by name comes from, so it needs name',
  variantOrName: 'requireVariant is a demand on the choice by module aliases, which name replaces; give one of the two',
  kubernetesDomain: 'domains that end in kubernetes.io belong to Kubernetes; kubelet refuses them',
  requestsPrefix: 'names that begin with requests. belong to resource quotas; kubelet refuses them',
  longDomain: 'the domain before the slash has at most 244 characters',
} as const;
