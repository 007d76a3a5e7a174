//! `deploy/template.yaml`: its roles allow what the sources call, its settings are keys of
//! the configuration, its figures keep the configuration's rules.

use std::collections::{BTreeMap, BTreeSet};

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};

use crate::policies::{actions, of_the_admins, of_the_worker, text};

const TEMPLATE: &str = "deploy/template.yaml";

fn template() -> Value {
    let source = text(TEMPLATE);
    let documents = Yaml::load_from_str(&source).expect("YAML");
    assert_eq!(documents.len(), 1);
    plain(&documents[0])
}

/// As JSON, with the short forms of CloudFormation's functions written out.
fn plain(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Tagged(tag, value) => {
            let value = plain(value);
            let name = tag.suffix.as_str();
            let (name, value) = match (name, &value) {
                ("Ref" | "Condition", _) => (name.to_owned(), value),
                ("GetAtt", Value::String(path)) => {
                    let (resource, attribute) = path.split_once('.').expect("an attribute");
                    ("Fn::GetAtt".to_owned(), json!([resource, attribute]))
                }
                _ => (format!("Fn::{name}"), value),
            };
            Value::Object(Map::from_iter([(name, value)]))
        }
        Yaml::Sequence(entries) => entries.iter().map(plain).collect(),
        Yaml::Mapping(members) => {
            let named = |(name, value): (&Yaml<'_>, &Yaml<'_>)| {
                let name = name.as_str().expect("a name of text").to_owned();
                (name, plain(value))
            };
            Value::Object(members.iter().map(named).collect())
        }
        Yaml::Value(Scalar::String(text)) => json!(text),
        Yaml::Value(Scalar::Integer(number)) => json!(number),
        Yaml::Value(Scalar::Boolean(truth)) => json!(truth),
        other => panic!("{other:?} in {TEMPLATE}"),
    }
}

/// The entries of a list whatever its conditions are: both sides of each `Fn::If`.
fn entries(list: &Value) -> Vec<&Value> {
    let mut found = Vec::new();
    let mut left: Vec<&Value> = list.as_array().expect("a list").iter().rev().collect();
    while let Some(entry) = left.pop() {
        if let Some(sides) = entry.get("Fn::If") {
            left.push(&sides[2]);
            left.push(&sides[1]);
        } else if entry["Ref"] != "AWS::NoValue" {
            found.push(entry);
        }
    }
    found
}

fn of_type<'a>(template: &'a Value, kind: &str) -> BTreeMap<&'a str, &'a Value> {
    let resources = template["Resources"].as_object().expect("resources");
    resources
        .iter()
        .filter(|(_, resource)| resource["Type"] == kind)
        .map(|(name, resource)| (name.as_str(), &resource["Properties"]))
        .collect()
}

/// The policies of a role by their names, each as its statements.
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

fn strings(value: &Value) -> BTreeSet<String> {
    let listed = value.as_array().cloned();
    let listed = listed.unwrap_or_else(|| vec![value.clone()]);
    let texts = listed.iter().map(|entry| entry.as_str().expect("text"));
    texts.map(str::to_owned).collect()
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
    assert_eq!(admin, more);
    assert!(policies.is_empty(), "{policies:?}");
}

/// Not only the same calls: each on the same resource, by the statements' names.
#[test]
fn the_statements_are_those_of_the_policies_beside_the_template() {
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
        assert_eq!(by_name(made), by_name(written.iter().collect()), "{role}");
    }
}

#[test]
fn every_role_is_looked_at_here_and_the_others_have_what_aws_needs_for_them() {
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
    assert_eq!(sends, Some(actions("deploy/trigger-policy.json")));
    let logs = ["logs:CreateLogStream", "logs:PutLogEvents"];
    let traces = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"];
    let traced = set(&[logs, traces].concat());
    assert_eq!(platform("TriggerRole"), (sends.clone(), traced));
    assert_eq!(platform("ScheduleRole"), (sends, BTreeSet::new()));
    let image = [
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:GetAuthorizationToken",
        "ecr:GetDownloadUrlForLayer",
        "secretsmanager:GetSecretValue",
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
            // What has no resource to name.
            let anywhere = ["Registry", "Traces"].contains(&name);
            assert_eq!(statement["Resource"] == "*", anywhere, "{role} {statement}");
            assert!(!statement["Action"].to_string().contains('*'), "{name}");
        }
    }
}

