// What a person is told when a policy breaks one of the rules that the planner insists on by itself. These are the messages of the same
// rules in the CRD (a test holds both against each other), so that everybody says the same.
export const policySentences = {
  selectorTooWide:
    'a selector needs at least one of vendor, class of 2 digits or more, modalias with a literal vendor or class, addresses, slots, serialNumbers, acpiIndexes, physicalFunctions: anything less could take the whole node',
  onlyWithSriov: 'PrimaryNetwork and RootStorage can be allowed only together with sriov, for making virtual functions',
} as const;
