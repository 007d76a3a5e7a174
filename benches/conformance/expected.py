"""Where moto differs from the endpoint, and why the endpoint is right.

By check and path: the endpoint's value, moto's value, and the reason. A difference without
an entry fails; so does an entry without a difference.
"""

ABSENT = "(absent)"
EXPECTED = {}


def expect(check, why, differences):
    for path, (endpoint, moto) in differences.items():
        EXPECTED[check, path] = (endpoint, moto, why)


def refused(label, code):
    """A call that the endpoint refuses and moto accepts."""
    return {
        f"{label}/status": (400, 200),
        f"{label}/Error.Code": (code, ABSENT),
        f"{label}/x-amzn-query-error": (f"{code};Sender", ABSENT),
    }


TOO_MANY = "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"
NOT_DISTINCT = "AWS.SimpleQueueService.BatchEntryIdsNotDistinct"
EMPTY = "AWS.SimpleQueueService.EmptyBatchRequest"
NOT_IN_FLIGHT = "AWS.SimpleQueueService.MessageNotInflight"

expect(
    "DeleteMessageBatch",
    "moto checks only the number and the ids of the entries of SendMessageBatch; the "
    "errors are in the reference of this operation as well",
    refused("eleven", TOO_MANY) | refused("the same id twice", NOT_DISTINCT),
)
expect(
    "ChangeMessageVisibilityBatch",
    "the same, and moto takes a batch without entries",
    refused("none", EMPTY) | refused("eleven", TOO_MANY)
    | refused("the same id twice", NOT_DISTINCT),
)

DELETED = (
    "AWS answers `InvalidParameterValue`, `Message does not exist or is not available for "
    "visibility timeout change.`: https://github.com/vmihailenco/taskq/issues/29, "
    "https://github.com/olist/olist-loafer/pull/29"
)
expect("ChangeMessageVisibility: of what is not in flight", DELETED, {
    "deleted/Error.Code": ("InvalidParameterValue", "ReceiptHandleIsInvalid"),
    "deleted/x-amzn-query-error": (
        "InvalidParameterValue;Sender", "ReceiptHandleIsInvalid;Sender"),
})
expect("ChangeMessageVisibilityBatch", DELETED, {
    "one deleted, one not a receipt/Failed/0/Code": (
        "InvalidParameterValue", "ReceiptHandleIsInvalid"),
})
expect(
    "ChangeMessageVisibility: of what is not in flight",
    "moto hides a message that no receiver has; the reference has `MessageNotInflight`: `The "
    "specified message isn't in flight.`",
    refused("visible", NOT_IN_FLIGHT) | {
        "depth/Attributes/ApproximateNumberOfMessages": ("1", "0"),
        "depth/Attributes/ApproximateNumberOfMessagesNotVisible": ("0", "1"),
    },
)

UNDEFINED = (
    "moto breaks on a name that is not defined; DynamoDB answers `ValidationException`, `An "
    "expression attribute name used in the document path is not defined`"
)
expect("PutItem", UNDEFINED, {
    f"{label}/{what}": pair
    for label in ("a name that is not given", "a name that is not among those given")
    for what, pair in {"status": (400, 500), "Error.Code": ("ValidationException", "500")}.items()
})

BYTES = "the bytes of an answer"
expect(
    BYTES,
    "Cognito answers a call without output with no body, as the protocol allows and SDKs "
    "of all kinds have to take; moto sends `{}`",
    {"add/body": (False, True)},
)
expect(
    BYTES,
    "moto sends the errors of these services as `application/json`; the protocol has its "
    "type for all answers",
    {f"{label}/content-type": (f"application/x-amz-json-{version}", "application/json")
     for label, version in {
         "add nobody": "1.1", "put again": "1.0", "put nothing": "1.0", "put into no table": "1.0",
     }.items()},
)
expect(
    BYTES,
    "what the front of the web service refuses has its namespace in AWS's answers, not "
    "DynamoDB's; SDKs cut off both",
    {"put nothing/__type": ("com.amazon.coral.validate#ValidationException",
                            "com.amazonaws.dynamodb.v20120810#ValidationException")},
)
expect(
    "a connection is kept",
    "moto's server is one for development, and speaks HTTP/1.0",
    {"for all calls, errors too/kept": (True, False)},
)
