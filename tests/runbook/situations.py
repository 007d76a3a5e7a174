"""For each section of docs/OPERATIONS.md: what is true before it, what happens in it, and what
must be true after it (`after_…`). A docstring is the check's name."""

import json
import os
import socket
import subprocess
import threading
import time
import urllib.request
from datetime import UTC, datetime, timedelta

import account
from account import (
    WORK, Worker, alarm, cloudformation, cognito, dead_letter_queue, dynamodb,
    ecs, front, groups_of, is_over, is_provisioned, lambdas, logs, outputs, profile_of, queue,
    send, sign_up, sqs, stop_workers, task_environment, until, waiting,
)
from lambda_api import RuntimeApi

# The names of the document, and what they are here.
NAMES = {
    "eu-west-1_AbCdEf123": account.pool,
    "eu-west-1_XyZaBc456": account.new,
    "usher-ProfileTable-1ABCDEFGHIJKL": account.table,
    "usher-Cluster-1ABCDEFGHIJKL": outputs["ClusterName"],
    "usher-Worker-1ABCDEFGHIJKL": outputs["ServiceName"],
    "127.0.0.1:8080": account.NO_WORKER,
}
SUB = "42296c21-5207-4a93-8e3b-d3fc17fff32d"
ELSEWHERE = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
DEAD_LETTER_ID = "91e29d26-c230-48b2-b961-13ed48ad7154"

people = []


# --- An alarm is on ----------------------------------------------------------------------


def an_alarm_is_on():
    """two alarms are on"""
    alarm("dead-letters")
    alarm("throttled")


def after_an_alarm_is_on():
    """they are over"""
    is_over("dead-letters")
    is_over("throttled")


# --- A user is in no group ---------------------------------------------------------------


def a_user_is_in_no_group():
    """a user signed up while the pool had no trigger, and a worker runs"""
    people[:] = [sign_up("mary")]
    NAMES[SUB] = people[0]["sub"]
    Worker()


def after_a_user_is_in_no_group():
    """the user has group and profile"""
    assert all(map(is_provisioned, people)) and waiting(dead_letter_queue) == 0


# --- Dead letters ------------------------------------------------------------------------


def dead_letters():
    """six dead letters with three reasons"""
    people[:] = [sign_up(f"replayed-{number}") for number in range(4)]
    gone = sign_up("gone")
    cognito.admin_delete_user(UserPoolId=gone["pool"], Username=gone["name"])
    *throttled, late = [person["event"] for person in people]
    [first, *_] = send(*throttled, to=dead_letter_queue, reason="throttled")
    # Of two users whom Cognito did not know, one exists now.
    send(gone["event"], late, to=dead_letter_queue, reason="user_not_found")
    send("{", to=dead_letter_queue, reason="not_json")
    NAMES[DEAD_LETTER_ID] = first
    NAMES[DEAD_LETTER_ID[:8]] = first[:8]
    NAMES[SUB] = people[0]["sub"]
    # It would wait for minutes for the user. After nine seconds the replay has ended.
    Worker(USHER_WORKER__MAX_ATTEMPTS="3")


def four_minutes_pass():
    """the worker provisions the replayed users, and rejects the deleted one"""
    until("all are provisioned", lambda: all(map(is_provisioned, people)))
    until("the other one is a dead letter again", lambda: (waiting(), waiting(dead_letter_queue)) == (0, 1))


def the_worker_works():
    """the worker provisions the replayed users"""
    until("all are provisioned", lambda: all(map(is_provisioned, people)))
    until("the queue is empty", lambda: waiting() == 0)


def after_dead_letters():
    """each existing user with a dead letter has groups and profile"""
    assert all(map(is_provisioned, people))
    assert waiting(dead_letter_queue) == 0


# --- Breaker open ------------------------------------------------------------------------


def breaker_open():
    """the worker lacks a permission, and a user signs up"""
    front.refuse("PutItem", "not authorized to perform: dynamodb:PutItem")
    worker = Worker()
    people[:] = [sign_up("early")]
    send(people[0]["event"])
    until("the breaker is open", lambda: "breaker open" in worker.log.read_text())
    worker.ship()


