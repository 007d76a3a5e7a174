"""Stacks that use existing resources instead of their own."""

import json

from made import (
    ACCOUNT, BIN, PROJECT, REGION, Process, Stack, app, archive, cloudwatch, ecs, environment, iam,
    is_provisioned, lambdas, logs, own_group, sign_up, sqs, ssm, usher,
)
from run_checks import check, equal, until

KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/00000000-0000-4000-8000-000000000001"


def own_trigger():
    """An existing function, and its role."""
    role = iam.create_role(RoleName="ours", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    lambdas.create_function(
        FunctionName="ours",
        Runtime="provided.al2023",
        Role=role,
        Handler="bootstrap",
        Code={"ZipFile": archive.getvalue()},
    )
    return role


def with_text(stack):
    """The worker's environment, with what ECS reads from Parameter Store."""
    secrets = {
        name: ssm.get_parameter(Name=arn.split(":parameter", 1)[1])["Parameter"]["Value"]
        for name, arn in stack.worker_secrets().items()
    }
    return environment(stack.worker_environment()) | secrets


def take_up(topic):
    """Returns the stacks, to be deleted."""
    ecs.create_cluster(clusterName="ours")
    ssm.put_parameter(Name="/usher/config", Type="String", Value="[worker]\nconcurrency = 7\n")
    text = ssm.get_parameter(Name="/usher/config")["Parameter"]["ARN"]
    second = third = fourth = None

    @check("a second stack uses an existing table, cluster, topic and security group")
    def _():
        nonlocal second
        second = Stack(
            "second",
            Name="second",
            ProfileTableName="profiles-of-ours",
            ProfileTableKeyArn=KEY,
            ProfileOwnerIndex="byOwner",
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
            ConfigTextArn=text,
            OperatorRoleArns=f"arn:aws:iam::{ACCOUNT}:role/operator",
        )
        for absent in ["ProfileTable", "Cluster", "AlarmTopic", "SecurityGroup", "ScheduleRole"]:
            assert absent not in second.made, absent
        equal(second.outputs["ClusterName"], "ours")
        equal(second.outputs["AlarmTopicArn"], topic)
        equal(second.outputs["RequestTableName"], "second-requests")
        for variables in [second.worker_environment(), second.trigger_environment()]:
            equal(variables["USHER_ADMIN__REQUESTS_TABLE"], "second-requests")
        now = second.worker_environment()
        equal(now["USHER_ADMIN__CLIENT_IDS"], app)
        equal(now["USHER_QUOTA__PROCESSES"], "1")
        url = now["USHER_INVITATIONS__ACCEPT_URL"]
        equal(second.trigger_environment()["USHER_INVITATIONS__ACCEPT_URL"], url)
        policies = second.policies("TaskRole")
        equal(sorted(policies), ["platform", "usher", "usher-admin"])
        [index] = [one for one in policies["usher"]["Statement"] if one["Sid"] == "ProfileTableIndex"]
        equal(index["Resource"].split("/", 1)[1], "profiles-of-ours/index/byOwner")
        [statement] = policies["platform"]["Statement"]
        equal(statement["Resource"], KEY)
        through = {"kms:ViaService": f"dynamodb.{REGION}.amazonaws.com"}
        equal(statement["Condition"], {"StringEquals": through})
        actions = {
            action
            for policy in policies.values()
            for statement in policy["Statement"]
            for action in statement["Action"]
            if action.startswith(("cognito-idp:", "dynamodb:"))
        }
        wanted = json.loads((PROJECT / "deploy/admin-policy.json").read_text())["Statement"]
        for action in (action for statement in wanted for action in statement["Action"]):
            assert action in actions, action

    @check("ECS may read the configuration's text, and the worker uses it")
    def _():
        equal(second.worker_secrets(), {"USHER_CONFIG_TOML": text})
        [platform] = second.policies("ExecutionRole").values()
        [reads] = [one for one in platform["Statement"] if one["Sid"] == "ConfigText"]
        equal(reads["Resource"], text)
        done = usher(with_text(second), "config", "--changed")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "environment USHER_CONFIG_TOML, line 2" in done.stdout, done.stdout

    @check("a worker starts on it and is healthy")
    def _():
        # Its HTTP API is on; nothing is asked of it here, so no keys are fetched.
        variables = with_text(second)
        other = Process("second-worker", [BIN / "usher", "worker"], variables)
        until("healthy", lambda: usher(variables, "health").returncode == 0)
        equal(other.stop(), 0)

    @check("without profiles, no role of the stack may use a table")
    def _():
        nonlocal third
        third = Stack("third", Name="third", CreateProfileTable="false", DesiredCount="0")
        now = third.worker_environment()
        equal(now["USHER_PROFILES__ENABLED"], "false")
        assert "USHER_PROFILES__TABLE" not in now
        assert "ProfileTableName" not in third.outputs
        done = usher(environment(now), "check")
        assert done.returncode == 0, done.stdout + done.stderr
        for role in ["TaskRole", "TriggerRole", "ExecutionRole", "ScheduleRole"]:
            assert "dynamodb" not in str(third.policies(role)), role

    role = own_trigger()

    @check("a stack for an existing function makes no other, and watches that one")
    def _():
        nonlocal fourth
        fourth = Stack(
            "fourth",
            Name="fourth",
            TriggerFunctionName="ours",
            TriggerRoleArn=role,
            TriggerCodeBucket="",
            TriggerCodeKey="",
            ProfileTableName="profiles-of-ours",
        )
        for absent in ["Trigger", "TriggerRole", "TriggerLogs", "TriggerPermission"]:
            assert absent not in fourth.made, absent
        for absent in ["TriggerArn", "TriggerLogGroup"]:
            assert absent not in fourth.outputs, absent
        functions = [found["FunctionName"] for found in lambdas.list_functions()["Functions"]]
        assert "fourth-trigger" not in functions, functions
        found = logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/fourth")
        equal(found["logGroups"], [])
        # Alarms, which moto does not make, are checked for the same by tests/it/template.
        dashboard = cloudwatch.get_dashboard(DashboardName="fourth")["DashboardBody"]
        watched = {
            metric[3]
            for widget in json.loads(dashboard)["widgets"]
            for metric in widget["properties"].get("metrics", [])
            if metric[0] == "AWS/Lambda"
        }
        equal(watched, {"ours"})
        assert "SOURCE '/aws/lambda/ours'" in dashboard, dashboard

    @check("its worker provisions what that function queues")
    def _():
        variables = environment(fourth.worker_environment())
        other = Process("fourth-worker", [BIN / "usher", "worker"], variables)
        until("healthy", lambda: usher(variables, "health").returncode == 0)
        person = sign_up("by-another-function")
        sqs.send_message(
            QueueUrl=fourth.outputs["QueueUrl"], MessageBody=person["event"].decode()
        )
        until("they are provisioned", lambda: is_provisioned(person, "profiles-of-ours"))
        equal(other.stop(), 0)

    return [second, third, fourth]
