//! The permissions of the template's roles.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{entries, of_type, strings, template};
use crate::policies::{of_the_admins, of_the_trigger, of_the_worker, text};

/// The statements of a role's policies, by policy name.
fn policies<'a>(template: &'a Value, role: &str) -> BTreeMap<&'a str, Vec<&'a Value>> {
    let role = &template["Resources"][role]["Properties"];
    for other in ["ManagedPolicyArns", "PermissionsBoundary"] {
        assert!(role.get(other).is_none(), "{other}");
    }
    let named = |policy: &'a Value| {
        let name = policy["PolicyName"].as_str().expect("a name");
        (name, entries(&policy["PolicyDocument"]["Statement"]))
    };
    entries(&role["Policies"]).into_iter().map(named).collect()
}

fn allowed(statements: &[&Value]) -> BTreeSet<String> {
    let allowed = statements.iter().flat_map(|statement| {
        assert_eq!(statement["Effect"], "Allow", "{statement}");
        strings(&statement["Action"])
    });
    allowed.collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn the_task_role_allows_what_the_worker_calls_and_nothing_else() {
    let template = template();
    let mut policies = policies(&template, "TaskRole");
    let usher = allowed(&policies.remove("usher").expect("a policy"));
    assert_eq!(usher, of_the_worker());
    let admin = allowed(&policies.remove("usher-admin").expect("a policy"));
    let more = &of_the_admins() - &of_the_worker();
    let console = set(&[
        "cognito-idp:AdminDisableUser",
        "cognito-idp:AdminEnableUser",
        "cognito-idp:AdminUserGlobalSignOut",
    ]);
    assert_eq!(admin, &more | &console);
    let mut others = policies.into_keys();
    assert_eq!((others.next(), others.next()), (Some("platform"), None));
}

/// `DynamoDB` makes these calls in the worker's role; the worker itself never does.
#[test]
fn the_table_key_is_used_only_through_dynamodb() {
    let template = template();
    let policies = policies(&template, "TaskRole");
    let [statement] = policies["platform"][..] else {
        panic!("{policies:?}")
    };
    let calls = [
        "kms:Decrypt",
        "kms:DescribeKey",
        "kms:Encrypt",
        "kms:GenerateDataKey",
        "kms:GenerateDataKeyWithoutPlaintext",
        "kms:ReEncryptFrom",
        "kms:ReEncryptTo",
    ];
    assert_eq!(allowed(&[statement]), set(&calls));
    assert_eq!(statement["Resource"], json!({"Ref": "ProfileTableKeyArn"}));
    let through = json!({"Fn::Sub": "dynamodb.${AWS::Region}.${AWS::URLSuffix}"});
    let condition = json!({"StringEquals": {"kms:ViaService": through}});
    assert_eq!(statement["Condition"], condition);
    let table = &template["Resources"]["ProfileTable"]["Properties"];
    let key = &table["SSESpecification"]["Fn::If"][1]["KMSMasterKeyId"];
    assert_eq!(*key, statement["Resource"]);
}

#[test]
fn roles_are_assumed_only_for_this_account() {
    let template = template();
    let account = json!({"Ref": "AWS::AccountId"});
    for role in ["TaskRole", "ExecutionRole", "ScheduleRole"] {
        let trust = &template["Resources"][role]["Properties"]["AssumeRolePolicyDocument"];
        let [statement] = entries(&trust["Statement"])[..] else {
            panic!("{trust}")
        };
        let condition = &statement["Condition"];
        let exact = &condition["StringEquals"];
        assert_eq!(exact["aws:SourceAccount"], account, "{role}");
        let source = [&condition["ArnLike"], exact].map(|of| &of["aws:SourceArn"]["Fn::Sub"]);
        let source = source.into_iter().find_map(Value::as_str).expect(role);
        let here = ":${AWS::Region}:${AWS::AccountId}:";
        assert!(source.contains(here), "{role}: {source}");
    }
}

/// Compares the calls of each statement, by statement name.
#[test]
fn the_statements_match_the_policy_files() {
    let template = template();
    for (role, file) in [
        ("TaskRole", "deploy/worker-policy.json"),
        ("TriggerRole", "deploy/trigger-policy.json"),
        ("ScheduleRole", "deploy/trigger-policy.json"),
    ] {
        let by_name = |statements: Vec<&Value>| -> BTreeMap<String, BTreeSet<String>> {
            let named = statements.into_iter().map(|statement| {
                let name = statement["Sid"].as_str().expect("a name").to_owned();
                (name, strings(&statement["Action"]))
            });
            named.collect()
        };
        let written: Value = serde_json::from_str(&text(file)).expect("JSON");
        let written = written["Statement"].as_array().expect("statements");
        let made = policies(&template, role).remove("usher").expect("usher's");
        let mut written = by_name(written.iter().collect());
        if role == "ScheduleRole" {
            written.remove("RequestTable");
        }
        assert_eq!(by_name(made), written, "{role}");
    }
}

#[test]
fn no_other_roles_exist_and_platform_permissions_are_exact() {
    let template = template();
    let roles: Vec<&str> = of_type(&template, "AWS::IAM::Role").into_keys().collect();
    assert_eq!(
        roles,
        ["ExecutionRole", "ScheduleRole", "TaskRole", "TriggerRole"]
    );
    for kind in ["Policy", "ManagedPolicy", "RolePolicy", "User", "Group"] {
        let kind = format!("AWS::IAM::{kind}");
        assert!(of_type(&template, &kind).is_empty(), "{kind}");
    }
    let platform = |role: &str| {
        let mut policies = policies(&template, role);
        let of_usher = policies
            .remove("usher")
            .map(|statements| allowed(&statements));
        let platform = allowed(&policies.remove("platform").unwrap_or_default());
        assert!(policies.is_empty(), "{policies:?}");
        (of_usher, platform)
    };
    let sends = Some(set(&["sqs:SendMessage"]));
    let logs = ["logs:CreateLogStream", "logs:PutLogEvents"];
    let traces = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"];
    let with_traces = set(&[logs, traces].concat());
    let trigger = (Some(of_the_trigger()), with_traces);
    assert_eq!(platform("TriggerRole"), trigger);
    assert_eq!(platform("ScheduleRole"), (sends, BTreeSet::new()));
    let image = [
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:GetAuthorizationToken",
        "ecr:GetDownloadUrlForLayer",
        "secretsmanager:GetSecretValue",
        "ssm:GetParameters",
    ];
    let started = set(&[&logs[..], &image[..]].concat());
    assert_eq!(platform("ExecutionRole"), (None, started));
}

#[test]
fn every_statement_names_its_resource() {
    let template = template();
    for role in of_type(&template, "AWS::IAM::Role").into_keys() {
        for statement in policies(&template, role).into_values().flatten() {
            let name = statement["Sid"].as_str().expect("a name");
            // These calls have no resource.
            let anywhere = ["Registry", "Traces"].contains(&name);
            assert_eq!(statement["Resource"] == "*", anywhere, "{role} {statement}");
            assert!(!statement["Action"].to_string().contains('*'), "{name}");
        }
    }
}
