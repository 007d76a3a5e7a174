//! `docs/guide/cloudformation.md` describes every parameter, and `deploy/cdk` has this version.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{strings, template};
use crate::policies::text;

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

    // | `Name` | `default` | meaning |
    let manual = text("docs/guide/cloudformation.md");
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

#[test]
fn the_construct_has_the_version_of_usher() {
    let package: Value = serde_json::from_str(&text("deploy/cdk/package.json")).expect("JSON");
    assert_eq!(package["version"], env!("CARGO_PKG_VERSION"));
}
