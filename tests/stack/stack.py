"""deploy/template.yaml on moto: made, worked with, changed, deleted."""

import json
import subprocess
import sys
import time
from pathlib import Path

from attach import attaches
from lambda_api import RuntimeApi
from made import (
    ACCOUNT, BIN, PROJECT, REGION, TEMPLATE, WORK, Process, Stack, cloudwatch, cognito, dynamodb, ec2,
    ecs, environment, groups_of, iam, is_provisioned, lambdas, make_table, own_group, pool, profile_of,
    running, sign_up, sns, sqs, usher, waiting,
)
from run_checks import check, end, equal, summary, until
from taken_up import take_up

RECONCILE = '{"usher": 1, "command": "Reconcile", "includeFederated": true}'
# What moto's CloudFormation passes over, and says so: nothing of these can be seen here.
# Beside that it does not delete log groups and clusters; an update does not change the
# policies of a role or the retention of a log group, nor take away what a condition
# switches off; and it knows nothing of a task's roles, size and architecture, of rules of
# security groups, and of RedriveAllowPolicy.
UNKNOWN_TO_MOTO = {"AWS::SQS::QueuePolicy", "AWS::Scheduler::Schedule", "AWS::CloudWatch::Alarm"}


# --- The template, looked at -------------------------------------------------------------


def says_nothing(*command):
    done = subprocess.run(command, cwd=WORK / "tmp", capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@check("cfn-lint has no finding of any severity")
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


@check("the stack is created, with all resources that its outputs name")
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


@check("moto skips only the resources that this test lists")
def _():
    log = (WORK / "log/moto.log").read_text()
    said = {line.split()[-1] for line in log.splitlines() if "No Moto CloudFormation support for" in line}
    equal(said, UNKNOWN_TO_MOTO)


@check("the queues are as usher needs them")
def _():
    queue = sqs.get_queue_attributes(QueueUrl=stack.outputs["QueueUrl"], AttributeNames=["All"])["Attributes"]
    dead_letter_queue = sqs.get_queue_attributes(
        QueueUrl=stack.outputs["DeadLetterQueueUrl"], AttributeNames=["All"]
    )["Attributes"]
    equal(json.loads(queue["RedrivePolicy"]), {
        "deadLetterTargetArn": stack.outputs["DeadLetterQueueArn"], "maxReceiveCount": 12,
    })
    equal(queue["MessageRetentionPeriod"], str(4 * 86400))
    equal(dead_letter_queue["MessageRetentionPeriod"], str(14 * 86400))
    equal((queue["VisibilityTimeout"], queue["ReceiveMessageWaitTimeSeconds"]), ("60", "20"))
    equal(queue["SqsManagedSseEnabled"], "true")
    equal(dead_letter_queue["SqsManagedSseEnabled"], "true")


@check("the roles have the policies of deploy/, only for these resources")
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
        policy = json.loads(text)
        # The table has no such index, and there is no table of requests.
        absent = ["ProfileTableIndex", "RequestTable"]
        policy["Statement"] = [
            statement for statement in policy["Statement"] if statement["Sid"] not in absent
        ]
        return policy

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


attaches(stack.outputs["TriggerArn"])


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
    assert "above worker.max_attempts 8" in done.stdout, done.stdout


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


@check("the schedule's message lets the worker find missed users")
def _():
    template = RECONCILE.replace("true", "${ReconcileFederated}")
    assert f"Input: !Sub '{template}'" in TEMPLATE.read_text(), "the schedule says something else"
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


@check("a worker of the new version provisions queued users, in the new table")
def _():
    done = usher(environment(stack.worker_environment()), "worker", "--until-empty")
    assert done.returncode == 0, done.stderr
    for person in left:
        equal(sorted(groups_of(person)), ["EVERYONE", "MEMBERS"])
        assert profile_of(person, "profiles-of-ours")
        assert not profile_of(person, table)


# --- Stacks that take up what is there ---------------------------------------------------

topic = sns.create_topic(Name="ours")["TopicArn"]
others = take_up(topic)


# --- Deleted -----------------------------------------------------------------------------


@check("deleted stacks leave earlier resources, and the table")
def _():
    for made in [*others, stack]:
        made.delete()
    equal(sqs.list_queues().get("QueueUrls", []), [])
    equal([found["FunctionName"] for found in lambdas.list_functions()["Functions"]], ["ours"])
    equal([found["RoleName"] for found in iam.list_roles()["Roles"]], ["ours"])
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
(WORK / "summary").write_text(f"{summary()}\n")
end()
