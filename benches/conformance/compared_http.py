"""Parts that an SDK hides: content types, names of errors, whether a connection stays open."""

import json

from checks import checks
from sides import Raw

CHECKS, check = checks()


def calls(side):
    """By label: service, operation, request."""
    queue = {"QueueUrl": side.queue}
    person = {"UserPoolId": side.pool, "Username": side.users[0]}
    put = {"TableName": side.table, "Item": {"id": {"S": "raw"}},
           "ConditionExpression": "attribute_not_exists(id)"}
    empty = {**queue, "Entries": []}
    return {
        "send": ("sqs", "SendMessage", {**queue, "MessageBody": "raw"}),
        "receive": ("sqs", "ReceiveMessage", queue),
        "receive nothing": ("sqs", "ReceiveMessage", queue),
        "delete": ("sqs", "DeleteMessage", {**queue, "ReceiptHandle": "not a receipt"}),
        "delete none": ("sqs", "DeleteMessageBatch", empty),
        "of no queue": ("sqs", "ReceiveMessage", {"QueueUrl": side.queue + "-not"}),
        "add": ("cognito-idp", "AdminAddUserToGroup", {**person, "GroupName": side.group}),
        "get": ("cognito-idp", "AdminGetUser", person),
        "add nobody": ("cognito-idp", "AdminAddUserToGroup", {
            **person, "GroupName": side.group, "Username": "nobody"}),
        "put": ("dynamodb", "PutItem", put),
        "put again": ("dynamodb", "PutItem", put),
        "put nothing": ("dynamodb", "PutItem", {"TableName": side.table, "Item": {}}),
        "put into no table": ("dynamodb", "PutItem", {**put, "TableName": "NoSuchTable"}),
    }


@check("the bytes of an answer")
def _(side):
    for label, call in calls(side).items():
        raw = Raw(side)
        status, headers, body = raw.ask(*call)
        raw.close()
        parsed = json.loads(body) if body else None
        members = (parsed or {}).keys()
        if call[1] == "AdminGetUser":
            # moto's user has more attributes.
            members &= {"Username", "UserAttributes", "Enabled", "UserStatus"}
        yield label, {
            "status": status, "content-type": headers["Content-Type"], "body": bool(body),
            # SQS's errors have their message twice in moto; SDKs read the one in lower case.
            "members": sorted(members - {"Message"}), "__type": (parsed or {}).get("__type"),
            "has an id": "x-amzn-requestid" in headers,
            "checksum": "x-amz-crc32" in headers,
            "its length": headers["Content-Length"] == str(len(body)),
        }


@check("a connection is kept")
def _(side):
    raw = Raw(side)
    sockets = set()
    for label, call in calls(side).items():
        raw.ask(*call)
        sockets.add(raw.connection.sock and raw.connection.sock.fileno())
    yield "for all calls, errors too", {"kept": None not in sockets and len(sockets) == 1}
    raw.close()
