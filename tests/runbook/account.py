"""An account on moto with a stack of deploy/template.yaml, a user pool and people in it."""

import io
import json
import os
import re
import signal
import socket
import subprocess
import time
import zipfile
from pathlib import Path

import boto3
from botocore.config import Config

from front import Front

PROJECT = Path(os.environ["RUNBOOK_PROJECT"])
BIN = Path(os.environ["RUNBOOK_BIN"]).resolve()
WORK = Path(os.environ["RUNBOOK_WORK"])
TEMPLATE = PROJECT / "deploy/template.yaml"
ACCOUNT, REGION = "123456789012", "eu-west-1"
RECONCILE = '{"usher": 1, "command": "Reconcile", "includeFederated": true}'


def client(service):
    return boto3.client(service, config=Config(retries={"max_attempts": 1}))


cloudformation, cloudwatch, cognito, dynamodb, ec2, ecs, lambdas, logs, s3, sqs = map(
    client,
    "cloudformation cloudwatch cognito-idp dynamodb ec2 ecs lambda logs s3 sqs".split(),
)
front = Front(os.environ["AWS_ENDPOINT_URL"])


def until(what, probe, seconds=60):
    end = time.monotonic() + seconds
    while not (found := probe()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.1)
    return found


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


# The operator's machine has no worker, whatever else may run on this one. The port is bound but not
# listening: it stays reserved, and connections are refused.
_reserved = socket.socket()
_reserved.bind(("127.0.0.1", 0))
NO_WORKER = f"127.0.0.1:{_reserved.getsockname()[1]}"


# --- The stack ---------------------------------------------------------------------------


def new_pool(name):
    pool = cognito.create_user_pool(PoolName=name)["UserPool"]["Id"]
    # Without the days that Cognito no longer has, and moto forgets at the first update.
    cognito.update_user_pool(
        UserPoolId=pool, AdminCreateUserConfig={"AllowAdminCreateUserOnly": False}
    )
    app = cognito.create_user_pool_client(UserPoolId=pool, ClientName="app")
    return pool, app["UserPoolClient"]["ClientId"]


pool, app = new_pool("people")
new, new_app = new_pool("people of tomorrow")
archive = io.BytesIO()
with zipfile.ZipFile(archive, "w") as zipped:
    zipped.writestr("bootstrap", "in the place of usher-trigger: moto does not run it")
s3.create_bucket(
    Bucket="usher-releases", CreateBucketConfiguration={"LocationConstraint": REGION}
)
for version in ("1.0.0", "1.1.0"):
    s3.put_object(
        Bucket="usher-releases", Key=f"usher-trigger-{version}.zip", Body=archive.getvalue()
    )
s3.put_object(Bucket="usher-releases", Key="template.yaml", Body=TEMPLATE.read_bytes())
cloudformation.create_stack(
    StackName="usher",
    TemplateURL="https://usher-releases.s3.amazonaws.com/template.yaml",
    Capabilities=["CAPABILITY_IAM"],
    Parameters=[
        {"ParameterKey": key, "ParameterValue": value}
        for key, value in {
            "UserPoolId": pool,
            "TriggerCodeBucket": "usher-releases",
            "TriggerCodeKey": "usher-trigger-1.0.0.zip",
            "WorkerImage": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/usher@sha256:{'b' * 64}",
            "SubnetIds": ",".join(s["SubnetId"] for s in ec2.describe_subnets()["Subnets"][:2]),
            "VpcId": ec2.describe_vpcs()["Vpcs"][0]["VpcId"],
        }.items()
    ],
)
stack = cloudformation.describe_stacks(StackName="usher")["Stacks"][0]
assert stack["StackStatus"] == "CREATE_COMPLETE", stack
outputs = {out["OutputKey"]: out["OutputValue"] for out in stack["Outputs"]}
queue, dead_letter_queue = outputs["QueueUrl"], outputs["DeadLetterQueueUrl"]
table = outputs["ProfileTableName"]

# moto's CloudFormation passes alarms over: they are made by name here, as the template has
# them, so that what the runbook asks of them is answered.
ALARMS = {
    name: re.sub(r"\s+", " ", description).strip()
    for name, description in re.findall(
        r"AlarmName: !Sub \$\{Name\}-(\S+)\n\s+AlarmDescription: >-\n((?:\s{8}.*\n)+)",
        TEMPLATE.read_text(),
    )
}


def alarm(name, state="ALARM"):
    cloudwatch.put_metric_alarm(
        AlarmName=f"usher-{name}", AlarmDescription=ALARMS[name], Namespace="usher", MetricName=name,
        Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
    )
    cloudwatch.set_alarm_state(AlarmName=f"usher-{name}", StateValue=state, StateReason="by the test")


def is_over(name):
    alarm(name, "OK")


for name in ALARMS:
    is_over(name)


# --- People ------------------------------------------------------------------------------


