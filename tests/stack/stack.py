"""deploy/template.yaml on moto: made, worked with, changed, deleted."""

import ast
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
import zipfile
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from lambda_api import RuntimeApi

PROJECT = Path(os.environ["STACK_PROJECT"])
BIN = Path(os.environ["STACK_BIN"]).resolve()
WORK = Path(os.environ["STACK_WORK"])
TEMPLATE = PROJECT / "deploy/template.yaml"
ACCOUNT, REGION = "123456789012", "us-east-1"
RECONCILE = '{"usher": 1, "command": "Reconcile"}'
# What moto's CloudFormation passes over, and says so: nothing of these can be seen here.
# Beside that it does not delete log groups and clusters; an update does not change the
# policies of a role or the retention of a log group, nor take away what a condition
# switches off; and it knows nothing of a task's roles, size and architecture, of rules of
# security groups, and of RedriveAllowPolicy.
UNKNOWN_TO_MOTO = {"AWS::SQS::QueuePolicy", "AWS::Scheduler::Schedule", "AWS::CloudWatch::Alarm"}

passed = failed = 0


def check(name):
    """Runs the function it decorates at once: a failure ends nothing by itself."""

    def run(body):
        global passed, failed
        began = time.monotonic()
        try:
            body()
            passed += 1
            print(f"ok    {name} ({time.monotonic() - began:.1f}s)", flush=True)
        except Exception:
            failed += 1
            print(f"FAIL  {name}\n{traceback.format_exc()}", flush=True)

    return run


def equal(left, right):
    assert left == right, f"\n{left!r}\n is not\n{right!r}"


def until(what, probe, seconds=60):
    end = time.monotonic() + seconds
    while not (found := probe()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.2)
    return found


def client(service):
    return boto3.client(service, config=Config(retries={"max_attempts": 1}))


cloudformation, cognito, dynamodb, ec2, ecs, iam, lambdas, sns, sqs, s3, cloudwatch = map(
    client,
    "cloudformation cognito-idp dynamodb ec2 ecs iam lambda sns sqs s3 cloudwatch".split(),
)


# --- What is there before ----------------------------------------------------------------

pool = cognito.create_user_pool(PoolName="people")["UserPool"]["Id"]
app = cognito.create_user_pool_client(UserPoolId=pool, ClientName="app")["UserPoolClient"]["ClientId"]
vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"][:2]]

archive = io.BytesIO()
with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
    zipped.writestr("bootstrap", "in the place of usher-trigger: moto does not run it")
s3.create_bucket(Bucket="code")
s3.put_object(Bucket="code", Key="usher-trigger-0.1.0.zip", Body=archive.getvalue())

own_group = ec2.create_security_group(GroupName="ours", Description="ours", VpcId=vpc)["GroupId"]

PARAMETERS = {
    "UserPoolId": pool,
    "TriggerCodeBucket": "code",
    "TriggerCodeKey": "usher-trigger-0.1.0.zip",
    "WorkerImage": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/usher:0.1.0",
    "ImageRepositoryArn": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/usher",
    "SubnetIds": ",".join(subnets),
    "VpcId": vpc,
}


def make_table(name, key="id"):
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
        KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
    )


