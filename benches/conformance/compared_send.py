"""SQS: sending messages and finding queues. Each check yields the values to compare."""

from checks import checks

CHECKS, check = checks()

ATTRIBUTES = {
    "usher.kind": {"DataType": "String", "StringValue": "PostConfirmation"},
    "usher.attempt": {"DataType": "Number", "StringValue": "3"},
    "other": {"DataType": "String.of-its-own", "StringValue": "ü"},
}


def entries(count, **more):
    return [{"Id": f"entry-{n}", "MessageBody": f"body {n}", **more} for n in range(count)]


def send_batch(side, batch):
    return side.ask(side.sqs, "send_message_batch", QueueUrl=side.queue, Entries=batch)


@check("SendMessage")
def _(side):
    yield "plain", side.send("a body")
    yield "not ASCII", side.send("Grüße 🎉\n\t\"\\")
    yield "with attributes", side.send("a body", MessageAttributes=ATTRIBUTES)
    yield "with a group", side.send("a body", MessageGroupId="a group")
    yield "delayed too long", side.send("late", DelaySeconds=901)
    yield "to no queue", side.send("lost", to=side.queue + "-not")
    yield "depth", side.depth()


@check("SendMessageBatch")
def _(side):
    yield "three", send_batch(side, entries(3))
    yield "with attributes", send_batch(side, entries(1, MessageAttributes=ATTRIBUTES))
    yield "with a delay", send_batch(side, entries(2, DelaySeconds=60))
    yield "ten", send_batch(side, entries(10))
    yield "eleven", send_batch(side, entries(11))
    yield "none", send_batch(side, [])
    yield "the same id twice", send_batch(side, entries(1) * 2)
    yield "to no queue", side.ask(
        side.sqs, "send_message_batch", QueueUrl=side.queue + "-not", Entries=entries(1))
    delays = entries(2)
    delays[1]["DelaySeconds"] = 901
    yield "one delayed too long", send_batch(side, delays)
    yield "depth", side.depth()


@check("GetQueueUrl")
def _(side):
    for name in ("usher", "usher-dead", "missing"):
        yield name, side.ask(side.sqs, "get_queue_url", QueueName=name)


# The attributes that the endpoint has.
KNOWN = [
    "QueueArn", "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed", "VisibilityTimeout", "MessageRetentionPeriod",
    "RedrivePolicy",
]


@check("GetQueueAttributes", receives=7)
def _(side):
    def get(names, of=side.queue):
        return side.ask(side.sqs, "get_queue_attributes", QueueUrl=of, AttributeNames=names)

    side.send("hidden")
    side.received()
    side.send("visible")
    side.send("delayed", DelaySeconds=60)
    for name in KNOWN:
        yield name, get([name])
    yield "several", get(KNOWN[:3])
    yield "none", get([])
    yield "of no queue", get(["All"], of=side.queue + "-not")
    for label, queue in (("All", side.queue), ("All of the dead-letter queue", side.dead)):
        everything = get(["All"], of=queue)
        attributes = everything.compared["Attributes"]
        if side.name == "endpoint":
            assert attributes.keys() <= set(KNOWN), attributes
        everything.compared["Attributes"] = {
            name: value for name, value in attributes.items() if name in KNOWN}
        yield label, everything
