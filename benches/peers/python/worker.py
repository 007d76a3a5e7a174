"""The worker on boto3 and threads.

Pollers take batches of ten, and a pool of threads processes the messages. One call deletes the
processed messages of a batch.
"""

import json
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

BATCH = 10
NAMES = (
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "BENCH_QUEUE_URL",
    "BENCH_TABLE",
    "BENCH_GROUP",
    "BENCH_CONCURRENCY",
)


def check(env):
    """Exits with all errors of the environment, if there are any."""
    wrong = [f"{name} is not set" for name in NAMES if not env.get(name)]
    for name in ("AWS_ENDPOINT_URL", "BENCH_QUEUE_URL"):
        if env.get(name) and not urlsplit(env[name]).netloc:
            wrong.append(f"{name} is not a URL")
    concurrency = env.get("BENCH_CONCURRENCY")
    if concurrency and not (concurrency.isdecimal() and int(concurrency) > 0):
        wrong.append("BENCH_CONCURRENCY is not a whole number above 0")
    if wrong:
        print(", ".join(wrong), file=sys.stderr)
        sys.exit(2)


class Worker:
    def __init__(self, env):
        self.queue_url = env["BENCH_QUEUE_URL"]
        self.table = env["BENCH_TABLE"]
        self.group = env["BENCH_GROUP"]
        self.concurrency = int(env["BENCH_CONCURRENCY"])
        config = Config(
            # boto3 itself does not read AWS_REGION.
            region_name=env["AWS_REGION"],
            # The default of 10 would throw away the connections of the other threads.
            max_pool_connections=self.concurrency,
            # The parameters always have the same shape, so they need no check at each call.
            parameter_validation=False,
        )
        # Clients may be shared between threads; resources and sessions may not.
        self.pools = boto3.client("cognito-idp", config=config)
        self.tables = boto3.client("dynamodb", config=config)
        self.queues = boto3.client("sqs", config=config)
        self.threads = ThreadPoolExecutor(self.concurrency)
        self.failed = 0

    def add_to_group(self, event):
        self.pools.admin_add_user_to_group(
            UserPoolId=event["userPoolId"],
            Username=event["userName"],
            GroupName=self.group,
        )

    def write_profile(self, event):
        attributes = event["request"]["userAttributes"]
        sub = attributes["sub"]
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        now = now.replace("+00:00", "Z")
        try:
            self.tables.put_item(
                TableName=self.table,
                Item={
                    "id": {"S": sub},
                    "__typename": {"S": "UserProfile"},
                    "email": {"S": attributes["email"]},
                    "profileOwner": {"S": f"{sub}::{event['userName']}"},
                    "createdAt": {"S": now},
                    "updatedAt": {"S": now},
                },
                ConditionExpression="attribute_not_exists(id)",
            )
        except self.tables.exceptions.ConditionalCheckFailedException:
            pass  # Exists already: the message came twice.

    def work(self, message):
        """Returns whether the message is done. The calls are sequential: there are as many
        threads as messages, and more would only wait for the interpreter lock."""
        try:
            event = json.loads(message["Body"])
            self.add_to_group(event)
            self.write_profile(event)
            return True
        except Exception:  # After any error, the message is received again.
            return False

    def batch(self, messages):
        """Failed messages return after their visibility timeout."""
        outcomes = list(self.threads.map(self.work, messages))
        done = [message for message, ok in zip(messages, outcomes) if ok]
        self.failed += len(messages) - len(done)
        if done:
            self.queues.delete_message_batch(
                QueueUrl=self.queue_url,
                Entries=[
                    {"Id": str(position), "ReceiptHandle": message["ReceiptHandle"]}
                    for position, message in enumerate(done)
                ],
            )

    def poll(self, most, working):
        """Receives batches of at most `most` forever. Holds the lock during each batch."""
        while True:
            try:
                answer = self.queues.receive_message(
                    QueueUrl=self.queue_url,
                    MaxNumberOfMessages=most,
                    WaitTimeSeconds=20,
                    VisibilityTimeout=60,
                )
                if messages := answer.get("Messages"):
                    with working:
                        self.batch(messages)
            except (BotoCoreError, ClientError) as error:
                print(error, file=sys.stderr)
                time.sleep(1)

    def run(self):
        """Works until a signal to stop."""
        stop = {signal.SIGTERM, signal.SIGINT}
        signal.pthread_sigmask(signal.SIG_BLOCK, stop)  # also for threads that start later
        locks = []
        for left in range(self.concurrency, 0, -BATCH):
            locks.append(threading.Lock())
            poller = (min(left, BATCH), locks[-1])
            # A daemon, so its long poll does not delay the exit.
            threading.Thread(target=self.poll, args=poller, daemon=True).start()
        signal.sigwait(stop)
        # A batch in progress ends; without its lock, the poller starts no other.
        for lock in locks:
            lock.acquire()
        if self.failed:
            print(f"{self.failed} messages left to their visibility timeout", file=sys.stderr)


if __name__ == "__main__":
    check(os.environ)
    Worker(os.environ).run()
