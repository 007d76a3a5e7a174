//! Error responses to requests that break a constraint.

use serde_json::{Value, json};

use super::{AwsErrorResponse, AwsService, check_trigger_response};

/// Status, code, the header of SQS, and text.
fn error_parts(refusal: &AwsErrorResponse) -> (u16, String, String, String) {
    let body: Value = serde_json::from_slice(&refusal.body).expect("JSON");
    let text = |name: &str| body[name].as_str().expect("text").to_owned();
    let header = refusal.headers.get("x-amzn-query-error");
    let header = header.map_or("", |value| value.to_str().expect("ASCII"));
    (
        refusal.status,
        text("__type"),
        header.to_owned(),
        text("message"),
    )
}

fn check_error(
    service: AwsService,
    operation: &str,
    request: &Value,
) -> (u16, String, String, String) {
    let refusal = service.check(operation, request.to_string().as_bytes());
    error_parts(&refusal.expect_err("refused"))
}

fn cognito_error(operation: &str, request: &Value) -> String {
    let (status, code, header, text) = check_error(AwsService::Cognito, operation, request);
    let code = (status, code.as_str(), header.as_str());
    assert_eq!(code, (400, "InvalidParameterException", ""), "{request}");
    let text = text.strip_prefix("1 validation error detected: Value");
    text.expect("one")
        .replace(" failed to satisfy constraint: ", " | ")
}

fn user(name: &str) -> Value {
    json!({"UserPoolId": "us-east-1_a", "Username": name})
}

fn with(mut request: Value, name: &str, value: Value) -> Value {
    request[name] = value;
    request
}

#[test]
fn request_within_the_constraints_passes() {
    let valid = json!({
        "UserPoolId": "us-east-1_a", "Username": "é".repeat(128), "MessageAction": "RESEND",
        "UserAttributes": [{"Name": "email", "Value": ""}], "TemporaryPassword": null,
        "DesiredDeliveryMediums": ["EMAIL", "SMS"], "ForceAliasCreation": false,
        "ClientMetadata": {"any": "thing"}, "NoSuchMember": null,
    });
    let body = valid.to_string();
    assert!(
        AwsService::Cognito
            .check("AdminCreateUser", body.as_bytes())
            .is_ok()
    );
    let unlisted = AwsService::Cognito.check("NoOperation", b"{}");
    assert!(unlisted.is_ok());
    let item = json!({"TableName": "t", "Item": {
        "id": {"S": ""}, "n": {"N": "1"}, "l": {"L": [{"BOOL": true}, {"M": {"x": {"NULL": true}}}]},
    }});
    let item = item.to_string();
    assert!(
        AwsService::DynamoDb
            .check("PutItem", item.as_bytes())
            .is_ok()
    );
}

#[test]
fn cognito_names_the_constraint_that_a_member_breaks() {
    let pattern = r"Member must satisfy regular expression pattern: [\p{L}\p{M}\p{S}\p{N}\p{P}]+";
    let get = "AdminGetUser";
    for (request, expected) in [
        (
            json!({"Username": "ada"}),
            " null at 'userPoolId' | Member must not be null",
        ),
        (
            user(&"a".repeat(129)),
            " at 'username' | Member must have length less than or equal to 128",
        ),
        (user("a\0b"), &*format!(" at 'username' | {pattern}")),
        (user("a b"), &*format!(" at 'username' | {pattern}")),
        (
            with(user("ada"), "Nickname", json!("x")),
            " at 'nickname' | There is no such member",
        ),
        (
            with(user("ada"), "UserPoolId", json!("nothing")),
            r" 'nothing' at 'userPoolId' | Member must satisfy regular expression pattern: [\w-]+_[0-9a-zA-Z]+",
        ),
    ] {
        assert_eq!(cognito_error(get, &request), expected);
    }
}

#[test]
fn cognito_reports_invalid_list_entries() {
    let create = "AdminCreateUser";
    let long = json!([{"Name": "email", "Value": "a"}, {"Name": "a".repeat(33), "Value": "b"}]);
    for (name, value, expected) in [
        (
            "MessageAction",
            json!("AGAIN"),
            " 'AGAIN' at 'messageAction' | Member must satisfy enum value set: [RESEND, SUPPRESS]",
        ),
        (
            "DesiredDeliveryMediums",
            json!(["EMAIL", "PIGEON"]),
            " at 'desiredDeliveryMediums' | Member must satisfy constraint: [Member must satisfy enum value set: [SMS, EMAIL]]",
        ),
        (
            "UserAttributes",
            json!([{"Value": "x"}]),
            " null at 'userAttributes.1.member.name' | Member must not be null",
        ),
        (
            "UserAttributes",
            long,
            &*format!(
                " '{}' at 'userAttributes.2.member.name' | Member must have length less than or equal to 32",
                "a".repeat(33)
            ),
        ),
    ] {
        assert_eq!(
            cognito_error(create, &with(user("ada"), name, value)),
            expected
        );
    }
}

