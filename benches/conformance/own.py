"""Features of the endpoint that moto lacks: quotas, latencies, counts. They are compared with
the results that clients see. No assertion depends on the speed of the machine: an upper
bound of a time is wide, or the check is repeated."""

import http.client
import json
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from checks import checks
from harness.endpoint import Endpoint
from harness.scenarios import fixed
from sides import Raw

CHECKS, check = checks()
QUOTA = 25


def add(raw, side, user, key="local", group=None):
    status, _, body = raw.ask("cognito-idp", "AdminAddUserToGroup", {
        "UserPoolId": side.pool, "Username": user, "GroupName": group or side.group}, key)
    return status, json.loads(body)["__type"] if body else None


def put(raw, side, user, key="local"):
    status, _, body = raw.ask("dynamodb", "PutItem", {
        "TableName": side.table, "Item": {"id": {"S": user}},
        "ConditionExpression": "attribute_not_exists(id)"}, key)
    return status, json.loads(body).get("__type")


def again(tries, what):
    """Repeats `what` until the machine was fast enough once."""
    for _ in range(tries):
        if what():
            return
    raise AssertionError(f"the machine was too slow {tries} times")


def burst(side, count):
    """Makes `count` calls in sequence; returns how many succeeded and how many were throttled."""
    raw = Raw(side)
    answers = [add(raw, side, side.users[0]) for _ in range(count)]
    raw.close()
    kinds = {answer: answers.count(answer) for answer in answers}
    assert kinds.keys() <= {(200, None), (400, "TooManyRequestsException")}, kinds
    return kinds.get((200, None), 0), kinds.get((400, "TooManyRequestsException"), 0)


def limited(side, **settings):
    side.fresh()
    side.process.reset(user_update=QUOTA, **settings)
    side.process.fill(1)
    [message] = side.receive(most=1).answer["Messages"]
    side.users = [json.loads(message["Body"])["userName"]]


@check("quota by the second: as many as it allows in each, and the rest is refused")
def _(side):
    def once():
        began = time.monotonic()
        limited(side, quota="window")
        until = time.monotonic()
        # The windows begin between these two times.
        time.sleep(0.3)
        results = []
        for window in range(2):
            results.append(burst(side, 100))
            if time.monotonic() - began > window + 0.95:
                return False
            time.sleep(max(0, until + window + 1.3 - time.monotonic()))
        assert results == [(QUOTA, 75)] * 2, results
        counts = side.process.report()["calls"]["local"]["AdminAddUserToGroup"]
        assert counts == {"ok": 2 * QUOTA, "throttled": 150, "failed": 0}, counts
        return True
    again(10, once)


@check("quota by a bucket: one second's worth at once, and then its rate")
def _(side):
    before = time.monotonic()
    limited(side, quota="bucket")
    made = time.monotonic()
    let_through = 0
    for pause in (0, 0.4, 1.7):
        time.sleep(pause)
        began = time.monotonic()
        ok, _ = burst(side, 100)
        ended = time.monotonic()
        if pause < 1:
            let_through += ok
            # The bucket is full at the start, and refills meanwhile.
            least, most = QUOTA * (1 + began - made), QUOTA * (1 + ended - before)
            assert int(least) <= let_through <= most, (least, let_through, most)
        else:
            # The calls of one second, however long the pause was.
            assert QUOTA <= ok <= QUOTA * (1 + ended - began) + 1, ok


@check("quota: what is refused has no effect, and what is not of its category is not limited")
def _(side):
    def once():
        side.fresh()
        side.process.reset(user_update=3)
        began = time.monotonic()
        side.process.fill(10)
        users = [json.loads(message["Body"])["userName"]
                 for message in side.receive().answer["Messages"]]
        raw = Raw(side)
        answers = [add(raw, side, user) for user in users]
        if time.monotonic() - began > 0.9:
            return False
        assert answers == [(200, None)] * 3 + [(400, "TooManyRequestsException")] * 7, answers
        for user in users:
            status, _, _ = raw.ask(
                "cognito-idp", "AdminGetUser", {"UserPoolId": side.pool, "Username": user})
            assert status == 200
            assert put(raw, side, user) == (200, None)
        # Only these three users have both effects.
        assert side.process.report()["complete"] == 3
        return True
    again(10, once)


def seconds_of(side, connections, calls, call):
    """Seconds that each call took, on several connections at once."""
    def many(_):
        raw = Raw(side)
        call(raw)
        taken = []
        for _ in range(calls):
            began = time.monotonic()
            call(raw)
            taken.append(time.monotonic() - began)
        raw.close()
        return taken
    with ThreadPoolExecutor(connections) as pool:
        return sorted(t for taken in pool.map(many, range(connections)) for t in taken)


