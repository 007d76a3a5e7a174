// The worker on squiss-ts: twenty messages in flight for each poller, and as many pollers as it
// takes to have BENCH_CONCURRENCY.

import { SQS } from '@aws-sdk/client-sqs';
import { Squiss } from 'squiss-ts';

import { provision, requestHandler } from './provision.mjs';
import { settings } from './settings.mjs';

const { queueUrl, concurrency } = settings();

// The cache would not help here: squiss passes a signal to each receive, and a call with
// options empties it. The MD5 of each body is one check more than TCP and TLS make.
const queues = new SQS({ requestHandler, md5: false, useQueueUrlAsEndpoint: false });

let failed = 0;

async function work(message) {
  try {
    await provision(message.body);
  } catch {
    // Comes back after the visibility timeout.
    failed += 1;
    message.keep();
    return;
  }
  // Not waited for: the slot is free already, and when the call fails, squiss notifies its
  // error listeners but never settles this promise.
  message.del();
}

// A poller makes one receive at a time, which brings ten messages at most: a single one
// would wait for the queue while slots are free. Two batches each, one in progress while the next
// is fetched.
const BATCH = 10;
const SHARE = 2 * BATCH;

function start(maxInFlight) {
  const squiss = new Squiss({
    SQS: queues,
    queueUrl,
    bodyFormat: 'json',
    maxInFlight,
    receiveBatchSize: BATCH,
    // By default it asks for one message as soon as one slot is free, and ends up with many
    // small receives.
    minReceiveBatchSize: Math.min(BATCH, Math.ceil(maxInFlight / 2)),
    receiveWaitTimeSecs: 20,
    visibilityTimeoutSecs: 60,
    // Nothing reads the attributes.
    receiveAttributes: [],
    receiveSqsAttributes: [],
    deleteBatchSize: BATCH,
    deleteWaitMs: 50,
  });
  squiss.on('message', work);
  squiss.on('error', (error) => console.error(error.message));
  squiss.start();
  return squiss;
}

const pollers = [];
for (let left = concurrency; left > 0; left -= SHARE) pollers.push(start(Math.min(left, SHARE)));

// The process ends by itself when nothing is in progress.
function stop() {
  for (const squiss of pollers) squiss.stop();
}
process.once('SIGTERM', stop).once('SIGINT', stop);
process.once('exit', () => {
  if (failed > 0) console.error(`${failed} messages left to their visibility timeout`);
});
