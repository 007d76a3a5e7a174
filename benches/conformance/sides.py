"""The endpoint and moto behind one interface, and the comparable part of a response."""

import http.client
import json
import re
import time
import urllib.request
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from harness.endpoint import GROUP, POOL, QUEUE, TABLE, Endpoint

DEAD = f"{QUEUE}-dead"
USERS = 3
CONFIG = Config(retries={"total_max_attempts": 1}, read_timeout=60, max_pool_connections=50)

# Values that differ between runs are replaced by their kind.
KINDS = {
    "MessageId": (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "an id"),
    "ReceiptHandle": (r".+", "a receipt"),
    "SenderId": (r"AID[A-Z0-9]+", "a sender"),
    "SentTimestamp": (r"\d{13}", "milliseconds"),
    "ApproximateFirstReceiveTimestamp": (r"\d{13}", "milliseconds"),
    "UserCreateDate": (r"\d{4}-.*", "a time"),
    "UserLastModifiedDate": (r"\d{4}-.*", "a time"),
    # For human readers; each implementation has its own wording.
    "Message": (r".+", "a text"),
}
ORDER = {"Messages": "Body", "Successful": "Id", "Failed": "Id"}


class Side:
    """The target of calls. `fresh` resets it; then `queue`, `dead`, `pool`, `group`, `table`
    and `users` exist."""

    table, group = TABLE, GROUP

    def __init__(self, url):
        self.url = url
        self.sqs, self.cognito, self.dynamodb = (
            self.client(service) for service in ("sqs", "cognito-idp", "dynamodb"))

    def client(self, service, key="local"):
        return boto3.client(
            service, endpoint_url=self.url, config=CONFIG, region_name="eu-west-1",
            aws_access_key_id=key, aws_secret_access_key="local")

    def seen(self, name, value):
        """A response without the values that depend on this side and this run."""
        if isinstance(value, dict):
            return {key: self.seen(key, part) for key, part in value.items()
                    # SDKs treat an empty map like a missing one.
                    if key != "ResponseMetadata" and part != {}}
        if isinstance(value, list):
            key = ORDER.get(name)
            items = sorted(value, key=lambda item: item[key]) if key else value
            return [self.seen("", item) for item in items]
        if name in KINDS:
            pattern, kind = KINDS[name]
            return kind if re.fullmatch(pattern, str(value)) else f"not {kind}: {value!r}"
        if name == "RedrivePolicy":
            # JSON in a string; blanks may differ.
            return self.seen("", json.loads(value))
        if isinstance(value, str):
            value = value.replace(self.url, "URL").replace(self.pool, "POOL")
            value = re.sub(r"\b(000000000000|123456789012)\b", "ACCOUNT", value)
            for number, user in enumerate(self.users):
                value = value.replace(user, f"USER{number}")
        return value

    def ask(self, client, operation, **parameters):
        return Answer(self, client, operation, parameters)

    def send(self, body="body", to=None, **parameters):
        return self.ask(self.sqs, "send_message", QueueUrl=to or self.queue, MessageBody=body,
                        **parameters)

    def receive(self, most=10, wait=0, of=None, **parameters):
        return self.ask(self.sqs, "receive_message", QueueUrl=of or self.queue,
                        MaxNumberOfMessages=most, WaitTimeSeconds=wait, **parameters)

    def received(self, most=10, wait=5, **parameters):
        """Receipts of messages that should be visible soon."""
        messages = self.receive(most, wait, **parameters).answer.get("Messages", [])
        return [message["ReceiptHandle"] for message in messages]

    def depth(self, of=None):
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible",
                 "ApproximateNumberOfMessagesDelayed"]
        return self.ask(self.sqs, "get_queue_attributes", QueueUrl=of or self.queue,
                        AttributeNames=names)


