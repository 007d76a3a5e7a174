"""SQS: deleting messages and changing their visibility."""

import time

from checks import checks

CHECKS, check = checks()
NOT_A_RECEIPT = "not a receipt"


def delete(side, receipt, of=None):
    return side.ask(side.sqs, "delete_message", QueueUrl=of or side.queue, ReceiptHandle=receipt)


def hide(side, receipt, seconds, of=None):
    return side.ask(side.sqs, "change_message_visibility", QueueUrl=of or side.queue,
                    ReceiptHandle=receipt, VisibilityTimeout=seconds)


def batch(side, operation, receipts, **more):
    entries = [{"Id": f"entry-{n}", "ReceiptHandle": receipt, **more}
               for n, receipt in enumerate(receipts)]
    return side.ask(side.sqs, operation, QueueUrl=side.queue, Entries=entries)


def wrong_batches(side, operation, receipts, **more):
    """Only their errors: moto accepts some entries."""
    same = {"Id": "same", **more}
    twice = [{**same, "ReceiptHandle": receipt} for receipt in receipts[5:7]]
    for label, answer in {
        "none": batch(side, operation, [], **more),
        "eleven": batch(side, operation, receipts[:11], **more),
        "the same id twice": side.ask(
            side.sqs, operation, QueueUrl=side.queue, Entries=twice),
        "of no queue": side.ask(
            side.sqs, operation, QueueUrl=side.queue + "-not", Entries=twice[:1]),
    }.items():
        yield label, answer.only("Error.Code", "x-amzn-query-error")


def fill(side, count):
    """Sends `count` messages; returns the receipt of each."""
    for number in range(count):
        side.send(f"body {number:02}")
    return [receipt for _ in range(count) for receipt in side.received(most=1)]


@check("DeleteMessage")
def _(side):
    [receipt, other] = fill(side, 2)
    yield "ok", delete(side, receipt)
    yield "twice", delete(side, receipt)
    yield "not a receipt", delete(side, NOT_A_RECEIPT)
    yield "of no queue", delete(side, other, of=side.queue + "-not")
    yield "of the other queue", delete(side, other, of=side.dead)
    yield "depth", side.depth()


@check("DeleteMessage: late")
def _(side):
    side.send("late")
    [receipt] = side.received(VisibilityTimeout=1)
    time.sleep(1.2)
    yield "after its timeout", delete(side, receipt)
    yield "depth", side.depth()
    yield "is gone", side.receive()


@check("DeleteMessage: with an old receipt")
def _(side):
    side.send("twice")
    [old] = side.received(VisibilityTimeout=0)
    time.sleep(0.02)
    [new] = side.received()
    yield "receipts differ", {"differ": old != new}
    yield "ok", delete(side, old)
    yield "depth", side.depth()
    yield "with the new one after it", delete(side, new)


@check("DeleteMessageBatch")
def _(side):
    operation = "delete_message_batch"
    receipts = fill(side, 12)
    yield "three", batch(side, operation, receipts[:3])
    yield "one for a second time", batch(side, operation, receipts[2:4])
    yield "one is not a receipt", batch(side, operation, [NOT_A_RECEIPT, receipts[4]])
    yield "depth", side.depth()
    yield from wrong_batches(side, operation, receipts)


@check("ChangeMessageVisibility")
def _(side):
    [receipt] = fill(side, 1)
    yield "to 0", hide(side, receipt, 0)
    time.sleep(0.02)
    [receipt] = side.received(VisibilityTimeout=3)
    yield "longer", hide(side, receipt, 60)
    time.sleep(3.2)
    yield "is hidden after its first timeout", side.receive()
    yield "shorter", hide(side, receipt, 1)
    answer = side.receive(wait=10)
    yield "comes when the shorter one is over", answer
    yield "depth", side.depth()
    yield "not a receipt", hide(side, NOT_A_RECEIPT, 10)
    yield "more than 12 hours", hide(side, receipt, 43_201)
    yield "of no queue", hide(side, receipt, 10, of=side.queue + "-not")


@check("ChangeMessageVisibility: of what is not in flight")
def _(side):
    [deleted, visible] = fill(side, 2)
    delete(side, deleted)
    yield "deleted", hide(side, deleted, 10)
    hide(side, visible, 0)
    time.sleep(0.02)
    yield "visible", hide(side, visible, 60)
    yield "depth", side.depth()


@check("ChangeMessageVisibilityBatch")
def _(side):
    operation = "change_message_visibility_batch"
    receipts = fill(side, 11)
    yield "to 0", batch(side, operation, receipts[:2], VisibilityTimeout=0)
    time.sleep(0.02)
    yield "both are back", side.receive()
    delete(side, receipts[2])
    yield "one deleted, one not a receipt", batch(
        side, operation, [receipts[2], NOT_A_RECEIPT, receipts[3]], VisibilityTimeout=60)
    yield "more than 12 hours", batch(side, operation, receipts[3:4], VisibilityTimeout=43_201)
    yield "depth", side.depth()
    yield from wrong_batches(side, operation, receipts, VisibilityTimeout=0)
