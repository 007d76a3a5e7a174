// The smallest loop over Lambda's runtime API that can serve a handler. AWS's own runtime for
// Node does more for each event (a full context, logs with the request id, uncaught
// errors, callbacks), so that a comparison with this one favours Node.
//
// node bootstrap.mjs [MODULE]: the bundle by default.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html

import { Agent, request } from 'node:http';

if (!URL.canParse(`http://${process.env.AWS_LAMBDA_RUNTIME_API}`) || !process.env.BENCH_QUEUE_URL) {
  console.error('AWS_LAMBDA_RUNTIME_API (host:port) and BENCH_QUEUE_URL must be set');
  process.exit(2);
}

const agent = new Agent({ keepAlive: true, maxSockets: 1 });
const base = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation/`;

function call(method, path, body = '') {
  return new Promise((resolve, reject) => {
    const headers = { 'content-length': Buffer.byteLength(body) };
    request(base + path, { agent, method, headers }, async (answer) => {
      try {
        const chunks = await answer.toArray();
        resolve({ headers: answer.headers, body: Buffer.concat(chunks).toString() });
      } catch (error) {
        reject(error);
      }
    })
      .on('error', reject)
      .end(body);
  });
}

const { handler } = await import(new URL(process.argv[2] ?? 'dist/index.mjs', import.meta.url));

for (;;) {
  const { headers, body } = await call('GET', 'next');
  const id = headers['lambda-runtime-aws-request-id'];
  // The SDK passes it on with its calls.
  process.env._X_AMZN_TRACE_ID = headers['lambda-runtime-trace-id'] ?? '';
  try {
    const response = await handler(JSON.parse(body), { awsRequestId: id });
    await call('POST', `${id}/response`, JSON.stringify(response));
  } catch (error) {
    const { name: errorType, message: errorMessage } = error;
    await call('POST', `${id}/error`, JSON.stringify({ errorType, errorMessage }));
  }
}