class Answer:
    """The response to one call, its comparable part, and its duration."""

    def __init__(self, side, client, operation, parameters):
        began = time.monotonic()
        try:
            self.answer = getattr(client, operation)(**parameters)
            error = None
        except ClientError as refused:
            self.answer, error = refused.response, refused.response["Error"]
        self.seconds = time.monotonic() - began
        meta = self.answer["ResponseMetadata"]
        self.status = meta["HTTPStatusCode"]
        self.compared = {"status": self.status}
        self.compared |= side.seen("", {k: v for k, v in self.answer.items() if k != "Error"})
        if error:
            # A separate header holds the older code and the fault.
            query_error = meta["HTTPHeaders"].get("x-amzn-query-error")
            self.compared |= {"Error.Code": error["Code"], "x-amzn-query-error": query_error}
            # SDKs return a message in either spelling as `Message`.
            self.compared.pop("message", None)
            self.compared.pop("Message", None)

    def only(self, *names):
        """Compares only these members."""
        self.compared = {name: value for name, value in self.compared.items()
                         if name in ("status", *names)}
        return self


class EndpointSide(Side):
    name = "endpoint"

    def __init__(self, program):
        self.process = Endpoint(program)
        super().__init__(self.process.url)

    def fresh(self, receives=10):
        self.process.reset(max_receives=receives)
        self.queue, self.dead = self.process.queue_url(), self.process.queue_url(DEAD)
        self.pool, self.users = POOL, []
        # It knows only users who signed up.
        self.process.fill(USERS)
        for message in self.sqs.receive_message(
                QueueUrl=self.queue, MaxNumberOfMessages=10)["Messages"]:
            self.users.append(json.loads(message["Body"])["userName"])
            self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])

    def close(self):
        self.process.close()


class MotoSide(Side):
    name = "moto"

    def fresh(self, receives=10):
        urllib.request.urlopen(
            urllib.request.Request(f"{self.url}/moto-api/reset", method="POST")).close()
        self.dead = self.sqs.create_queue(QueueName=DEAD)["QueueUrl"]
        policy = {"deadLetterTargetArn": f"arn:aws:sqs:eu-west-1:123456789012:{DEAD}",
                  "maxReceiveCount": receives}
        self.queue = self.sqs.create_queue(
            QueueName=QUEUE, Attributes={"RedrivePolicy": json.dumps(policy)})["QueueUrl"]
        cognito = self.cognito
        self.pool = cognito.create_user_pool(PoolName="bench")["UserPool"]["Id"]
        cognito.create_group(UserPoolId=self.pool, GroupName=GROUP)
        self.users = [f"0000000{number}-0000-4000-8000-00000000000a" for number in range(USERS)]
        for user in self.users:
            cognito.admin_create_user(UserPoolId=self.pool, Username=user, MessageAction="SUPPRESS")
            cognito.admin_set_user_password(
                UserPoolId=self.pool, Username=user, Password="Pass-word-1", Permanent=True)
        self.dynamodb.create_table(
            TableName=TABLE, BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}])

    def close(self):
        pass


TARGETS = {
    "sqs": ("AmazonSQS", "1.0"),
    "cognito-idp": ("AWSCognitoIdentityProviderService", "1.1"),
    "dynamodb": ("DynamoDB_20120810", "1.0"),
}


class Raw:
    """One connection without an SDK."""

    def __init__(self, side):
        self.connection = http.client.HTTPConnection(urlsplit(side.url).netloc, timeout=60)

    def begin(self, service, operation, body, key="local"):
        """`key` is the access key id of a wrong signature. Without it, there is no signature."""
        target, version = TARGETS[service]
        scope = f"Credential={key}/20260101/eu-west-1/{service}/aws4_request"
        headers = {
            "Content-Type": f"application/x-amz-json-{version}",
            "X-Amz-Target": f"{target}.{operation}",
        }
        if key:
            headers["Authorization"] = (
                f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0")
        text = body if isinstance(body, str) else json.dumps(body)
        self.connection.request("POST", "/", text, headers)

    def ask(self, service, operation, body, key="local"):
        """Status, headers and body."""
        self.begin(service, operation, body, key)
        answer = self.connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def close(self):
        self.connection.close()
