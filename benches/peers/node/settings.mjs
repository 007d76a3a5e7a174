// The environment, checked before anything starts.

const NAMES = [
  'AWS_ENDPOINT_URL',
  'AWS_REGION',
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'BENCH_QUEUE_URL',
  'BENCH_TABLE',
  'BENCH_GROUP',
  'BENCH_CONCURRENCY',
];

export function settings() {
  const { env } = process;
  const wrong = NAMES.filter((name) => !env[name]).map((name) => `${name} is not set`);
  for (const name of ['AWS_ENDPOINT_URL', 'BENCH_QUEUE_URL']) {
    if (env[name] && !URL.canParse(env[name])) wrong.push(`${name} is not a URL`);
  }
  const concurrency = Number(env.BENCH_CONCURRENCY);
  if (env.BENCH_CONCURRENCY && !(Number.isInteger(concurrency) && concurrency > 0)) {
    wrong.push('BENCH_CONCURRENCY is not a whole number above 0');
  }
  if (wrong.length > 0) {
    console.error(wrong.join(', '));
    process.exit(2);
  }
  return {
    queueUrl: env.BENCH_QUEUE_URL,
    table: env.BENCH_TABLE,
    group: env.BENCH_GROUP,
    concurrency,
  };
}
