//! `deploy/template.yaml`: its roles allow the calls of the sources, its settings are keys of
//! the configuration, and its numbers obey the rules of the configuration.

mod alarms;
mod parameters;
mod roles;
mod rules;
mod senders;
mod settings;

use std::collections::{BTreeMap, BTreeSet};

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};

use crate::policies::text;

const TEMPLATE: &str = "deploy/template.yaml";

fn template() -> Value {
    let source = text(TEMPLATE);
    let documents = Yaml::load_from_str(&source).expect("YAML");
    assert_eq!(documents.len(), 1);
    plain(&documents[0])
}

/// Converts YAML to JSON, with the long forms of `CloudFormation`'s functions.
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

/// The entries of a list under all conditions: both sides of each `Fn::If`.
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

fn strings(value: &Value) -> BTreeSet<String> {
    let listed = value.as_array().cloned();
    let listed = listed.unwrap_or_else(|| vec![value.clone()]);
    let texts = listed.iter().map(|entry| entry.as_str().expect("text"));
    texts.map(str::to_owned).collect()
}