@check("a fixed latency: no call is faster, and the usual one not much slower")
def _(side):
    side.fresh()

    def sqs(operation, **body):
        return lambda raw: raw.ask("sqs", operation, {"QueueUrl": side.queue, **body})

    calls = (
        (20, lambda raw: add(raw, side, side.users[0])),
        (10, lambda raw: put(raw, side, "somebody")),
        (5, sqs("ReceiveMessage")),
        (5, sqs("SendMessage", MessageBody="x")),
        (5, sqs("ReceiveMessage")),
    )

    def once():
        side.process.reset(sqs=fixed(5), cognito=fixed(20), dynamodb=fixed(10))
        medians = []
        for asked, call in calls:
            taken = seconds_of(side, 2, 50, call)
            assert taken[0] >= asked / 1000, (asked, taken[0])
            medians.append(statistics.median(taken) - asked / 1000)
        late = side.process.report()["late_ms"]["p50"]
        assert late > 0
        return max(medians) < 0.020 and late < 20
    again(10, once)


@check("a spread latency: median and 99th percentile are as asked, or later")
def _(side):
    side.fresh()

    def once():
        side.process.reset(cognito={"p50_ms": 10, "p99_ms": 60})
        taken = seconds_of(side, 4, 200, lambda raw: add(raw, side, side.users[0]))
        median, worst = statistics.median(taken), taken[round(0.99 * len(taken))]
        # The drawn latencies are the same in each run. The time that the machine adds is not.
        assert median > 0.009, median
        assert worst > 0.045, worst
        return median < 0.030 and taken[0] < 0.01
    again(10, once)


@check("calls are counted by access key and kind, and no call is lost")
def _(side):
    side.fresh()
    side.process.reset()
    side.process.fill(4)
    users = [json.loads(message["Body"])["userName"]
             for message in side.receive(most=4).answer["Messages"]]

    def client(key):
        raw = Raw(side)
        counts = {}
        def note(kind, status):
            count = counts.setdefault(kind, {"ok": 0, "throttled": 0, "failed": 0})
            count["ok" if status == 200 else "failed"] += 1
        for turn in range(60):
            user = users[turn % 4] if turn % 5 else "nobody"
            note("AdminAddUserToGroup", add(raw, side, user, key)[0])
            note("PutItem", put(raw, side, f"{key}-{turn // 2}", key)[0])
            for operation, body in (
                ("SendMessage", {"MessageBody": "x"}),
                ("ReceiveMessage", {"MaxNumberOfMessages": 1 + turn % 12}),
                ("DeleteMessage", {"ReceiptHandle": "not a receipt"}),
            ):
                note(operation, raw.ask("sqs", operation, {"QueueUrl": side.queue, **body}, key)[0])
        raw.close()
        return counts

    keys = ["one", "two", "three"]
    with ThreadPoolExecutor(len(keys)) as pool:
        seen = dict(zip(keys, pool.map(client, keys)))
    raw = Raw(side)
    add(raw, side, users[0], key=None)
    seen["anonymous"] = {"AdminAddUserToGroup": {"ok": 1, "throttled": 0, "failed": 0}}
    seen["local"] = {"ReceiveMessage": {"ok": 1, "throttled": 0, "failed": 0}}
    counted = side.process.report()["calls"]
    assert counted == seen, (counted, seen)


@check("a report agrees with itself and with what was done")
def _(side):
    side.fresh()
    side.process.reset()
    count, before = 50, time.monotonic()
    side.process.fill(count)
    raw, users, receipts = Raw(side), [], []
    while len(receipts) < 40:
        for message in side.receive(most=10).answer["Messages"]:
            users.append(json.loads(message["Body"])["userName"])
            receipts.append(message["ReceiptHandle"])
    assert len(set(users)) == 40
    time.sleep(0.2)
    for number, user in enumerate(users):
        # In both orders of the effects.
        for effect in ((add, put), (put, add))[number % 2]:
            assert effect(raw, side, user) == (200, None)
    added = time.monotonic()
    for user in users[:7]:
        assert add(raw, side, user) == (200, None)
    for user in users[:5]:
        assert put(raw, side, user)[0] == 400
    for receipt in receipts[:30]:
        side.sqs.delete_message(QueueUrl=side.queue, ReceiptHandle=receipt)
    side.send("delayed", DelaySeconds=60)
    report = side.process.report()
    done = time.monotonic()
    expected = {
        "delivered": 40, "users": count, "complete": 40, "groups_again": 7,
        "profiles_again": 5, "receives_begun": 4, "empty_receives": 0,
        "messages": {"sent": count + 1, "deleted": 30, "visible": 10, "hidden": 10, "delayed": 1},
        "dead_letters": {"sent": 0, "deleted": 0, "visible": 0, "hidden": 0, "delayed": 0},
    }
    got = {name: report[name] for name in expected}
    assert got == expected, got
    seconds = report["seconds"]
    assert 0.2 <= seconds["first_add"] <= seconds["last_add"] <= done - before, seconds
    assert seconds["last_add"] < seconds["last_delete"] <= seconds["now"], seconds
    # From the send to both effects: no user had both before the pause was over.
    latency = report["latency_ms"]
    assert 200 <= latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["max"], latency
    assert latency["max"] <= 1000 * (added - before) * 1.001, (latency, added - before)