#[test]
fn only_the_trigger_the_worker_the_schedule_and_operators_may_send() {
    let template = template();
    let policies = of_type(&template, "AWS::SQS::QueuePolicy");
    for (policy, queue, senders) in [
        (
            "QueuePolicy",
            "Queue",
            vec!["TriggerRole", "TaskRole", "ScheduleRole"],
        ),
        ("DeadLetterQueuePolicy", "DeadLetterQueue", vec!["TaskRole"]),
    ] {
        let policy = policies[policy];
        assert_eq!(policy["Queues"], json!([{"Ref": queue}]));
        let statements = entries(&policy["PolicyDocument"]["Statement"]);
        let arn = json!({"Fn::GetAtt": [queue, "Arn"]});
        let [tls, send] = statements[..] else {
            panic!("{statements:?}")
        };
        for statement in [tls, send] {
            assert_eq!(statement["Effect"], "Deny");
            assert_eq!(statement["Principal"], "*");
            assert_eq!(statement["Resource"], arn);
        }
        assert_eq!(tls["Action"], "sqs:*");
        let plain_text = json!({"Bool": {"aws:SecureTransport": "false"}});
        assert_eq!(tls["Condition"], plain_text);
        assert_eq!(send["Action"], "sqs:SendMessage");
        let roles = entries(&send["Condition"]["ArnNotLike"]["aws:PrincipalArn"]);
        let wanted: Vec<Value> = senders
            .iter()
            .map(|role| json!({"Fn::GetAtt": [role, "Arn"]}))
            .collect();
        assert_eq!(roles, wanted.iter().collect::<Vec<_>>());
    }
    assert_eq!(policies.len(), 2);
}

/// The variables of usher that the template sets, for the worker and for the trigger.
fn variables(template: &Value) -> BTreeMap<String, Value> {
    let resources = &template["Resources"];
    let container = &resources["TaskDefinition"]["Properties"]["ContainerDefinitions"][0];
    let mut found = BTreeMap::new();
    let secrets = &container["Secrets"]["Fn::If"][1];
    for entry in entries(&container["Environment"])
        .into_iter()
        .chain(entries(secrets))
    {
        let name = entry["Name"].as_str().expect("a name").to_owned();
        let again = found.insert(name, entry["Value"].clone());
        assert_eq!(again, None, "{entry}");
    }
    let trigger = &resources["Trigger"]["Properties"]["Environment"]["Variables"];
    for (name, value) in trigger.as_object().expect("variables") {
        found.entry(name.clone()).or_insert_with(|| value.clone());
    }
    found.retain(|name, _| name.starts_with("USHER_"));
    found
}

fn defaults() -> toml::Table {
    text("config/usher.toml").parse().expect("TOML")
}

#[test]
fn every_variable_is_a_key_of_the_configuration() {
    let names: Vec<String> = variables(&template()).into_keys().collect();
    assert!(names.contains(&"USHER_INVITATIONS__CLIENT_SECRET".to_owned()));
    let defaults = defaults();
    for name in names {
        if name == "USHER_CONFIG" {
            continue;
        }
        let key = name.trim_start_matches("USHER_").to_lowercase();
        let (section, key) = key.split_once("__").expect("a section");
        let known = defaults.get(section).and_then(|section| section.get(key));
        assert!(known.is_some(), "{name}");
    }
}

fn seconds(duration: &str) -> i64 {
    let number = duration.strip_suffix('s').expect("seconds");
    number.parse().expect("a number")
}

