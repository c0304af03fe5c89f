#!/usr/bin/env node
// The one program: picks what to run by its first argument and loads only that.
const [, , program = ''] = process.argv;

switch (program) {
  case 'agent':
    await (await import('./agent/main.ts')).main(process.argv);
    break;
  case 'controller':
    await (await import('./controller/main.ts')).main(process.argv);
    break;
  case 'demo':
    await (await import('./demo/main.ts')).main(process.argv);
    break;
  default:
    await (await import('./cli/main.ts')).main(process.argv);
}
