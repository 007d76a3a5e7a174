import { defineBackend } from "@aws-amplify/backend";
import { CfnOutput, Duration } from "aws-cdk-lib";
import { PolicyStatement } from "aws-cdk-lib/aws-iam";
import { Queue, QueueEncryption } from "aws-cdk-lib/aws-sqs";
import { auth } from "./auth/resource";
import { data } from "./data/resource";
import { usherTrigger } from "./functions/usher-trigger/resource";

const backend = defineBackend({ auth, data, usherTrigger });

const stack = backend.createStack("usher");
const deadLetters = new Queue(stack, "DeadLetters", {
  encryption: QueueEncryption.SQS_MANAGED,
  enforceSSL: true,
  // A dead letter keeps the age that its message had: longer than the queue's.
  retentionPeriod: Duration.days(14),
});
const queue = new Queue(stack, "SignUps", {
  encryption: QueueEncryption.SQS_MANAGED,
  enforceSSL: true,
  retentionPeriod: Duration.days(4),
  // Above usher's own count (worker.max_attempts), so that usher and not SQS puts
  // a message aside, with the reason.
  deadLetterQueue: { queue: deadLetters, maxReceiveCount: 1000 },
});

backend.usherTrigger.addEnvironment("USHER_QUEUE__URL", queue.queueUrl);
// grantSendMessages would allow more than the one call that it makes.
backend.usherTrigger.resources.lambda.addToRolePolicy(
  new PolicyStatement({ actions: ["sqs:SendMessage"], resources: [queue.queueArn] }),
);

// What the worker is told. In the root stack, since the table is in one that needs
// the queue's.
const outputs = {
  UsherQueueUrl: queue.queueUrl,
  UsherUserPoolId: backend.auth.resources.userPool.userPoolId,
  UsherProfilesTable: backend.data.resources.tables["UserProfile"].tableName,
};
for (const [name, value] of Object.entries(outputs)) {
  new CfnOutput(backend.stack, name, { value });
}