class Stack:
    """A stack, and what it made by its logical name."""

    def __init__(self, name, **parameters):
        self.name = name
        self.parameters = {**PARAMETERS, **parameters}
        cloudformation.create_stack(**self.request())
        self.read("CREATE_COMPLETE")

    def request(self):
        return {
            "StackName": self.name,
            "TemplateBody": TEMPLATE.read_text(),
            "Parameters": [
                {"ParameterKey": key, "ParameterValue": value}
                for key, value in self.parameters.items()
            ],
            "Capabilities": ["CAPABILITY_IAM"],
        }

    def update(self, **parameters):
        self.parameters |= parameters
        cloudformation.update_stack(**self.request())
        self.read("UPDATE_COMPLETE")

    def read(self, status):
        stack = cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]
        equal(stack["StackStatus"], status)
        self.outputs = {out["OutputKey"]: out["OutputValue"] for out in stack["Outputs"]}
        found = cloudformation.describe_stack_resources(StackName=self.name)["StackResources"]
        # Those that moto does not know are entries without a name.
        self.made = {
            made["LogicalResourceId"]: made.get("PhysicalResourceId")
            for made in found
            if made.get("LogicalResourceId")
        }

    def delete(self):
        cloudformation.delete_stack(StackName=self.name)
        stacks = cloudformation.describe_stacks()["Stacks"]
        assert self.name not in [stack["StackName"] for stack in stacks]

    def task(self):
        found = ecs.describe_task_definition(taskDefinition=self.made["TaskDefinition"])
        return found["taskDefinition"]["containerDefinitions"][0]

    def service(self):
        found = ecs.describe_services(
            cluster=self.outputs["ClusterName"], services=[self.outputs["ServiceName"]]
        )
        return found["services"][0]

    def worker_environment(self):
        return {entry["name"]: entry["value"] for entry in self.task()["environment"]}

    def trigger_environment(self):
        found = lambdas.get_function_configuration(FunctionName=self.made["Trigger"])
        return found["Environment"]["Variables"]

    def policies(self, role):
        """The inline policies of a role, as they are after all references are resolved."""
        name = self.made[role]
        names = iam.list_role_policies(RoleName=name)["PolicyNames"]
        found = {}
        for policy in names:
            document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
            # moto answers with Python's notation instead of JSON.
            found[policy] = ast.literal_eval(document) if isinstance(document, str) else document
        return found


# --- usher's programs --------------------------------------------------------------------


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def environment(variables):
    """As ECS and Lambda set it, and how the endpoint is found. The one thing that differs
    is the port, where something else on this machine may have 8080."""
    own = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    variables = dict(variables)
    if "USHER_HTTP__LISTEN" in variables:
        equal(variables["USHER_HTTP__LISTEN"], "0.0.0.0:8080")
        variables["USHER_HTTP__LISTEN"] = f"0.0.0.0:{free_port()}"
    return own | variables | {"NO_PROXY": "127.0.0.1"}


running = []


class Process:
    def __init__(self, name, command, variables):
        self.log = WORK / "log" / f"{name}.log"
        self.child = subprocess.Popen(
            [str(part) for part in command],
            env=variables,
            cwd=WORK / "tmp",
            stdin=subprocess.DEVNULL,
            stdout=self.log.open("w"),
            stderr=subprocess.STDOUT,
        )
        running.append(self.child)

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        return self.child.wait(timeout=30)


def usher(variables, *arguments):
    return subprocess.run(
        [BIN / "usher", *arguments],
        env=variables,
        cwd=WORK / "tmp",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


# --- People ------------------------------------------------------------------------------


def sign_up(name):
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
        "userName": found["Username"],
        "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": app},
        "request": {"userAttributes": {**attributes, "cognito:user_status": "CONFIRMED"}},
        "response": {},
    }
    return {"name": found["Username"], "sub": attributes["sub"], "event": json.dumps(event).encode()}


def groups_of(person):
    found = cognito.admin_list_groups_for_user(UserPoolId=pool, Username=person["name"])
    return [group["GroupName"] for group in found["Groups"]]


def profile_of(person, table):
    return dynamodb.get_item(TableName=table, Key={"id": {"S": person["sub"]}}).get("Item")


def is_provisioned(person, table):
    return groups_of(person) == ["EVERYONE"] and profile_of(person, table) is not None


def waiting(url):
    found = sqs.get_queue_attributes(
        QueueUrl=url,
        AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
    )
    return sum(map(int, found["Attributes"].values()))


# --- The template, looked at -------------------------------------------------------------


