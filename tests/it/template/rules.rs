//! The rules by which the template refuses parameters before it creates resources.

use std::collections::BTreeMap;

use serde_json::Value;

use super::template;

type Parameters = BTreeMap<String, String>;

fn value<'a>(what: &'a Value, given: &'a Parameters) -> &'a str {
    let Some(name) = what["Ref"].as_str() else {
        return what.as_str().expect("text or a reference");
    };
    given[name].as_str()
}

/// Evaluates the functions that the rules use. `Ref` is the only other function that
/// `CloudFormation` allows in them.
fn holds(what: &Value, given: &Parameters) -> bool {
    let function = what.as_object().expect("a function");
    assert_eq!(function.len(), 1, "{what}");
    let (name, arguments) = function.iter().next().expect("a name");
    let arguments = arguments.as_array().expect("arguments");
    let text = |at: usize| value(&arguments[at], given);
    match name.as_str() {
        "Fn::Equals" => text(0) == text(1),
        "Fn::EachMemberEquals" => text(0).split(',').all(|member| member == text(1)),
        "Fn::Not" => !holds(&arguments[0], given),
        "Fn::And" => arguments.iter().all(|one| holds(one, given)),
        "Fn::Or" => arguments.iter().any(|one| holds(one, given)),
        other => panic!("{other} in a rule"),
    }
}

/// The rules that refuse a stack with these parameters and the required ones.
fn refusing(changes: &[(&str, &str)]) -> Vec<String> {
    let template = template();
    let parameters = template["Parameters"].as_object().expect("parameters");
    let mut given: Parameters = parameters
        .iter()
        .filter_map(|(name, parameter)| {
            let default = parameter.get("Default")?;
            let text = default.as_str().map(str::to_owned);
            Some((name.clone(), text.unwrap_or_else(|| default.to_string())))
        })
        .collect();
    let needed = [
        ("TriggerCodeBucket", "code"),
        ("TriggerCodeKey", "trigger.zip"),
        ("VpcId", "vpc-0123"),
    ];
    for (name, value) in needed.iter().chain(changes) {
        assert!(parameters.contains_key(*name), "{name}");
        given.insert((*name).to_owned(), (*value).to_owned());
    }
    let rules = template["Rules"].as_object().expect("rules").iter();
    rules
        .filter(|(_, rule)| {
            let applies = rule.get("RuleCondition");
            applies.is_none_or(|condition| holds(condition, &given))
        })
        .filter(|(_, rule)| {
            let asserted = rule["Assertions"].as_array().expect("assertions");
            asserted.iter().any(|one| !holds(&one["Assert"], &given))
        })
        .map(|(name, _)| name.clone())
        .collect()
}

#[test]
fn contradicting_parameters_are_refused() {
    let role = "arn:aws:iam::123456789012:role/trigger";
    let topic = "arn:aws:sns:eu-west-1:123456789012:ours";
    let secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app";
    for (changes, rule) in [
        (
            vec![("ProfileOwnerIndex", "byOwner")],
            "AnIndexNeedsItsTable",
        ),
        (vec![("TriggerCodeKey", "")], "TheTriggerNeedsItsCode"),
        (vec![("TriggerRoleArn", role)], "TheTriggerNeedsItsCode"),
        (
            vec![("TriggerFunctionName", "ours"), ("TriggerRoleArn", role)],
            "AnotherTriggerNeedsItsRole",
        ),
        (
            vec![
                ("TriggerFunctionName", "ours"),
                ("TriggerCodeBucket", ""),
                ("TriggerCodeKey", ""),
            ],
            "AnotherTriggerNeedsItsRole",
        ),
        (
            vec![("AdminClientIds", "app")],
            "AdministratorsNeedTheirActions",
        ),
        (vec![("InvitationClientId", "app")], "AcceptNeedsItsAddress"),
        (
            vec![("InvitationClientSecretArn", secret)],
            "ASecretNeedsItsClient",
        ),
        (
            vec![("ConsoleClientId", "app")],
            "TheConsoleNeedsTheActions",
        ),
        (
            vec![("ConsoleClientSecretArn", secret)],
            "TheConsoleSecretNeedsItsClient",
        ),
        (vec![("VpcId", "")], "ATaskNeedsItsSecurityGroup"),
        (
            vec![("ConfigTextArn", secret), ("ConfigFile", "/usher.toml")],
            "OneConfiguration",
        ),
        (vec![("WorkerCpu", "512")], "FargateHasTheSize"),
        (vec![("WorkerCpu", "1024")], "FargateHasTheSize"),
        (
            vec![("WorkerCpu", "1024"), ("WorkerMemory", "1024")],
            "FargateHasTheSize",
        ),
        (vec![("MaximumPercent", "100")], "ADeploymentCanBegin"),
        (
            vec![
                ("DesiredCount", "1"),
                ("MinimumHealthyPercent", "50"),
                ("MaximumPercent", "100"),
            ],
            "ADeploymentOfOneTaskCanBegin",
        ),
        (
            vec![("AlarmTopicArn", topic), ("AlarmEmail", "ops@example.com")],
            "AnAddressNeedsATopicOfItsOwn",
        ),
    ] {
        assert_eq!(refusing(&changes), [rule], "{changes:?}");
    }
}

#[test]
fn consistent_parameters_are_accepted() {
    let role = "arn:aws:iam::123456789012:role/trigger";
    let topic = "arn:aws:sns:eu-west-1:123456789012:ours";
    for changes in [
        vec![],
        vec![
            ("ProfileOwnerIndex", "byOwner"),
            ("ProfileTableName", "UserProfile"),
        ],
        vec![
            ("TriggerFunctionName", "ours"),
            ("TriggerRoleArn", role),
            ("TriggerCodeBucket", ""),
            ("TriggerCodeKey", ""),
        ],
        vec![("VpcId", ""), ("SecurityGroupIds", "sg-01,sg-02")],
        vec![("ConsoleClientId", "app"), ("AdminActions", "true")],
        vec![("ConfigTextArn", "arn:aws:ssm:eu-west-1:1:parameter/usher")],
        vec![("ConfigFile", "/usher.toml")],
        vec![("WorkerMemory", "1024")],
        vec![("WorkerMemory", "2048")],
        vec![("WorkerCpu", "512"), ("WorkerMemory", "1024")],
        vec![("WorkerCpu", "512"), ("WorkerMemory", "2048")],
        vec![("WorkerCpu", "1024"), ("WorkerMemory", "2048")],
        vec![("MinimumHealthyPercent", "50"), ("MaximumPercent", "100")],
        vec![("DesiredCount", "1")],
        vec![
            ("DesiredCount", "1"),
            ("MinimumHealthyPercent", "0"),
            ("MaximumPercent", "100"),
        ],
        vec![("AlarmTopicArn", topic)],
        vec![("AlarmEmail", "ops@example.com")],
    ] {
        let refused = refusing(&changes);
        assert!(refused.is_empty(), "{changes:?} {refused:?}");
    }
}
