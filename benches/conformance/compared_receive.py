"""SQS: receiving. Times have wide margins: the machine may be busy."""

import threading
import time

from checks import checks
from compared_send import ATTRIBUTES
from sides import Raw

CHECKS, check = checks()


def took(answer, least, most, since=None):
    """Whether the response took between `least` and `most` seconds, from the call or from
    `since`."""
    seconds = answer.seconds if since is None else time.monotonic() - since
    return {"in time": least <= seconds < most or round(seconds, 3)}


def later(seconds, what):
    """Runs `what` after `seconds`, on a thread that the caller must join."""
    def run():
        time.sleep(seconds)
        what()
    thread = threading.Thread(target=run)
    thread.start()
    return thread


@check("ReceiveMessage: what is in a message", receives=100)
def _(side):
    side.send("Grüße 🎉\n\t\"\\", MessageAttributes=ATTRIBUTES, MessageGroupId="a group")
    asked = {
        "nothing": {},
        "all attributes": {"AttributeNames": ["All"]},
        "all system attributes": {"MessageSystemAttributeNames": ["All"]},
        "all message attributes": {"MessageAttributeNames": ["All"]},
        "all message attributes, as a pattern": {"MessageAttributeNames": [".*"]},
        "everything": {"AttributeNames": ["All"], "MessageAttributeNames": ["All"]},
        "a count": {"MessageSystemAttributeNames": ["ApproximateReceiveCount"]},
        "two": {"MessageSystemAttributeNames": ["SentTimestamp", "MessageGroupId"]},
        "two, the old way": {"AttributeNames": ["SenderId", "ApproximateFirstReceiveTimestamp"]},
        "a trace that is not there": {"MessageSystemAttributeNames": ["AWSTraceHeader"]},
        "a message attribute": {"MessageAttributeNames": ["other"]},
        "two message attributes": {"MessageAttributeNames": ["usher.attempt", "usher.kind"]},
        "those with a prefix": {"MessageAttributeNames": ["usher.*"]},
        "a message attribute that is not there": {"MessageAttributeNames": ["none"]},
    }
    for label, names in asked.items():
        answer = side.receive(**names, VisibilityTimeout=30)
        yield label, answer
        [message] = answer.answer["Messages"]
        side.sqs.change_message_visibility(
            QueueUrl=side.queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
        time.sleep(0.02)


@check("ReceiveMessage: how many", receives=100)
def _(side):
    for number in range(14):
        side.send(f"body {number:02}")
    by_default = side.ask(side.sqs, "receive_message", QueueUrl=side.queue)
    yield "by default", {"count": len(by_default.answer["Messages"])}
    for most in (0, 1, 10, 11):
        answer = side.receive(most)
        count = len(answer.answer.get("Messages", []))
        yield f"{most} asked", {"count": count, **answer.only(
            "Error.Code", "x-amzn-query-error").compared}
    yield "what is left", side.receive(10)
    yield "depth", side.depth()
    yield "of no queue", side.receive(1, of=side.queue + "-not")


@check("ReceiveMessage: numbers out of range")
def _(side):
    yield "a wait of 21 s", side.receive(wait=21)
    yield "hidden for more than 12 hours", side.receive(VisibilityTimeout=43_201)


@check("ReceiveMessage: an empty queue")
def _(side):
    answer = side.receive(wait=0)
    yield "without waiting", answer
    yield "at once", took(answer, 0, 0.9)
    answer = side.receive(wait=1)
    yield "waiting for 1 s", answer
    yield "after 1 s", took(answer, 0.99, 5)


@check("ReceiveMessage: a long poll")
def _(side):
    began = time.monotonic()
    sender = later(1, lambda: side.send("at last"))
    answer = side.receive(wait=20)
    in_time = took(answer, 0.99, 10, since=began)
    sender.join()
    yield "a message that is sent meanwhile", answer
    yield "as soon as it is sent", in_time
    began = time.monotonic()
    side.send("delayed", DelaySeconds=1)
    answer = side.receive(wait=20)
    in_time = took(answer, 0.9, 10, since=began)
    yield "a message whose delay ends meanwhile", answer
    yield "as soon as it ends", in_time
    [message] = answer.answer["Messages"]
    began = time.monotonic()
    back = later(1, lambda: side.sqs.change_message_visibility(
        QueueUrl=side.queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0))
    answer = side.receive(wait=20)
    in_time = took(answer, 0.99, 10, since=began)
    back.join()
    yield "a message that is given back meanwhile", answer
    yield "as soon as it is given back", in_time


@check("ReceiveMessage: a long poll whose receiver has gone")
def _(side):
    gone = Raw(side)
    gone.begin("sqs", "ReceiveMessage", {"QueueUrl": side.queue, "WaitTimeSeconds": 4})
    time.sleep(0.5)
    gone.close()
    time.sleep(0.5)
    side.send("for nobody")
    time.sleep(1)
    yield "is handed out all the same", side.receive()
    yield "depth", side.depth()


@check("visibility timeouts")
def _(side):
    side.send("again and again")
    counted = {"AttributeNames": ["ApproximateReceiveCount"]}
    yield "the first time", side.receive(VisibilityTimeout=3, **counted)
    yield "hidden", side.receive()
    time.sleep(3.2)
    began = time.monotonic()
    yield "visible again", side.receive(VisibilityTimeout=3, **counted)
    answer = side.receive(wait=10, VisibilityTimeout=60, **counted)
    in_time = took(answer, 2.5, 10, since=began)
    yield "visible in the middle of a long poll", answer
    yield "as soon as it is visible", in_time
    yield "depth while hidden", side.depth()
    side.send("never hidden")
    yield "not hidden at all", side.receive(VisibilityTimeout=0, **counted)
    time.sleep(0.02)
    yield "so it is there again", side.receive(VisibilityTimeout=0, **counted)


@check("delays")
def _(side):
    yield "sent", side.send("later", DelaySeconds=3)
    yield "depth", side.depth()
    yield "not yet", side.receive()
    time.sleep(3.2)
    yield "now", side.receive(AttributeNames=["ApproximateReceiveCount"])


@check("redrive", receives=2)
def _(side):
    sent = side.send("poison", MessageAttributes=ATTRIBUTES, MessageGroupId="a group")
    everything = {"AttributeNames": ["All"], "MessageAttributeNames": ["All"]}
    for time_of in ("first", "second"):
        yield f"the {time_of} time", side.receive(VisibilityTimeout=0, **everything)
        time.sleep(0.02)
    yield "depth before", side.depth()
    yield "not a third time", side.receive(**everything)
    yield "depth", side.depth()
    yield "depth of the dead-letter queue", side.depth(of=side.dead)
    dead = side.receive(of=side.dead, VisibilityTimeout=0, **everything)
    yield "in the dead-letter queue", dead
    [message] = dead.answer["Messages"]
    yield "is the same message", {"id": message["MessageId"] == sent.answer["MessageId"]}
    time.sleep(0.02)
    for _ in range(3):
        dead = side.receive(of=side.dead, VisibilityTimeout=0, **everything)
        time.sleep(0.02)
    yield "and stays there", dead
    own = side.send("of its own", to=side.dead)
    other = side.send("of its own")
    yield "ids are of one queue", {"same": own.answer["MessageId"] == other.answer["MessageId"]}
