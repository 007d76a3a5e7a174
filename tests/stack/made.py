"""What the checks of deploy/template.yaml work with: what is there before a stack, stacks,
usher's programs, people."""

import ast
import io
import json
import os
import signal
import socket
import subprocess
import zipfile
from pathlib import Path

import boto3
from botocore.config import Config

from run_checks import equal

PROJECT = Path(os.environ["STACK_PROJECT"])
BIN = Path(os.environ["STACK_BIN"]).resolve()
WORK = Path(os.environ["STACK_WORK"])
TEMPLATE = PROJECT / "deploy/template.yaml"
ACCOUNT, REGION = "123456789012", "us-east-1"


def client(service):
    return boto3.client(service, config=Config(retries={"max_attempts": 1}))


cloudformation, cognito, dynamodb, ec2, ecs, iam, lambdas, sns, sqs, s3, ssm, cloudwatch, logs = map(
    client,
    "cloudformation cognito-idp dynamodb ec2 ecs iam lambda sns sqs s3 ssm cloudwatch logs".split(),
)


# --- Existing resources ------------------------------------------------------------------

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

    def worker_secrets(self):
        """The variables that ECS fills, each with the ARN of its value."""
        return {entry["name"]: entry["valueFrom"] for entry in self.task()["secrets"]}

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
    """As ECS and Lambda set it, and how the endpoint is found. Only the ports differ, which
    something else on this machine may have."""
    own = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    variables = dict(variables)
    for name, port in [("USHER_HTTP__LISTEN", 8080), ("USHER_HTTP__PUBLIC_LISTEN", 8081)]:
        if name in variables:
            equal(variables[name], f"0.0.0.0:{port}")
            variables[name] = f"0.0.0.0:{free_port()}"
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
