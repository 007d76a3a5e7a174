"""For each section of docs/guide/amplify-migration.md: what is true before it, what happens in
it, and what must be true after it (`after_…`). A docstring is the check's name."""

import json
import uuid

import account
from account import (
    Worker, add_owner_index, dynamodb, front, new_pool, send, sign_up, sqs, stop_workers,
    until, waiting,
)

TABLE, NAME = "UserProfile", "usher-main-0123456789"
TAKEN, OWNER = "3c0a2f1e-5b7d-4c55-9a55-2f6f7c1de001", "8d7f6a90-1f0c-4b1f-8a43-5e6d7c8b9a02"

pool, app = new_pool("people of before")
dead_letter_queue = sqs.create_queue(QueueName=f"{NAME}-dead-letters")["QueueUrl"]
queue = sqs.create_queue(
    QueueName=NAME,
    Attributes={
        "RedrivePolicy": json.dumps({
            "deadLetterTargetArn": f"arn:aws:sqs:{account.REGION}:{account.ACCOUNT}:{NAME}-dead-letters",
            "maxReceiveCount": "100",
        }),
    },
)["QueueUrl"]

# The names of the document, and what they are here.
NAMES = {"eu-west-1_AbCdEf123": pool}

# Set by the runbook: the shell that the commands of the document are run in.
shell = None

people, records = [], []


def _time(second):
    return f"2026-07-01T12:{second // 60:02}:{second % 60:02}.000Z"


def _put(owner, number, **others):
    """A record as Amplify's Data client writes it: its id is random."""
    record = {
        "id": {"S": str(uuid.uuid4())},
        "__typename": {"S": "UserProfile"},
        "email": {"S": f"person-{number}@example.com"},
        "profileOwner": {"S": owner},
        "createdAt": {"S": _time(len(records))},
        "updatedAt": {"S": _time(len(records))},
        **others,
    }
    record = {name: value for name, value in record.items() if value}
    dynamodb.put_item(TableName=TABLE, Item=record)
    records.append(record)


def _edit(record, **attributes):
    """Changes the record in the table and the expected one."""
    record |= attributes
    dynamodb.put_item(TableName=TABLE, Item=record)


def _table():
    """Every record, by its id."""
    pages = dynamodb.get_paginator("scan").paginate(TableName=TABLE)
    return {item["id"]["S"]: item for page in pages for item in page["Items"]}


def _owned(record, person):
    return record["profileOwner"]["S"] in (person["name"], f"{person['sub']}::{person['name']}")


# --- The records of before ---------------------------------------------------------------


def look_at_your_profiles():
    """52 users; 50 have records under random ids, one of them two"""
    dynamodb.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    people.extend(sign_up(f"person-{number}", pool, app) for number in range(52))
    odd = {
        # Without the time of the last edit, and with a value of each type.
        3: {
            "updatedAt": None,
            "nick": {"NULL": True},
            "visits": {"N": "10"},
            "news": {"BOOL": False},
            "tags": {"L": [{"S": "a"}, {"M": {"b": {"S": ""}}}]},
        },
        # The document shows the first record of the table, which is to be another one.
        7: {"id": {"S": f"ffffffff{str(uuid.uuid4())[8:]}"}},
        11: {"updatedAt": None},
    }
    for number, person in enumerate(people[:50]):
        owner = person["name"] if number == 7 else f"{person['sub']}::{person['name']}"
        _put(owner, number, **odd.get(number, {}))
        if number == 9:
            _put(owner, number)


def the_model_has_the_index():
    """the table has an index by the owner of a record"""
    add_owner_index(TABLE)


def the_worker_works():
    """the worker provisions the queued users, and changes no earlier record"""
    Worker(
        USHER_QUEUE__URL=queue, USHER_QUEUE__DEAD_LETTER_URL=dead_letter_queue,
        USHER_POOLS__ALLOWED=pool, USHER_PROFILES__TABLE=TABLE,
    )
    until("the queue is empty", lambda: waiting(queue) == 0)
    stop_workers()
    assert waiting(dead_letter_queue) == 0
    found = _table()
    assert all(person["sub"] in found for person in people[50:])


# --- The move ----------------------------------------------------------------------------


def two_users_edit_their_profiles():
    """two users edit their profiles; one has no time of the last edit"""
    mine = {number: next(r for r in records if _owned(r, people[number])) for number in (5, 11)}
    _edit(mine[5], nick={"S": "five"}, updatedAt={"S": "2026-08-01T10:00:00.000Z"})
    _edit(mine[11], email={"S": "eleven@example.com"})


def one_place_is_taken():
    """the record that is not moved is the second one of a user"""
    [line] = (shell.directory / "not-moved.txt").read_text().splitlines()
    [left] = [record for record in records if record["id"]["S"] in line]
    assert _owned(left, people[9]), left
    NAMES[TAKEN], NAMES[OWNER] = left["id"]["S"], people[9]["sub"]
    records.remove(left)


def after_move_the_profiles():
    """each user has one unchanged record under the sub; an error stops a move"""
    found = _table()
    for person in people[:50]:
        [record] = [record for record in records if _owned(record, person)]
        assert found[person["sub"]] == {**record, "id": {"S": person["sub"]}}
    assert len(found) == 52, len(found)

    front.faults["TransactWriteItems"] = lambda: ("ExpiredTokenException", "The token is expired")
    said = shell.run('move "$(ls moves-*.jsonl | head -n 1)"')
    assert said.startswith("stopped after 0 moved: "), said
    assert "ExpiredTokenException" in said and said.endswith("[exit status 1]"), said
    assert (shell.directory / "not-moved.txt").read_text() == ""
    assert _table() == found

    copies = sorted(shell.directory.glob("before-*.json"))
    assert [len(json.loads(copy.read_text())["Items"]) for copy in copies] == [53, 53, 52]
    kept = [path for path in shell.directory.iterdir() if path.is_file()]
    assert kept and all(path.stat().st_mode & 0o077 == 0 for path in kept), kept


# --- The way back ------------------------------------------------------------------------


def the_way_back():
    """one record was edited since, and a user signed up"""
    [record] = [record for record in records if _owned(record, people[2])]
    record["id"] = {"S": people[2]["sub"]}
    _edit(record, updatedAt={"S": "2026-08-02T10:00:00.000Z"})
    people.append(sign_up("person-52", pool, app))
    send(people[-1]["event"], to=queue)
    the_worker_works()


def after_the_way_back():
    """all other records have their earlier ids, and none was lost"""
    found = _table()
    for record in records:
        assert found.pop(record["id"]["S"]) == record
    assert set(found) == {person["sub"] for person in people[50:]}, found
