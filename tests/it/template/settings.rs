//! The settings of the template: variables, numbers of the queues, the network.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{entries, of_type, strings, template};
use crate::policies::text;

/// The `USHER_` variables that the template sets for the worker and the trigger.
fn variables(template: &Value) -> BTreeMap<String, Value> {
    let resources = &template["Resources"];
    let container = &resources["TaskDefinition"]["Properties"]["ContainerDefinitions"][0];
    let mut found = BTreeMap::new();
    let secrets = &container["Secrets"];
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
    for filled_by_ecs in [
        "USHER_CONFIG_TOML",
        "USHER_CONSOLE__CLIENT_SECRET",
        "USHER_INVITATIONS__CLIENT_SECRET",
    ] {
        assert!(names.iter().any(|name| name == filled_by_ecs));
    }
    let defaults = defaults();
    for name in names {
        if ["USHER_CONFIG", "USHER_CONFIG_TOML"].contains(&name.as_str()) {
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
fn tasks_accept_only_the_balancer_and_reach_only_https() {
    let template = template();
    let groups = of_type(&template, "AWS::EC2::SecurityGroup");
    let group = groups["SecurityGroup"];
    assert!(group.get("SecurityGroupIngress").is_none());
    for rule in entries(&group["SecurityGroupEgress"]) {
        let ports = (&rule["IpProtocol"], &rule["FromPort"], &rule["ToPort"]);
        assert_eq!(ports, (&json!("tcp"), &json!(443), &json!(443)));
    }
    let ingress = of_type(&template, "AWS::EC2::SecurityGroupIngress");
    assert_eq!((groups.len(), ingress.len()), (1, 2));
    let balancer = json!({"Ref": "LoadBalancerSecurityGroupId"});
    for (name, setting) in [
        ("SecurityGroupFromBalancer", "USHER_HTTP__PUBLIC_LISTEN"),
        ("SecurityGroupHealthCheck", "USHER_HTTP__LISTEN"),
    ] {
        let rule = ingress[name];
        let port = port(&template, setting);
        assert_eq!(
            (&rule["FromPort"], &rule["ToPort"]),
            (&port, &port),
            "{name}"
        );
        assert_eq!(rule["SourceSecurityGroupId"], balancer);
        assert!(rule.get("CidrIp").is_none() && rule.get("CidrIpv6").is_none());
    }
}

/// The port of the listen address in this variable.
fn port(template: &Value, setting: &str) -> Value {
    let variables = variables(template);
    let address = variables[setting].as_str().expect("text");
    let address: SocketAddr = address.parse().expect("an address");
    json!(address.port())
}

#[test]
fn the_balancer_forwards_only_to_the_public_port() {
    let template = template();
    let service = &template["Resources"]["Worker"]["Properties"];
    let balancers = entries(&service["LoadBalancers"]["Fn::If"][1]);
    let ports: Vec<&Value> = balancers.iter().map(|one| &one["ContainerPort"]).collect();
    let public = port(&template, "USHER_HTTP__PUBLIC_LISTEN");
    assert_eq!(ports, [&public]);
    let health = port(&template, "USHER_HTTP__LISTEN");
    assert_ne!(public, health);
    let container =
        &template["Resources"]["TaskDefinition"]["Properties"]["ContainerDefinitions"][0];
    let mappings = entries(&container["PortMappings"]);
    let mapped: Vec<&Value> = mappings.iter().map(|one| &one["ContainerPort"]).collect();
    assert_eq!(mapped, [&health, &public]);
    let image = text("deploy/Dockerfile");
    assert!(image.contains(&format!("EXPOSE {health} {public}\n")));
}

#[test]
fn the_queue_matches_the_default_configuration() {
    let template = template();
    let queue = &template["Resources"]["Queue"]["Properties"];
    let dead_letter_queue = &template["Resources"]["DeadLetterQueue"]["Properties"];
    let defaults = defaults();
    let moved = queue["RedrivePolicy"]["maxReceiveCount"].as_i64();
    let attempts = defaults["worker"]["max_attempts"].as_integer();
    assert!(moved > attempts, "{moved:?} {attempts:?}");
    let key = |name: &str| seconds(defaults["queue"][name].as_str().expect("text"));
    assert_eq!(queue["VisibilityTimeout"], key("visibility"));
    assert_eq!(queue["ReceiveMessageWaitTimeSeconds"], key("wait"));
    let retention = |queue: &Value| queue["MessageRetentionPeriod"].as_i64().expect("a number");
    assert!(retention(dead_letter_queue) > retention(queue));
}

#[test]
fn a_task_is_never_in_the_default_group_of_its_vpc() {
    let template = template();
    let service = &template["Resources"]["Worker"]["Properties"];
    let network = &service["NetworkConfiguration"]["AwsvpcConfiguration"];
    let own = json!({"Ref": "SecurityGroupIds"});
    let made = json!([{"Fn::GetAtt": ["SecurityGroup", "GroupId"]}]);
    let one_of_them = json!({"Fn::If": ["HasSecurityGroups", own, made]});
    assert_eq!(network["SecurityGroups"], one_of_them);
    let otherwise = json!({"Fn::Not": [{"Condition": "HasSecurityGroups"}]});
    assert_eq!(template["Conditions"]["MakesSecurityGroup"], otherwise);
}

#[test]
fn the_table_of_requests_has_the_key_and_the_time_to_live_of_the_program() {
    let template = template();
    let resource = &template["Resources"]["RequestTable"];
    assert_eq!(resource["Condition"], "HasAdminActions");
    let table = &resource["Properties"];
    let key = json!([{"AttributeName": "id", "KeyType": "HASH"}]);
    assert_eq!(table["KeySchema"], key);
    let definitions = json!([{"AttributeName": "id", "AttributeType": "S"}]);
    assert_eq!(table["AttributeDefinitions"], definitions);
    let time_to_live = json!({"AttributeName": "expiresAt", "Enabled": true});
    assert_eq!(table["TimeToLiveSpecification"], time_to_live);
    let program = text("src/aws/dynamodb/request_table.rs");
    for constant in ["KEY: &str = \"id\"", "TIME_TO_LIVE: &str = \"expiresAt\""] {
        assert!(program.contains(constant), "{constant}");
    }
    let name = json!({"Ref": "RequestTable"});
    let trigger = &template["Resources"]["Trigger"]["Properties"]["Environment"]["Variables"];
    let given = &trigger["USHER_ADMIN__REQUESTS_TABLE"]["Fn::If"];
    assert_eq!((&given[0], &given[1]), (&json!("HasAdminActions"), &name));
    assert_eq!(variables(&template)["USHER_ADMIN__REQUESTS_TABLE"], name);
}
