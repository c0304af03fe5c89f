// Agents that are broken on purpose, each in one way that a real mistake could be.
import type { Mutation } from './mutation.ts';

export const mutants: Readonly<Record<string, { readonly mutation: Mutation }>> = {};