def sign_up(name, pool=pool, app=app):
    """A confirmed user, and the event that Cognito would call the trigger with."""
    attributes = [{"Name": "email", "Value": f"{name}@example.com"}]
    cognito.sign_up(ClientId=app, Username=name, Password="Pass-word-1", UserAttributes=attributes)
    cognito.admin_confirm_sign_up(UserPoolId=pool, Username=name)
    found = cognito.admin_get_user(UserPoolId=pool, Username=name)
    attributes = {entry["Name"]: entry["Value"] for entry in found["UserAttributes"]}
    event = {
        "version": "1",
        "triggerSource": "PostConfirmation_ConfirmSignUp",
        "region": REGION,
        "userPoolId": pool,
        "userName": name,
        "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": app},
        "request": {"userAttributes": {**attributes, "cognito:user_status": "CONFIRMED"}},
        "response": {},
    }
    return {"name": name, "sub": attributes["sub"], "pool": pool, "event": json.dumps(event)}


def send(*bodies, to=queue, **attributes):
    """Ids of the messages, in this order."""
    ids = []
    for first in range(0, len(bodies), 10):
        sent = sqs.send_message_batch(
            QueueUrl=to,
            Entries=[
                {
                    "Id": str(number),
                    "MessageBody": body,
                    "MessageAttributes": {
                        f"usher.{key}": {"DataType": "String", "StringValue": value}
                        for key, value in attributes.items()
                    },
                }
                for number, body in enumerate(bodies[first : first + 10])
            ],
        )
        ids += [one["MessageId"] for one in sorted(sent["Successful"], key=lambda one: int(one["Id"]))]
    return ids


def groups_of(person):
    try:
        found = cognito.admin_list_groups_for_user(UserPoolId=person["pool"], Username=person["name"])
    except cognito.exceptions.UserNotFoundException:
        return None
    return [group["GroupName"] for group in found["Groups"]]


def profile_of(person):
    return dynamodb.get_item(TableName=table, Key={"id": {"S": person["sub"]}}).get("Item")


def add_owner_index(table):
    """The index that Amplify makes for `index("profileOwner")`."""
    dynamodb.update_table(
        TableName=table,
        # All of the table: moto forgets those that are not named.
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name in ("id", "profileOwner")
        ],
        GlobalSecondaryIndexUpdates=[
            {
                "Create": {
                    "IndexName": "userProfilesByProfileOwner",
                    "KeySchema": [{"AttributeName": "profileOwner", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            }
        ],
    )


def is_provisioned(person):
    return groups_of(person) == ["EVERYONE"] and profile_of(person) is not None


def waiting(url=None):
    """moto counts one state after the other, and misses a message that comes from the second
    into the first meanwhile. So it is asked twice."""

    def count():
        found = sqs.get_queue_attributes(
            QueueUrl=url or queue,
            AttributeNames=[
                "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible",
            ],
        )
        return sum(map(int, found["Attributes"].values()))

    return max(count(), count())


# --- The worker, as ECS runs it ----------------------------------------------------------


def task_environment():
    # The newest: moto's service does not always follow.
    task = ecs.describe_task_definition(taskDefinition="usher-worker")
    [container] = task["taskDefinition"]["containerDefinitions"]
    return {entry["name"]: entry["value"] for entry in container["environment"]}


class Worker:
    """One task. What it writes goes where ECS and CloudWatch bring it: lines to the log
    group, and the figures of its metric lines to CloudWatch."""

    running = []

    def __init__(self, **settings):
        self.log = WORK / "log" / f"worker-{time.monotonic_ns()}.log"
        self.shipped = 0
        self.port = free_port()
        variables = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        variables |= task_environment() | {
            "AWS_ENDPOINT_URL": front.url,
            "NO_PROXY": "127.0.0.1,localhost",
            "USHER_HTTP__LISTEN": f"127.0.0.1:{self.port}",
            # The test has no twenty seconds for a poll.
            "USHER_QUEUE__WAIT": "1s",
            **settings,
        }
        self.child = subprocess.Popen(
            [BIN / "usher", "worker", "--log-format", "json"],
            env=variables, cwd=WORK, stdin=subprocess.DEVNULL,
            stdout=self.log.open("w"), stderr=subprocess.STDOUT,
        )
        Worker.running.append(self)

    def lines(self):
        return [line for line in self.log.read_text().splitlines() if line]

    def ship(self):
        """What CloudWatch Logs would have of it by now."""
        lines = self.lines()[self.shipped :]
        self.shipped += len(lines)
        stream = f"usher/worker/{self.log.stem}"
        if self.shipped == len(lines):
            logs.create_log_stream(logGroupName=outputs["WorkerLogGroup"], logStreamName=stream)
        now = int(time.time() * 1000)
        if lines:
            logs.put_log_events(
                logGroupName=outputs["WorkerLogGroup"], logStreamName=stream,
                logEvents=[{"timestamp": now, "message": line} for line in lines],
            )
        for line in lines:
            embedded = json.loads(line)
            for metrics in embedded.get("_aws", {}).get("CloudWatchMetrics", []):
                cloudwatch.put_metric_data(
                    Namespace=metrics["Namespace"],
                    MetricData=[
                        {
                            "MetricName": metric["Name"],
                            "Value": embedded[metric["Name"]],
                            "Dimensions": [
                                {"Name": name, "Value": embedded[name]}
                                for name in metrics["Dimensions"][0]
                            ],
                        }
                        for metric in metrics["Metrics"]
                    ],
                )

    def stop(self):
        if self in Worker.running:
            Worker.running.remove(self)
            self.child.send_signal(signal.SIGTERM)
            assert self.child.wait(timeout=40) == 0, self.log.read_text()[-2000:]
            self.ship()


def stop_workers():
    for worker in list(Worker.running):
        worker.stop()