#[test]
fn cognito_limits_numbers_and_entry_counts() {
    let limit = json!({"UserPoolId": "us-east-1_a", "Limit": 61});
    assert_eq!(
        cognito_error("ListUsers", &limit),
        " '61' at 'limit' | Member must have value less than or equal to 60"
    );
    let pool = |name: &str, value: Value| with(json!({"UserPoolId": "us-east-1_a"}), name, value);
    let three =
        json!({"RecoveryMechanisms": vec![json!({"Name": "admin_only", "Priority": 1}); 3]});
    for (request, expected) in [
        (
            pool("AccountRecoverySetting", three),
            " at 'accountRecoverySetting.recoveryMechanisms' | Member must have length less than or equal to 2",
        ),
        (
            pool("UserPoolTags", json!({"": "x"})),
            " at 'userPoolTags' | Map keys must satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal to 1]",
        ),
        (
            pool("UserPoolTags", json!({"x": "y".repeat(257)})),
            " at 'userPoolTags' | Map value must satisfy constraint: [Member must have length less than or equal to 256, Member must have length greater than or equal to 0]",
        ),
    ] {
        assert_eq!(cognito_error("UpdateUserPool", &request), expected);
    }
}

#[test]
fn one_response_lists_all_errors_without_secrets() {
    let secret = " a secret ".repeat(40);
    let request = with(user(&secret), "TemporaryPassword", json!(secret));
    let (_, _, _, text) = check_error(AwsService::Cognito, "AdminCreateUser", &request);
    assert!(text.starts_with("4 validation errors detected: "), "{text}");
    assert_eq!(text.matches("; ").count(), 3);
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn password_may_hold_spaces_except_at_its_ends() {
    let check = |password: &str| {
        let request = with(user("ada"), "Password", json!(password)).to_string();
        AwsService::Cognito.check("AdminSetUserPassword", request.as_bytes())
    };
    assert!(check("Long enough 1").is_ok());
    for password in [" Long-enough-1", "Long-enough-1\n", "Long\nenough-1"] {
        let refusal = check(password).expect_err("refused");
        let (_, code, _, text) = error_parts(&refusal);
        assert_eq!(code, "InvalidParameterException");
        assert!(text.ends_with(r"pattern: ^[\S]+.*[\S]+$"), "{text}");
    }
}

#[test]
fn unreadable_requests_are_serialization_errors() {
    let (text, code) = (
        "NUMBER_VALUE cannot be converted to String",
        "SerializationException",
    );
    let request = with(user("ada"), "Username", json!(5));
    let (_, name, _, found) = check_error(AwsService::Cognito, "AdminGetUser", &request);
    assert_eq!((name.as_str(), found.as_str()), (code, text));
    for (value, expected) in [
        (json!("5"), "STRING_VALUE cannot be converted to Integer"),
        (json!(true), "TRUE_VALUE cannot be converted to Integer"),
        (json!([5]), "Start of list found where not expected"),
        (
            json!({}),
            "Start of structure or map found where not expected",
        ),
    ] {
        let request = json!({"TableName": "t", "Limit": value});
        let (status, name, _, found) = check_error(AwsService::DynamoDb, "Scan", &request);
        assert_eq!(status, 400);
        assert_eq!(name, "com.amazon.coral.service#SerializationException");
        assert_eq!(found, expected);
    }
    for number in [json!(1.5), json!(u64::MAX), json!(1e30)] {
        let text = |operation: &str, request: &Value| {
            check_error(AwsService::DynamoDb, operation, request).3
        };
        let request = json!({"TableName": "t", "Limit": number});
        let expected = "NUMBER_VALUE cannot be converted to Integer";
        assert_eq!(text("Scan", &request), expected, "{number}");
        let throughput = json!({"ReadCapacityUnits": number, "WriteCapacityUnits": 1});
        let request = json!({"TableName": "t", "ProvisionedThroughput": throughput});
        let expected = "NUMBER_VALUE cannot be converted to Long";
        assert_eq!(text("CreateTable", &request), expected, "{number}");
    }
    let request = json!({"QueueUrl": "q", "Entries": "none"});
    let (_, name, header, found) = check_error(AwsService::Sqs, "SendMessageBatch", &request);
    assert_eq!(name, "com.amazonaws.sqs#SerializationException");
    assert_eq!(header, "MalformedInput;Sender");
    assert_eq!(found, "Unexpected field type");
    for service in [AwsService::Cognito, AwsService::DynamoDb, AwsService::Sqs] {
        let operation = service.model().operations.keys().next().expect("one");
        let refusal = service.check(operation, b"{").expect_err("refused");
        assert!(error_parts(&refusal).1.ends_with(code));
    }
}

#[test]
fn dynamodb_errors_have_its_codes_and_texts() {
    for (operation, request, expected) in [
        (
            "DescribeTable",
            json!({}),
            "Value null at 'tableName' failed to satisfy constraint: Member must not be null",
        ),
        (
            "Scan",
            json!({"TableName": "t", "Limit": 0}),
            "Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1",
        ),
        (
            "GetItem",
            json!({"TableName": "t", "Key": {"id": {"S": "1", "T": "2"}}}),
            "Value at 'key.id.member.t' failed to satisfy constraint: There is no such member",
        ),
        (
            "BatchGetItem",
            json!({"RequestItems": {}}),
            "Value at 'requestItems' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ),
    ] {
        let (status, code, _, text) = check_error(AwsService::DynamoDb, operation, &request);
        assert_eq!(status, 400);
        assert_eq!(code, "com.amazon.coral.validate#ValidationException");
        assert_eq!(text, format!("1 validation error detected: {expected}"));
    }
}

#[test]
fn sqs_errors_have_its_texts_and_legacy_codes() {
    let batch = json!({"QueueUrl": "q", "Entries": [
        {"Id": "0", "MessageBody": "b"}, {"MessageBody": "b"},
    ]});
    for (operation, request, name, code, text) in [
        (
            "SendMessage",
            json!({"QueueUrl": "q"}),
            "MissingRequiredParameterException",
            "MissingParameter",
            "The request must contain the parameter MessageBody.",
        ),
        (
            "SendMessageBatch",
            batch,
            "MissingRequiredParameterException",
            "MissingParameter",
            "The request must contain the parameter Entries.2.Id.",
        ),
        (
            "GetQueueAttributes",
            json!({"QueueUrl": "q", "AttributeNames": ["Depth"]}),
            "InvalidAttributeName",
            "InvalidAttributeName",
            "Unknown Attribute in AttributeNames.",
        ),
        (
            "ReceiveMessage",
            json!({"QueueUrl": "q", "Most": 1}),
            "InvalidParameterValueException",
            "InvalidParameterValue",
            "Value for parameter Most is invalid. Reason: There is no such parameter.",
        ),
    ] {
        let (status, found, header, message) = check_error(AwsService::Sqs, operation, &request);
        assert_eq!((status, found), (400, format!("com.amazonaws.sqs#{name}")));
        assert_eq!((header, message.as_str()), (format!("{code};Sender"), text));
    }
}

#[test]
fn trigger_response_must_have_the_documented_shape() {
    assert!(check_trigger_response("@PreTokenGeneration", &Value::Null).is_ok());
    let details = |details: Value| json!({ "claimsOverrideDetails": details });
    let groups = |of: Value| details(json!({ "groupOverrideDetails": of }));
    for good in [
        details(Value::Null),
        groups(Value::Null),
        groups(json!({"groupsToOverride": ["A"], "iamRolesToOverride": [], "preferredRole": null})),
        details(json!({"claimsToAddOrOverride": {"plan": "pro"}, "claimsToSuppress": ["email"]})),
        // From the second version of the event.
        json!({"claimsAndScopeOverrideDetails": {"accessTokenGeneration": {}}}),
        details(json!({"claimsToAdd": {}})),
        groups(json!({"groupsToOverride": ["A"], "scopes": 5})),
    ] {
        assert!(
            check_trigger_response("@PreTokenGeneration", &good).is_ok(),
            "{good}"
        );
    }
    for bad in [
        json!("text"),
        groups(json!({"groupsToOverride": "A"})),
        groups(json!({"groupsToOverride": ["two words"]})),
        groups(json!({"groupsToOverride": ["a".repeat(129)]})),
        groups(json!({"groupsToOverride": [""]})),
        groups(json!({"preferredRole": "no ARN of any role"})),
        details(json!({"claimsToAddOrOverride": {"age": 5}})),
        details(json!({"claimsToSuppress": {"email": true}})),
    ] {
        let refusal = check_trigger_response("@PreTokenGeneration", &bad).expect_err("refused");
        let (_, code, _, text) = error_parts(&refusal);
        assert_eq!(code, "InvalidLambdaResponseException");
        assert!(text.starts_with("Unrecognizable lambda output: "), "{text}");
    }
}
