export async function progress<T>(name: string, step: () => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  process.stdout.write(`  ${name} ...`);
  try {
    const result = await step();
    process.stdout.write(` ready (${((performance.now() - startedAt) / 1000).toFixed(1)} s)\n`);
    return result;
  } catch (error) {
    process.stdout.write(' failed\n');
    throw error;
  }
}
