// The trigger in Node: sends a confirmed sign-up to the queue and returns the event, whatever
// became of it, since Cognito would show an error to the user.

import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';

const QueueUrl = process.env.BENCH_QUEUE_URL;
const CONFIRMED = new Set([
  'PostConfirmation_ConfirmSignUp',
  'PostConfirmation_AdminConfirmSignUp',
]);

// Made once, when the function starts. The MD5 is one check more than TCP and TLS make.
const queues = new SQSClient({
  cacheMiddleware: true,
  md5: false,
  useQueueUrlAsEndpoint: false,
});

const text = (StringValue) => ({ DataType: 'String', StringValue });

export async function handler(event) {
  if (!CONFIRMED.has(event.triggerSource)) return event;
  try {
    await queues.send(
      new SendMessageCommand({
        QueueUrl,
        MessageBody: JSON.stringify(event),
        MessageAttributes: {
          'usher.kind': text('PostConfirmation'),
          'usher.forwarded_at': text(new Date().toISOString()),
        },
        MessageGroupId: event.userPoolId,
      }),
    );
  } catch (error) {
    console.error(`sign-up not forwarded: ${error.message}`);
  }
  return event;
}
