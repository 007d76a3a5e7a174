"""DynamoDB's PutItem."""

from checks import checks

CHECKS, check = checks()

NEW = {"ConditionExpression": "attribute_not_exists(id)"}
NAMED = {
    "ConditionExpression": "attribute_not_exists(#key)",
    "ExpressionAttributeNames": {"#key": "id"},
}
ALL_OLD = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}


@check("PutItem")
def _(side):
    def put(item, table=side.table, **parameters):
        return side.ask(side.dynamodb, "put_item", TableName=table, Item=item, **parameters)

    def profile(key, count="1"):
        return {
            "id": {"S": key}, "email": {"S": "Grüße 🎉"}, "count": {"N": count},
            "on": {"BOOL": True}, "none": {"NULL": True}, "list": {"L": [{"S": "a"}]},
            "map": {"M": {"a": {"S": "b"}}},
        }

    yield "new", put(profile("a"), **NEW)
    yield "existing", put(profile("a", "2"), **NEW)
    yield "existing, and the old one is asked for", put(profile("a", "3"), **NEW, **ALL_OLD)
    yield "new, and the old one would be", put(profile("b"), **NEW, **ALL_OLD)
    yield "unconditional", put(profile("a", "4"))
    yield "is overwritten", put(profile("a", "5"), **NEW, **ALL_OLD)
    yield "new, by another name", put(profile("c"), **NAMED)
    yield "existing, by another name", put(profile("c"), **NAMED)
    yield "a name that is not given", put(
        profile("d"), ConditionExpression="attribute_not_exists(#key)")
    yield "a name that is not among those given", put(
        profile("d"), ConditionExpression="attribute_not_exists(#key)",
        ExpressionAttributeNames={"#other": "id"})
    yield "a name that is not used", put(
        profile("d"), **NEW, ExpressionAttributeNames={"#other": "id"})
    yield "a name without a condition", put(
        profile("d"), ExpressionAttributeNames={"#key": "id"})
    yield "without its key", put({"email": {"S": "x"}}, **NEW)
    yield "with an empty key", put({"id": {"S": ""}}, **NEW)
    yield "with a key that is a number", put({"id": {"N": "1"}}, **NEW)
    yield "to no table", put(profile("d"), table="NoSuchTable", **NEW)
    yield "none of those was written", put(profile("d"), **NEW)