def the_task_runs():
    """the task that was started runs `usher check` as the worker's role"""
    done = subprocess.run(
        [account.BIN / "usher", "check"],
        env={k: v for k, v in os.environ.items() if k.startswith("AWS_")}
        | task_environment() | {"AWS_ENDPOINT_URL": front.url, "NO_PROXY": "localhost"},
        capture_output=True, text=True, cwd=WORK,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    stream = "usher/worker/check"
    logs.create_log_stream(logGroupName=outputs["WorkerLogGroup"], logStreamName=stream)
    logs.put_log_events(
        logGroupName=outputs["WorkerLogGroup"], logStreamName=stream,
        logEvents=[
            {"timestamp": int(time.time() * 1000), "message": line}
            for line in done.stdout.splitlines() if line
        ],
    )


def the_permission_is_back():
    """the permission is given again, and the worker continues by itself"""
    assert profile_of(people[0]) is None and waiting(dead_letter_queue) == 0
    front.repair()
    until("they are provisioned", lambda: is_provisioned(people[0]))
    [worker] = Worker.running
    until("the breaker is closed", lambda: "breaker closed" in worker.log.read_text())
    worker.ship()


def after_breaker_open():
    """it left no dead letter"""
    assert waiting(dead_letter_queue) == 0 and waiting() == 0


# --- Sign-ups are slow -------------------------------------------------------------------


def sign_ups_are_slow():
    """the pool has its trigger, two workers run, and 400 users sign up"""
    cognito.update_user_pool(
        UserPoolId=account.pool, LambdaConfig={"PostConfirmation": outputs["TriggerArn"]},
        AdminCreateUserConfig={"AllowAdminCreateUserOnly": False},
    )
    people[:] = [sign_up(f"slow-{number}") for number in range(400)]
    workers = Worker(), Worker()
    for worker, address in zip(workers, ("10.0.1.23:8080", "10.0.1.24:8080")):
        NAMES[address] = f"127.0.0.1:{worker.port}"
        until("it is ready", lambda: "worker started" in worker.log.read_text())
    send(*[person["event"] for person in people])
    until("they work", lambda: waiting() < len(people))


def the_queue_is_done():
    """the workers provision all of them"""
    until("the queue is empty", lambda: waiting() == 0)


def after_sign_ups_are_slow():
    """all 400 are provisioned"""
    assert all(map(is_provisioned, people)) and waiting(dead_letter_queue) == 0


# --- Throttled ---------------------------------------------------------------------------


def throttled():
    """Cognito accepts five calls a second, and 25 users sign up"""
    front.throttle("AdminAddUserToGroup", 5)
    people[:] = [sign_up(f"crowd-{number}") for number in range(25)]
    send(*[person["event"] for person in people])
    first, second = Worker(), Worker()
    until("all are provisioned", lambda: waiting() == 0)
    # A line of metrics is written at the end, too.
    stop_workers()
    assert first.shipped and second.shipped


def after_throttled():
    """all 25 are provisioned, throttles were counted, and the rate is what it was"""
    now = datetime.now(UTC)
    found = account.cloudwatch.get_metric_statistics(
        Namespace="usher", MetricName="Throttled", Dimensions=[{"Name": "Queue", "Value": "usher"}],
        Statistics=["Sum"], Period=3600, StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(minutes=1),
    )
    assert sum(point["Sum"] for point in found["Datapoints"]) > 0, found
    assert all(map(is_provisioned, people)) and waiting(dead_letter_queue) == 0
    assert task_environment()["USHER_QUOTA__USER_UPDATE"] == "20"


# --- Backlog -----------------------------------------------------------------------------


def backlog():
    """100 sign-ups wait, and no worker runs"""
    people[:] = [sign_up(f"late-{number}") for number in range(100)]
    send(*[person["event"] for person in people])


def the_workers_are_back():
    """two workers take as long as the runbook says"""
    groups, rate = 1, float(task_environment()["USHER_QUOTA__USER_UPDATE"])
    reckoned = len(people) * groups / rate
    workers = Worker(), Worker()
    until(
        "both receive",
        lambda: all("worker started" in worker.log.read_text() for worker in workers),
    )
    began = time.monotonic()
    until("the queue is empty", lambda: waiting() == 0, 120)
    took = time.monotonic() - began
    print(f"      {took:.1f} s, reckoned {reckoned:.1f} s")
    # A bucket of a second's calls is full at the start of each; a busy machine is late.
    assert 0.8 * reckoned < took < 2 * reckoned, (took, reckoned)


def after_backlog():
    """all 100 are provisioned"""
    assert all(map(is_provisioned, people)) and waiting(dead_letter_queue) == 0


# --- Sign-ups not forwarded --------------------------------------------------------------


def sign_ups_not_forwarded():
    """two users sign up while the trigger cannot reach the queue"""
    people[:] = [sign_up(f"missed-{number}") for number in range(2)]
    api = RuntimeApi()
    found = lambdas.get_function_configuration(FunctionName="usher-trigger")
    log = WORK / "log/trigger.log"
    # Bound but not listening: the port stays reserved, and connections are refused.
    silent = socket.socket()
    silent.bind(("127.0.0.1", 0))
    trigger = subprocess.Popen(
        [account.BIN / "usher-trigger"],
        env={k: v for k, v in os.environ.items() if k.startswith("AWS_")}
        | found["Environment"]["Variables"]
        | {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "AWS_LAMBDA_RUNTIME_API": api.address,
            "AWS_LAMBDA_FUNCTION_NAME": "usher-trigger",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "NO_PROXY": "127.0.0.1",
        },
        stdin=subprocess.DEVNULL, stdout=log.open("w"), stderr=subprocess.STDOUT, cwd=WORK,
    )
    try:
        for person in people:
            event = person["event"].encode()
            assert api.invoke(event) == event, "the sign-up did not come back as it was"
    finally:
        silent.close()
        trigger.kill()
        trigger.wait()
    lines = [line for line in log.read_text().splitlines() if line]
    assert sum("ForwardFailed" in line for line in lines) == 2, lines
    logs.create_log_stream(logGroupName=outputs["TriggerLogGroup"], logStreamName="1")
    logs.put_log_events(
        logGroupName=outputs["TriggerLogGroup"], logStreamName="1",
        logEvents=[{"timestamp": int(time.time() * 1000), "message": line} for line in lines],
    )
    Worker()


def after_sign_ups_not_forwarded():
    """both have groups and profile"""
    assert all(map(is_provisioned, people)) and waiting(dead_letter_queue) == 0


# --- Administrators and invitations ------------------------------------------------------


def _invite(name, email):
    """A user who was created, and has not accepted."""
    verified = {"email": email, "email_verified": "true"}
    cognito.admin_create_user(
        UserPoolId=account.pool, Username=name,
        UserAttributes=[{"Name": key, "Value": value} for key, value in verified.items()],
    )


def an_invitation_does_not_arrive():
    """an invited user has not accepted"""
    _invite("eve@example.com", "eve@example.com")


def after_an_invitation_does_not_arrive():
    """the user can still accept"""
    # moto creates the user again, so the groups are not looked up.
    found = cognito.admin_get_user(UserPoolId=account.pool, Username="eve@example.com")
    assert found["UserStatus"] == "FORCE_CHANGE_PASSWORD", found


def a_user_asks_for_a_new_code():
    """an invited user asks for a new code on /accept"""
    name = "finn@example.com"
    _invite(name, name)
    found = cognito.admin_get_user(UserPoolId=account.pool, Username=name)
    [NAMES[SUB]] = [one["Value"] for one in found["UserAttributes"] if one["Name"] == "sub"]
    port = account.free_port()
    worker = Worker(
        USHER_HTTP__PUBLIC_LISTEN=f"127.0.0.1:{port}",
        USHER_INVITATIONS__CLIENT_ID=account.app,
    )
    until("it is ready", lambda: "worker started" in worker.log.read_text())
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/accept/renewal", json.dumps({"username": name}).encode(),
        {"Content-Type": "application/json"},
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    assert direct.open(request, timeout=10).status == 202
    until("it is recorded", lambda: "AskForInvitation" in worker.log.read_text())
    worker.stop()


def after_a_user_asks_for_a_new_code():
    """the user can still accept"""
    found = cognito.admin_get_user(UserPoolId=account.pool, Username="finn@example.com")
    assert found["UserStatus"] == "FORCE_CHANGE_PASSWORD", found


def an_administrator_is_refused():
    """a user is not in the administrators' group"""
    cognito.create_group(UserPoolId=account.pool, GroupName="ADMINS")
    _invite("bob", "bob@example.com")


def after_an_administrator_is_refused():
    """the user is an administrator"""
    user = {"name": "bob", "pool": account.pool}
    assert groups_of(user) == ["ADMINS"], groups_of(user)


# --- Too few workers ---------------------------------------------------------------------


def too_few_workers():
    """one of two tasks runs, and one was stopped"""
    service = _service()
    started = ecs.run_task(
        cluster=outputs["ClusterName"], taskDefinition=service["taskDefinition"],
        launchType="FARGATE", networkConfiguration=service["networkConfiguration"],
    )["tasks"][0]["taskArn"]
    ecs.stop_task(
        cluster=outputs["ClusterName"], task=started, reason="Task failed container health checks"
    )


def the_tasks_are_back():
    """a second task runs again"""
    # moto runs as many as a call asks for.
    ecs.update_service(cluster=outputs["ClusterName"], service=outputs["ServiceName"], desiredCount=2)


def _service():
    return ecs.describe_services(
        cluster=outputs["ClusterName"], services=[outputs["ServiceName"]]
    )["services"][0]


# --- A release, back ---------------------------------------------------------------------


def rolling_a_bad_release_back():
    """a new release was rolled out a moment ago"""
    image = _image().split("@")[0]
    subprocess.run(
        [
            WORK / "bin/aws", "cloudformation", "deploy", "--stack-name", "usher",
            "--template-file", account.TEMPLATE, "--s3-bucket", "usher-releases",
            "--capabilities", "CAPABILITY_IAM", "--parameter-overrides",
            f"WorkerImage={image}@sha256:{'c' * 64}", "TriggerCodeKey=usher-trigger-1.1.0.zip",
        ],
        check=True, capture_output=True,
    )
    assert _image().endswith("c" * 64)


def after_rolling_a_bad_release_back():
    """the task has the former image"""
    assert _image().endswith("b" * 64), _image()


def _image():
    task = ecs.describe_task_definition(taskDefinition="usher-worker")
    return task["taskDefinition"]["containerDefinitions"][0]["image"]


# --- Another user pool -------------------------------------------------------------------


def moving_to_another_user_pool():
    """the old pool has its trigger, and a user signs up there"""
    cognito.update_user_pool(
        UserPoolId=account.pool, LambdaConfig={"PostConfirmation": outputs["TriggerArn"]},
        AdminCreateUserConfig={"AllowAdminCreateUserOnly": False},
    )
    people[:] = [sign_up("the-last")]
    send(people[0]["event"])
    Worker()


def the_old_queue_drains():
    """the messages of the old queue are done"""
    until("the queue is empty", lambda: waiting() == 0)


def after_moving_to_another_user_pool():
    """each pool has the right trigger, and no user was lost"""
    assert is_provisioned(people[0])

    def trigger(pool):
        found = cognito.describe_user_pool(UserPoolId=pool)["UserPool"]
        return found.get("LambdaConfig", {}).get("PostConfirmation")

    assert trigger(account.pool) is None
    assert trigger(account.new) == outputs["TriggerArn"].replace("usher-trigger", "usher-b-trigger")
    # Why the document says to keep UserPoolId: usher rejects what the old pool sent.
    stop_workers()
    late = sign_up("late")
    send(late["event"])
    worker = Worker(USHER_POOLS__ALLOWED=account.new)
    until("it is a dead letter", lambda: (waiting(), waiting(dead_letter_queue)) == (0, 1))
    worker.stop()
    assert groups_of(late) == [], groups_of(late)
    cognito.admin_delete_user(UserPoolId=account.pool, Username="late")
    sqs.purge_queue(QueueUrl=dead_letter_queue)


# --- Backfill ----------------------------------------------------------------------------


def bringing_in_the_users_of_before():
    """40 users existed before usher"""
    people[:] = [sign_up(f"before-{number}") for number in range(40)]


def after_bringing_in_the_users_of_before():
    """all 40 are provisioned"""
    assert all(map(is_provisioned, people)) and waiting(dead_letter_queue) == 0


def the_service_works():
    """two workers provision them"""
    Worker(), Worker()
    until("all are provisioned", lambda: all(map(is_provisioned, people)))
    until("the queue is empty", lambda: waiting() == 0)


# --- Deleting a user ---------------------------------------------------------------------


def deleting_a_user():
    """a user with groups, two records, a dead letter, and a sign-up that a worker takes later"""
    person = sign_up("ada")
    people[:] = [person]
    NAMES[SUB] = person["sub"]
    send(person["event"])
    worker = Worker()
    until("they are provisioned", lambda: is_provisioned(person) and waiting() == 0)
    worker.stop()
    send(person["event"], to=dead_letter_queue, reason="throttled")
    send(person["event"])
    elsewhere = profile_of(person) | {"id": {"S": ELSEWHERE}}
    dynamodb.put_item(TableName=account.table, Item=elsewhere)
    threading.Thread(target=_work_without, args=(person,), daemon=True).start()


def _work_without(person):
    """Starts a worker when the user is deleted."""
    until("the user is deleted", lambda: groups_of(person) is None, 120)
    # It would wait for minutes for the user. So the sign-up is a dead letter at once.
    Worker(USHER_WORKER__MAX_ATTEMPTS="1")


def after_deleting_a_user():
    """the user is in no pool, group, table or queue, and stays away"""
    [person] = people
    send(account.RECONCILE)
    until("the reconcile is done", lambda: waiting() == 0)
    assert groups_of(person) is None and profile_of(person) is None
    left = dynamodb.scan(TableName=account.table)["Items"]
    assert not [item for item in left if person["sub"] in item["profileOwner"]["S"]]
    members = cognito.list_users_in_group(UserPoolId=account.pool, GroupName="EVERYONE")["Users"]
    assert person["name"] not in [member["Username"] for member in members]
    assert waiting() == waiting(dead_letter_queue) == 0
    stop_workers()
    found = [
        event["message"]
        for group in (outputs["WorkerLogGroup"], outputs["TriggerLogGroup"])
        for event in logs.filter_log_events(logGroupName=group)["events"]
        if "ada@example.com" in event["message"] or '"ada"' in event["message"]
    ]
    assert not found, found


# --- Stopping ----------------------------------------------------------------------------


def stopping_everything():
    """a worker with more messages than it can finish"""
    people[:] = [sign_up(f"stopped-{number}") for number in range(130)]
    send(*[person["event"] for person in people])
    worker = Worker()
    until("it works", lambda: is_provisioned(people[0]) or waiting() < len(people))


def the_tasks_stop():
    """ECS sends SIGTERM; the worker drains within its time, and the rest waits"""
    assert _service()["desiredCount"] == 0
    [worker] = Worker.running
    began = time.monotonic()
    worker.stop()
    assert time.monotonic() - began < 25
    done = sum(map(is_provisioned, people))
    assert 0 < done < len(people), done
    assert waiting() == len(people) - done, (done, waiting())


def the_tasks_start():
    """the tasks are back, and finish the rest"""
    assert _service()["desiredCount"] == 2
    Worker(), Worker()
    until("the queue is empty", lambda: waiting() == 0)


def after_stopping_everything():
    """no user was lost"""
    assert all(map(is_provisioned, people)) and waiting(dead_letter_queue) == 0


# --- Logs --------------------------------------------------------------------------------


def reading_the_logs():
    """a user signed up a moment ago"""
    person = sign_up("grace")
    NAMES[SUB] = person["sub"]
    send(person["event"])
    worker = Worker()
    until("they are provisioned", lambda: is_provisioned(person) and waiting() == 0)
    worker.stop()


# --- Once a week -------------------------------------------------------------------------


def once_a_week():
    """the pool has its trigger, and no dead letter is left"""
    cognito.update_user_pool(
        UserPoolId=account.pool, LambdaConfig={"PostConfirmation": outputs["TriggerArn"]},
    )
    sqs.purge_queue(QueueUrl=dead_letter_queue)