#[test]
fn a_drain_ends_before_the_task_is_killed() {
    let template = template();
    let parameter = &template["Parameters"]["StopTimeout"];
    let pairs = template["Mappings"]["StopTimeouts"]
        .as_object()
        .expect("pairs");
    let named: BTreeSet<String> = pairs.keys().cloned().collect();
    assert_eq!(named, strings(&parameter["AllowedValues"]));
    let wait = seconds(defaults()["queue"]["wait"].as_str().expect("text"));
    for (stop, pair) in pairs {
        let drain = seconds(pair["Drain"].as_str().expect("text"));
        assert!(drain + 3 <= stop.parse().expect("a number"), "{stop}");
        assert!((wait + 5..=110).contains(&drain), "{stop}");
    }
    let chosen = json!({"Ref": "StopTimeout"});
    let container =
        &template["Resources"]["TaskDefinition"]["Properties"]["ContainerDefinitions"][0];
    assert_eq!(container["StopTimeout"], chosen);
    let drain = json!({"Fn::FindInMap": ["StopTimeouts", chosen, "Drain"]});
    assert_eq!(variables(&template)["USHER_WORKER__DRAIN"], drain);
}

#[test]
fn the_load_balancer_alone_reaches_a_task_and_a_task_https_alone() {
    let template = template();
    let groups = of_type(&template, "AWS::EC2::SecurityGroup");
    let group = groups["SecurityGroup"];
    assert!(group.get("SecurityGroupIngress").is_none());
    for rule in entries(&group["SecurityGroupEgress"]) {
        let ports = (&rule["IpProtocol"], &rule["FromPort"], &rule["ToPort"]);
        assert_eq!(ports, (&json!("tcp"), &json!(443), &json!(443)));
    }
    let ingress = of_type(&template, "AWS::EC2::SecurityGroupIngress");
    assert_eq!((groups.len(), ingress.len()), (1, 1));
    let rule = ingress["SecurityGroupFromBalancer"];
    assert_eq!(
        (&rule["FromPort"], &rule["ToPort"]),
        (&json!(8080), &json!(8080))
    );
    let balancer = json!({"Ref": "LoadBalancerSecurityGroupId"});
    assert_eq!(rule["SourceSecurityGroupId"], balancer);
    assert!(rule.get("CidrIp").is_none() && rule.get("CidrIpv6").is_none());
}

#[test]
fn the_queue_is_as_the_configuration_takes_it_to_be() {
    let template = template();
    let queue = &template["Resources"]["Queue"]["Properties"];
    let letters = &template["Resources"]["DeadLetterQueue"]["Properties"];
    let defaults = defaults();
    let moved = queue["RedrivePolicy"]["maxReceiveCount"].as_i64();
    let attempts = defaults["worker"]["max_attempts"].as_integer();
    assert!(moved > attempts, "{moved:?} {attempts:?}");
    let key = |name: &str| seconds(defaults["queue"][name].as_str().expect("text"));
    assert_eq!(queue["VisibilityTimeout"], key("visibility"));
    assert_eq!(queue["ReceiveMessageWaitTimeSeconds"], key("wait"));
    let kept = |queue: &Value| queue["MessageRetentionPeriod"].as_i64().expect("a number");
    assert!(kept(letters) > kept(queue));
}

/// Metrics in usher's namespace that alarms and the dashboard look at, each with the name
/// of its dimension.
fn watched(template: &Value) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for alarm in of_type(template, "AWS::CloudWatch::Alarm").into_values() {
        let metrics = alarm["Metrics"].as_array().into_iter().flatten();
        let metrics = metrics.map(|metric| &metric["MetricStat"]["Metric"]);
        for metric in metrics.chain([alarm]) {
            if metric["Namespace"] == "usher" {
                let name = metric["MetricName"].as_str().expect("a name");
                let dimension = metric["Dimensions"][0]["Name"].as_str().expect("a name");
                found.insert((name.to_owned(), dimension.to_owned()));
            }
        }
    }
    for (_, dashboard) in of_type(template, "AWS::CloudWatch::Dashboard") {
        let body = dashboard["DashboardBody"]["Fn::Sub"][0]
            .as_str()
            .expect("text");
        // The only references that do not stand in a text of JSON.
        let body = ["DesiredCount", "OldestMessageSeconds"]
            .iter()
            .fold(body.to_owned(), |body, name| {
                body.replace(&format!("${{{name}}}"), "1")
            });
        let body: Value = serde_json::from_str(&body).expect("JSON");
        for widget in body["widgets"].as_array().expect("widgets") {
            let metrics = widget["properties"]["metrics"].as_array();
            for metric in metrics.into_iter().flatten().filter(|m| m[0] == "usher") {
                let part = |at: usize| metric[at].as_str().expect("text").to_owned();
                found.insert((part(1), part(2)));
            }
        }
    }
    found
}