def says_nothing(*command):
    done = subprocess.run(command, cwd=WORK / "tmp", capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@check("cfn-lint has no finding, of whatever weight")
def _():
    tool = Path(sys.executable).with_name("cfn-lint")
    equal(says_nothing(tool, "--include-checks", "I", "--template", TEMPLATE), "")


@check("checkov has no finding, and each exception says why")
def _():
    tool = WORK / "checkov/bin/checkov"
    report = json.loads(
        says_nothing(
            tool, "--file", TEMPLATE, "--framework", "cloudformation", "--output", "json",
            "--skip-download",
        )
    )
    summary, results = report["summary"], report["results"]
    equal((summary["failed"], summary["parsing_errors"]), (0, 0))
    assert summary["passed"] >= 30, summary
    for skipped in results["skipped_checks"]:
        why = skipped["check_result"]["suppress_comment"]
        assert len(why) > 40, (skipped["check_id"], skipped["resource"], why)


# --- A stack that makes everything -------------------------------------------------------

stack = None


@check("the stack is made, with all that its outputs name")
def _():
    global stack
    stack = Stack("usher", AlarmEmail="ops@example.com", LoadBalancerSecurityGroupId=own_group)
    out = stack.outputs
    equal(sorted(out), sorted([
        "AlarmTopicArn", "ClusterName", "DashboardUrl", "DeadLetterQueueArn", "DeadLetterQueueUrl",
        "ProfileTableName", "QueueArn", "QueueUrl", "ServiceName", "TaskRoleArn", "TriggerArn",
        "TriggerLogGroup", "WorkerLogGroup",
    ]))
    equal(out["QueueArn"], f"arn:aws:sqs:{REGION}:{ACCOUNT}:usher")
    equal(out["TriggerArn"], f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:usher-trigger")
    for url in [out["QueueUrl"], out["DeadLetterQueueUrl"]]:
        sqs.get_queue_url(QueueName=url.rsplit("/", 1)[1])
    assert out["ProfileTableName"] in dynamodb.list_tables()["TableNames"]
    topics = [topic["TopicArn"] for topic in sns.list_topics()["Topics"]]
    assert out["AlarmTopicArn"] in topics
    subscriptions = sns.list_subscriptions_by_topic(TopicArn=out["AlarmTopicArn"])["Subscriptions"]
    equal([(s["Protocol"], s["Endpoint"]) for s in subscriptions], [("email", "ops@example.com")])


if stack is None:
    sys.exit(1)


@check("moto passes over what this test says it passes over, and nothing else")
def _():
    log = (WORK / "log/moto.log").read_text()
    said = {line.split()[-1] for line in log.splitlines() if "No Moto CloudFormation support for" in line}
    equal(said, UNKNOWN_TO_MOTO)


@check("the queues are as usher needs them")
def _():
    queue = sqs.get_queue_attributes(QueueUrl=stack.outputs["QueueUrl"], AttributeNames=["All"])["Attributes"]
    letters = sqs.get_queue_attributes(
        QueueUrl=stack.outputs["DeadLetterQueueUrl"], AttributeNames=["All"]
    )["Attributes"]
    equal(json.loads(queue["RedrivePolicy"]), {
        "deadLetterTargetArn": stack.outputs["DeadLetterQueueArn"], "maxReceiveCount": 12,
    })
    equal(queue["MessageRetentionPeriod"], str(4 * 86400))
    equal(letters["MessageRetentionPeriod"], str(14 * 86400))
    equal((queue["VisibilityTimeout"], queue["ReceiveMessageWaitTimeSeconds"]), ("60", "20"))
    equal((queue["SqsManagedSseEnabled"], letters["SqsManagedSseEnabled"]), ("true", "true"))


@check("the roles are the policies of deploy/, on just these resources")
def _():
    def of_the_project(name):
        text = (PROJECT / "deploy" / name).read_text()
        for word, value in {
            ":DEAD_LETTER_QUEUE": ":usher-dead-letters",
            ":QUEUE": ":usher",
            "REGION": REGION,
            "ACCOUNT": ACCOUNT,
            "USER_POOL_ID": pool,
            "/TABLE": f"/{stack.outputs['ProfileTableName']}",
        }.items():
            text = text.replace(word, value)
        return json.loads(text)

    equal(stack.policies("TaskRole"), {"usher": of_the_project("worker-policy.json")})
    trigger = stack.policies("TriggerRole")
    equal(trigger.pop("usher"), of_the_project("trigger-policy.json"))
    equal(list(trigger), ["platform"])
    equal(stack.policies("ScheduleRole"), {"usher": of_the_project("trigger-policy.json")})
    equal(list(stack.policies("ExecutionRole")), ["platform"])


@check("the pool may call the trigger, and no other pool may")
def _():
    policy = json.loads(lambdas.get_policy(FunctionName=stack.made["Trigger"])["Policy"])
    [statement] = policy["Statement"]
    equal(statement["Action"], "lambda:InvokeFunction")
    equal(statement["Principal"], {"Service": "cognito-idp.amazonaws.com"})
    arn = f"arn:aws:cognito-idp:{REGION}:{ACCOUNT}:userpool/{pool}"
    equal(statement["Condition"]["ArnLike"], {"AWS:SourceArn": arn})
    equal(statement["Condition"]["StringEquals"], {"AWS:SourceAccount": ACCOUNT})
    function = lambdas.get_function_configuration(FunctionName=stack.made["Trigger"])
    equal((function["Runtime"], function["Timeout"]), ("provided.al2023", 5))


@check("usher attach sets the triggers of a pool with twenty settings, and nothing else")
def _():
    function = stack.outputs["TriggerArn"]
    other = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:somebody-elses"
    settings = {
        "AccountRecoverySetting": {"RecoveryMechanisms": [{"Name": "verified_email", "Priority": 1}]},
        "AdminCreateUserConfig": {
            "AllowAdminCreateUserOnly": True,
            "InviteMessageTemplate": {"EmailMessage": "{username} {####}", "EmailSubject": "Come"},
        },
        "AutoVerifiedAttributes": ["email"],
        "DeletionProtection": "ACTIVE",
        "DeviceConfiguration": {"ChallengeRequiredOnNewDevice": True},
        "EmailConfiguration": {
            "EmailSendingAccount": "DEVELOPER",
            "SourceArn": f"arn:aws:ses:{REGION}:{ACCOUNT}:identity/example.com",
        },
        "EmailVerificationMessage": "code {####}",
        "EmailVerificationSubject": "your code",
        "LambdaConfig": {"PreSignUp": other, "PostAuthentication": other},
        "MfaConfiguration": "OFF",
        "Policies": {
            "PasswordPolicy": {
                "MinimumLength": 14, "RequireUppercase": False, "RequireLowercase": True,
                "RequireNumbers": True, "RequireSymbols": False, "TemporaryPasswordValidityDays": 3,
            },
        },
        "SmsAuthenticationMessage": "sign in {####}",
        "SmsConfiguration": {
            "ExternalId": "x", "SnsCallerArn": f"arn:aws:iam::{ACCOUNT}:role/sms",
        },
        "SmsVerificationMessage": "sms {####}",
        "UserAttributeUpdateSettings": {"AttributesRequireVerificationBeforeUpdate": ["email"]},
        "UserPoolAddOns": {"AdvancedSecurityMode": "AUDIT"},
        "UserPoolTags": {"team": "identity"},
        "UserPoolTier": "PLUS",
        "VerificationMessageTemplate": {
            "DefaultEmailOption": "CONFIRM_WITH_LINK", "EmailMessageByLink": "{##here##}",
        },
        "KeyConfiguration": {"KeyType": "AWS_OWNED_KEY"},
    }
    equal(len(settings), 20)
    full = cognito.create_user_pool(PoolName="full", **settings)["UserPool"]["Id"]

    def described():
        return cognito.describe_user_pool(UserPoolId=full)["UserPool"]

    before = described()
    for name, value in settings.items():
        if name != "AdminCreateUserConfig":
            equal(before[name], value)
    own = environment({})
    done = usher(own, "attach", "--user-pool-id", full, "--function-arn", function,
                 "--custom-message", "--yes", "--record", "before.json")
    equal((done.returncode, "DIFFERENT" in done.stdout), (0, False))
    after = described()
    equal(after.pop("LambdaConfig"), {
        "PreSignUp": other, "PostAuthentication": other,
        "PostConfirmation": function, "CustomMessage": function,
    })
    triggers = before.pop("LambdaConfig")
    equal(after, before)
    back = usher(own, "attach", "--user-pool-id", full, "--restore", "before.json", "--yes",
                 "--record", "after.json")
    equal(back.returncode, 0)
    equal(described()["LambdaConfig"], triggers)


@check("the task is not root, writes nowhere, has no capability, and time to drain")
def _():
    task = stack.task()
    equal((task["user"], task["readonlyRootFilesystem"]), ("65532:65532", True))
    equal(task["linuxParameters"], {"capabilities": {"drop": ["ALL"]}})
    equal((task["command"], task["healthCheck"]["command"]), (["worker"], ["CMD", "/usher", "health"]))
    drain = int(stack.worker_environment()["USHER_WORKER__DRAIN"].removesuffix("s"))
    assert drain + 3 <= task["stopTimeout"], (drain, task["stopTimeout"])
    equal(stack.service()["desiredCount"], 2)
    equal(stack.worker_environment()["USHER_QUOTA__PROCESSES"], "2")


@check("the dashboard is JSON, and every reference in it is resolved")
def _():
    text = cloudwatch.get_dashboard(DashboardName="usher")["DashboardBody"]
    assert "${" not in text and "None" not in text, text
    body = json.loads(text)
    titles = [widget["properties"]["title"] for widget in body["widgets"]]
    equal(len(titles), len(set(titles)))
    for widget in body["widgets"]:
        assert widget["x"] + widget["width"] <= 24, widget
        equal(widget["properties"]["region"], REGION)


@check("`usher check` finds nothing wrong, with the task's own environment")
def _():
    done = usher(environment(stack.worker_environment()), "check", "--output", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is above worker.max_attempts 8" in done.stdout, done.stdout


# --- The path of a sign-up ---------------------------------------------------------------

table = stack.outputs["ProfileTableName"]
api = RuntimeApi()
trigger = Process(
    "usher-trigger",
    [BIN / "usher-trigger"],
    environment(stack.trigger_environment())
    | {
        "AWS_LAMBDA_RUNTIME_API": api.address,
        "AWS_LAMBDA_FUNCTION_NAME": "usher-trigger",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
    },
)
task_environment = environment(stack.worker_environment())
worker = Process("worker", [BIN / "usher", *stack.task()["command"]], task_environment)


@check("the task's health check passes")
def _():
    command = stack.task()["healthCheck"]["command"]
    equal(command[:2], ["CMD", "/usher"])
    until("healthy", lambda: usher(task_environment, *command[2:]).returncode == 0)


@check("sign-ups go through the trigger and the worker into group and table")
def _():
    people = [sign_up(f"person-{number}") for number in range(20)]
    for person in people:
        equal(api.invoke(person["event"]), person["event"])
    until("all are provisioned", lambda: all(is_provisioned(person, table) for person in people))
    profile = profile_of(people[0], table)
    equal(profile["profileOwner"]["S"], f"{people[0]['sub']}::{people[0]['name']}")
    until("the queue is empty", lambda: waiting(stack.outputs["QueueUrl"]) == 0)


@check("the schedule's message has the worker find who was missed")
def _():
    assert f"Input: '{RECONCILE}'" in TEMPLATE.read_text(), "the schedule says something else"
    missed = sign_up("missed")
    sqs.send_message(QueueUrl=stack.outputs["QueueUrl"], MessageBody=RECONCILE)
    until("they are provisioned", lambda: is_provisioned(missed, table))
    until("the queue is empty", lambda: waiting(stack.outputs["QueueUrl"]) == 0)
    equal(waiting(stack.outputs["DeadLetterQueueUrl"]), 0)


@check("the worker drains on SIGTERM, within its stop timeout")
def _():
    began = time.monotonic()
    equal(worker.stop(), 0)
    assert time.monotonic() - began < stack.task()["stopTimeout"]


# --- Changed -----------------------------------------------------------------------------

make_table("profiles-of-ours")
left = [sign_up(f"late-{number}") for number in range(3)]
for person in left:
    api.invoke(person["event"])
before = dict(stack.made)


@check("an update changes what it should and keeps the messages")
def _():
    equal(waiting(stack.outputs["QueueUrl"]), 3)
    stack.update(
        DesiredCount="3",
        ProfileTableName="profiles-of-ours",
        StopTimeout="60",
        DefaultGroups="EVERYONE,MEMBERS",
    )
    equal(stack.service()["desiredCount"], 3)
    assert stack.made["TaskDefinition"] != before["TaskDefinition"]
    for same in ["Queue", "DeadLetterQueue", "Cluster", "TaskRole", "TriggerRole"]:
        equal(stack.made[same], before[same])
    now = stack.worker_environment()
    equal(now["USHER_QUOTA__PROCESSES"], "3")
    equal(now["USHER_PROFILES__TABLE"], "profiles-of-ours")
    equal(now["USHER_GROUPS__DEFAULT"], "EVERYONE,MEMBERS")
    equal((now["USHER_WORKER__DRAIN"], stack.task()["stopTimeout"]), ("55s", 60))
    equal(waiting(stack.outputs["QueueUrl"]), 3)


@check("a worker of the new version provisions those who waited, in the new table")
def _():
    done = usher(environment(stack.worker_environment()), "worker", "--until-empty")
    assert done.returncode == 0, done.stderr
    for person in left:
        equal(sorted(groups_of(person)), ["EVERYONE", "MEMBERS"])
        assert profile_of(person, "profiles-of-ours")
        assert not profile_of(person, table)


# --- A stack that takes up what is there -------------------------------------------------

ecs.create_cluster(clusterName="ours")
topic = sns.create_topic(Name="ours")["TopicArn"]
second = None


@check("a second stack takes up a table, a cluster, a topic and a security group")
def _():
    global second
    second = Stack(
        "second",
        Name="second",
        ProfileTableName="profiles-of-ours",
        ClusterName="ours",
        AlarmTopicArn=topic,
        SecurityGroupIds=own_group,
        VpcId="",
        ImageRepositoryArn="",
        ReconcileSchedule="",
        DesiredCount="1",
        AdminActions="true",
        AdminClientIds=app,
        AcceptUrl="https://usher.example.com/accept",
        OperatorRoleArns=f"arn:aws:iam::{ACCOUNT}:role/operator",
    )
    for absent in ["ProfileTable", "Cluster", "AlarmTopic", "SecurityGroup", "ScheduleRole"]:
        assert absent not in second.made, absent
    equal(second.outputs["ClusterName"], "ours")
    equal(second.outputs["AlarmTopicArn"], topic)
    now = second.worker_environment()
    equal(now["USHER_ADMIN__CLIENT_IDS"], app)
    equal(now["USHER_QUOTA__PROCESSES"], "1")
    equal(second.trigger_environment()["USHER_INVITATIONS__ACCEPT_URL"], now["USHER_INVITATIONS__ACCEPT_URL"])
    equal(sorted(second.policies("TaskRole")), ["usher", "usher-admin"])
    actions = {
        action
        for policy in second.policies("TaskRole").values()
        for statement in policy["Statement"]
        for action in statement["Action"]
        if action.startswith(("cognito-idp:", "dynamodb:"))
    }
    wanted = json.loads((PROJECT / "deploy/admin-policy.json").read_text())["Statement"]
    for action in (action for statement in wanted for action in statement["Action"]):
        assert action in actions, action


@check("a worker starts on it and is healthy")
def _():
    # Its HTTP API is on; nothing is asked of it here, so no keys are fetched.
    variables = environment(second.worker_environment())
    other = Process("second-worker", [BIN / "usher", "worker"], variables)
    until("healthy", lambda: usher(variables, "health").returncode == 0)
    equal(other.stop(), 0)


third = None


@check("a stack without profiles, and of nobody's right to any table")
def _():
    global third
    third = Stack("third", Name="third", CreateProfileTable="false", DesiredCount="0")
    now = third.worker_environment()
    equal(now["USHER_PROFILES__ENABLED"], "false")
    assert "USHER_PROFILES__TABLE" not in now
    assert "ProfileTableName" not in third.outputs
    done = usher(environment(now), "check")
    assert done.returncode == 0, done.stdout + done.stderr
    for role in ["TaskRole", "TriggerRole", "ExecutionRole", "ScheduleRole"]:
        assert "dynamodb" not in str(third.policies(role)), role


# --- Deleted -----------------------------------------------------------------------------


@check("deleted stacks leave what was there before, and the table that was made")
def _():
    third.delete()
    second.delete()
    stack.delete()
    equal(sqs.list_queues().get("QueueUrls", []), [])
    equal(lambdas.list_functions()["Functions"], [])
    equal(iam.list_roles()["Roles"], [])
    equal(cloudwatch.list_dashboards()["DashboardEntries"], [])
    equal(sorted(dynamodb.list_tables()["TableNames"]), sorted([table, "profiles-of-ours"]))
    equal(dynamodb.scan(TableName=table, Select="COUNT")["Count"], 21)
    assert "ours" in [arn.rsplit("/", 1)[1] for arn in ecs.list_clusters()["clusterArns"]]
    equal([found["TopicArn"] for found in sns.list_topics()["Topics"]], [topic])
    names = {group["GroupName"] for group in ec2.describe_security_groups()["SecurityGroups"]}
    equal(names, {"default", "ours"})
    equal(cognito.describe_user_pool(UserPoolId=pool)["UserPool"]["Id"], pool)


for child in running:
    if child.poll() is None:
        child.kill()
        child.wait()
(WORK / "summary").write_text(f"{passed} passed, {failed} failed\n")
sys.exit(1 if failed else 0)
