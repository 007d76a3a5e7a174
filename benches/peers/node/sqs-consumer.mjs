// The worker on sqs-consumer: ten messages to a batch, and as many consumers as it takes to
// have BENCH_CONCURRENCY messages in progress.

import { SQSClient } from '@aws-sdk/client-sqs';
import { Consumer } from 'sqs-consumer';

import { provision, requestHandler } from './provision.mjs';
import { settings } from './settings.mjs';

const { queueUrl, concurrency } = settings();
const BATCH = 10;

// The cache would not help here: sqs-consumer passes a signal to each call, and a call with
// options goes without it. The MD5 of each body is one check more than TCP and TLS make.
const queues = new SQSClient({ requestHandler, md5: false, useQueueUrlAsEndpoint: false });

async function work(message) {
  await provision(JSON.parse(message.Body));
}

let failed = 0;

// The returned messages are deleted; the others come back after the visibility timeout.
async function handleMessageBatch(messages) {
  const outcomes = await Promise.allSettled(messages.map(work));
  const done = messages.filter((_, position) => outcomes[position].status === 'fulfilled');
  failed += messages.length - done.length;
  return done;
}

const working = new Set();

function start(batchSize) {
  const consumer = Consumer.create({
    sqs: queues,
    queueUrl,
    batchSize,
    waitTimeSeconds: 20,
    visibilityTimeout: 60,
    handleMessageBatch,
  });
  consumer.on('message_received', () => working.add(consumer));
  consumer.on('response_processed', () => working.delete(consumer));
  consumer.on('error', (error) => {
    // The stop itself ends a receive with an error.
    if (consumer.status.isRunning) console.error(error.message);
  });
  consumer.start();
  return consumer;
}

const consumers = [];
for (let left = concurrency; left > 0; left -= BATCH) {
  consumers.push(start(Math.min(left, BATCH)));
}

// The process ends by itself when nothing is in progress. An abort ends the long poll, and would
// end a batch's delete as well.
function stop() {
  for (const consumer of consumers) consumer.stop({ abort: !working.has(consumer) });
}
process.once('SIGTERM', stop).once('SIGINT', stop);
process.once('exit', () => {
  if (failed > 0) console.error(`${failed} messages left to their visibility timeout`);
});
