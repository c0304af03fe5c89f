// Two projects: `unit` (everything that needs neither root nor a guest) and `e2e` (the lab, one guest per core).
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // A simulated process that was killed leaves promises that nobody waits for any more, as a real one does.
    onUnhandledError: ({ name }) => name !== 'ProcessKilled',
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/{unit,property,integration}/**/*.test.ts'],
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.e2e.ts'],
          // Ends what hangs; nothing is judged by its duration, and a busy machine emulates several times slower.
          testTimeout: 900_000,
          hookTimeout: 900_000,
          maxWorkers: 2,
        },
      },
    ],
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      exclude: ['src/**/generated/**'],
      reporter: ['text-summary', 'json-summary'],
      thresholds: { 'src/domain/**/*.ts': { lines: 95, branches: 95 } },
    },
  },
});