#[test]
fn the_metrics_that_are_watched_are_written() {
    let written: BTreeSet<(String, String)> = [
        "AlreadyDone",
        "BreakerOpen",
        "Done",
        "Ignored",
        "InFlight",
        "Panics",
        "Rejected",
        "Retried",
        "Throttled",
    ]
    .map(|name| (name.to_owned(), "Queue".to_owned()))
    .into_iter()
    .chain([("ForwardFailed".to_owned(), "UserPoolId".to_owned())])
    .collect();
    assert_eq!(watched(&template()), written);
    // The files that write lines for CloudWatch name each of them.
    let sources: String = sources("src")
        .into_iter()
        .filter(|source| source.contains("emf::line("))
        .collect();
    for (metric, dimension) in written {
        for name in [metric, dimension] {
            assert!(sources.contains(&format!("\"{name}\"")), "{name}");
        }
    }
}

fn sources(folder: &str) -> Vec<String> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(std::fs::read_to_string(path).expect("text"));
            }
        }
    }
    found
}

/// As a link to a heading is made of its text.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || " -".contains(*c));
    kept.collect::<String>().replace(' ', "-")
}

#[test]
fn every_alarm_leads_to_a_section_of_the_runbook_and_tells_its_end() {
    let runbook = text("docs/OPERATIONS.md");
    let sections: BTreeSet<String> = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(anchor)
        .collect();
    let template = template();
    let alarms = of_type(&template, "AWS::CloudWatch::Alarm");
    assert!(!alarms.is_empty());
    for (name, alarm) in alarms {
        let description = alarm["AlarmDescription"].as_str().expect("text");
        let (_, section) = description.split_once("docs/OPERATIONS.md#").expect(name);
        assert!(sections.contains(section.trim()), "{name}: {section}");
        assert!(alarm["AlarmActions"].is_array(), "{name}");
        assert_eq!(alarm["AlarmActions"], alarm["OKActions"], "{name}");
        assert!(alarm["TreatMissingData"].is_string(), "{name}");
    }
}

#[test]
fn every_parameter_is_in_a_group_and_in_the_manual() {
    let template = template();
    let parameters = template["Parameters"].as_object().expect("parameters");
    let all: BTreeSet<String> = parameters.keys().cloned().collect();
    let interface = &template["Metadata"]["AWS::CloudFormation::Interface"];
    let groups = interface["ParameterGroups"].as_array().expect("groups");
    let grouped: Vec<String> = groups
        .iter()
        .flat_map(|group| strings(&group["Parameters"]))
        .collect();
    assert_eq!(grouped.len(), all.len());
    assert_eq!(grouped.into_iter().collect::<BTreeSet<_>>(), all);

    // | `Name` | `default` | what |
    let manual = text("deploy/cloudformation.md");
    let rows: BTreeMap<String, String> = manual
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            let name = cells.next()?.strip_suffix('`')?;
            parameters.contains_key(name).then(|| {
                let default = cells.next().expect("a default").trim_matches('`');
                (name.to_owned(), default.to_owned())
            })
        })
        .collect();
    let expected: BTreeMap<String, String> = parameters
        .iter()
        .map(|(name, parameter)| {
            let default = match parameter.get("Default") {
                None => "required".to_owned(),
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            };
            (name.clone(), default)
        })
        .collect();
    assert_eq!(rows, expected);
}