@check("waiting for a count ends with it, or with its time")
def _(side):
    process = side.process
    side.fresh()
    process.reset()
    began = time.monotonic()
    assert process.wait("deleted", 1, 1)["messages"]["deleted"] == 0
    assert time.monotonic() - began >= 1
    with ThreadPoolExecutor() as pool:
        waits = {what: pool.submit(process.wait, what, 3, 60)
                 for what in ("receives", "delivered", "complete", "deleted")}
        process.fill(3)
        raw = Raw(side)
        for _ in range(3):
            [message] = side.receive(most=1).answer["Messages"]
            user = json.loads(message["Body"])["userName"]
            add(raw, side, user)
            put(raw, side, user)
            side.sqs.delete_message(QueueUrl=side.queue, ReceiptHandle=message["ReceiptHandle"])
        for what, wait in waits.items():
            report = wait.result(30)
            reached = {"receives": "receives_begun"}.get(what, what)
            value = report["messages"]["deleted"] if what == "deleted" else report[reached]
            assert value >= 3, (what, report)


@check("feeding keeps its rate")
def _(side):
    side.fresh()
    side.process.reset()
    began = time.monotonic()
    side.process.feed(30, 50)
    while side.process.report()["messages"]["sent"] < 30:
        assert time.monotonic() - began < 20
        time.sleep(0.01)
    # The first is sent at once, and the thirtieth after 29/50 of a second.
    assert time.monotonic() - began >= 0.58


@check("a sign-up is an event as the trigger forwards it")
def _(side):
    side.fresh()
    side.process.reset()
    side.process.fill(1)
    [message] = side.receive(MessageAttributeNames=["All"], AttributeNames=["All"]).answer["Messages"]
    event = json.loads(message["Body"])
    assert event["triggerSource"] == "PostConfirmation_ConfirmSignUp"
    assert event["userPoolId"] == side.pool == message["Attributes"]["MessageGroupId"]
    assert event["userName"] == event["request"]["userAttributes"]["sub"]
    assert message["MessageAttributes"].keys() == {"usher.kind", "usher.forwarded_at"}


@check("a call that is cut off is made and counted all the same")
def _(side):
    side.fresh()
    side.process.reset(dynamodb=fixed(300))
    raw = Raw(side)
    raw.begin("dynamodb", "PutItem", {"TableName": side.table, "Item": {"id": {"S": "cut off"}}})
    time.sleep(0.1)
    raw.close()
    began = time.monotonic()
    while "PutItem" not in side.process.report()["calls"].get("local", {}):
        assert time.monotonic() - began < 10, "it was not counted"
        time.sleep(0.05)
    assert put(Raw(side), side, "cut off")[0] == 400


@check("what is not understood is refused, and nothing breaks")
def _(side):
    side.fresh()
    raw = Raw(side)
    for service, operation, body, kind in (
        ("sqs", "PurgeQueue", {}, "com.amazonaws.sqs#UnsupportedOperation"),
        ("cognito-idp", "ListUsers", {"UserPoolId": side.pool, "Username": ""},
         "UnknownOperationException"),
        ("dynamodb", "Scan", {}, "com.amazonaws.dynamodb.v20120810#UnknownOperationException"),
        ("dynamodb", "PutItem", "{", "SerializationException"),
        ("sqs", "SendMessage", {"QueueUrl": side.queue, "MessageBody": 1},
         "SerializationException"),
        ("sqs", "SendMessage", {"QueueUrl": side.queue, "MessageBody": "", "DelaySeconds": 2**64 - 1},
         "com.amazonaws.sqs#InvalidParameterValue"),
        ("sqs", "ReceiveMessage", {"QueueUrl": side.queue, "VisibilityTimeout": 2**64 - 1},
         "com.amazonaws.sqs#InvalidParameterValue"),
    ):
        status, _, answer = raw.ask(service, operation, body)
        assert (status, json.loads(answer)["__type"]) == (400, kind), (operation, answer)
    connection = http.client.HTTPConnection(urlsplit(side.url).netloc, timeout=10)
    connection.request("POST", "/_bench/reset", json.dumps({"no_such_setting": 1}))
    assert connection.getresponse().status == 400
    connection.close()


@check("it ends with its input")
def _(side):
    other = Endpoint(side.process.process.args[0])
    raw = Raw(other)
    raw.begin("sqs", "ReceiveMessage", {"QueueUrl": other.queue_url(), "WaitTimeSeconds": 20})
    other.process.stdin.close()
    try:
        assert other.process.wait(10) == 0
    except subprocess.TimeoutExpired:
        other.process.kill()
        raise
    finally:
        raw.close()
