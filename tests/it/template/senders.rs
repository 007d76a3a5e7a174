//! The principals that may send to the queues.

use serde_json::{Map, Value, json};

use super::{of_type, template};

/// The value that `CloudFormation` computes if only these conditions hold.
fn chosen(value: &Value, holding: &[&str]) -> Option<Value> {
    match value {
        Value::Array(entries) => {
            let entries = entries.iter().filter_map(|entry| chosen(entry, holding));
            Some(Value::Array(entries.collect()))
        }
        Value::Object(members) => {
            if let Some(sides) = members.get("Fn::If") {
                let condition = sides[0].as_str().expect("a name");
                let side = if holding.contains(&condition) { 1 } else { 2 };
                return chosen(&sides[side], holding);
            }
            if members
                .get("Ref")
                .is_some_and(|name| name == "AWS::NoValue")
            {
                return None;
            }
            let members = members
                .iter()
                .filter_map(|(name, member)| Some((name.clone(), chosen(member, holding)?)));
            Some(Value::Object(members.collect::<Map<_, _>>()))
        }
        other => Some(other.clone()),
    }
}

/// The complete statements of a queue's policy, so that a reversed or missing operator
/// makes a difference.
fn denials(queue: &str, senders: &[Value], holding: &[&str]) -> Value {
    let mut condition = json!({
        "Bool": {"aws:PrincipalIsAWSService": "false"},
        "ArnNotLike": {"aws:PrincipalArn": senders},
    });
    if holding.contains(&"HasOperators") {
        condition["ArnNotEquals"] = json!({"aws:PrincipalArn": {"Ref": "OperatorRoleArns"}});
    }
    json!([
        {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sqs:*",
            "Resource": {"Fn::GetAtt": [queue, "Arn"]},
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
        {
            "Sid": "SendersOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sqs:SendMessage",
            "Resource": {"Fn::GetAtt": [queue, "Arn"]},
            "Condition": condition,
        },
    ])
}

#[test]
fn only_known_senders_may_send_to_the_queues() {
    let template = template();
    let policies = of_type(&template, "AWS::SQS::QueuePolicy");
    assert_eq!(policies.len(), 2);
    let role = |name: &str| json!({"Fn::GetAtt": [name, "Arn"]});
    let all = ["MakesTrigger", "Reconciles", "HasOperators"];
    for which in 0..8_usize {
        let holding: Vec<&str> = all
            .iter()
            .enumerate()
            .filter(|(bit, _)| (which >> bit) & 1 == 1)
            .map(|(_, name)| *name)
            .collect();
        let mut senders = if holding.contains(&"MakesTrigger") {
            vec![role("TriggerRole")]
        } else {
            vec![json!({"Ref": "TriggerRoleArn"})]
        };
        senders.push(role("TaskRole"));
        if holding.contains(&"Reconciles") {
            senders.push(role("ScheduleRole"));
        }
        for (policy, queue, senders) in [
            ("QueuePolicy", "Queue", senders),
            (
                "DeadLetterQueuePolicy",
                "DeadLetterQueue",
                vec![role("TaskRole")],
            ),
        ] {
            let policy = policies[policy];
            assert_eq!(policy["Queues"], json!([{"Ref": queue}]));
            let statements = chosen(&policy["PolicyDocument"]["Statement"], &holding);
            let wanted = denials(queue, &senders, &holding);
            assert_eq!(statements, Some(wanted), "{queue} {holding:?}");
        }
    }
}

/// `CloudFormation` matches the whole value, or each value of a list, with the pattern:
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html>
fn taken(parameter: &str, value: &str) -> bool {
    let template = template();
    let pattern = &template["Parameters"][parameter]["AllowedPattern"];
    let whole = format!("^(?:{})$", pattern.as_str().expect("a pattern"));
    let validator = jsonschema::validator_for(&json!({"pattern": whole})).expect("a pattern");
    validator.is_valid(&json!(value))
}

#[test]
fn senders_are_named_in_full() {
    let role = "arn:aws:iam::123456789012:role/operator";
    let sso = "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/eu-west-1/\
               AWSReservedSSO_Operator_0123456789abcdef";
    let china = "arn:aws-cn:iam::123456789012:role/operator";
    let user = "arn:aws:iam::123456789012:user/team/ada@example.com";
    for fine in ["", role, sso, china, user] {
        assert!(taken("OperatorRoleArns", fine), "{fine}");
    }
    for fine in ["", role, sso, china] {
        assert!(taken("TriggerRoleArn", fine), "{fine}");
    }
    for wrong in [
        "*",
        "arn:*",
        "arn:aws:iam::*:role/operator",
        "arn:aws:iam::123456789012:role/*",
        "arn:aws:iam::123456789012:role/opera*",
        "arn:aws:iam::123456789012:role/operato?",
        "arn:aws:iam::123456789012:*",
        "arn:*:iam::123456789012:role/operator",
        "arn:aws:iam::123456789012:role/",
        "arn:aws:iam::123456789012:root",
        "arn:aws:sts::123456789012:assumed-role/operator/ada",
        "123456789012",
        "operator",
    ] {
        assert!(!taken("OperatorRoleArns", wrong), "{wrong}");
        assert!(!taken("TriggerRoleArn", wrong), "{wrong}");
    }
    assert!(!taken("TriggerRoleArn", user));
}

#[test]
fn the_conditions_of_queue_policies_match_their_names() {
    let template = template();
    let conditions = &template["Conditions"];
    let is_empty = |what: Value| json!({"Fn::Equals": [what, ""]});
    let parameter = |name: &str| json!({"Ref": name});
    let operators = json!({"Fn::Join": ["", parameter("OperatorRoleArns")]});
    for (name, wanted) in [
        ("MakesTrigger", is_empty(parameter("TriggerFunctionName"))),
        ("HasOperators", json!({"Fn::Not": [is_empty(operators)]})),
        (
            "Reconciles",
            json!({"Fn::Not": [is_empty(parameter("ReconcileSchedule"))]}),
        ),
    ] {
        assert_eq!(conditions[name], wanted, "{name}");
    }
}
