//! `config/usher.schema.json`, by which editors complete and check a configuration file. It is
//! generated: types and limits are what usher answers to a wrong value, descriptions and defaults
//! are those of `config/usher.toml`.

use std::path::Path;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use super::*;

/// No key accepts a date.
const WRONG: &str = "1979-05-27";
const DURATION: &str = "^([0-9]+(ms|s|m|h) ?)+$";
const GUIDE: &str = include_str!("../../../docs/guide/groups.md");

/// The rule that each key reports when its value is `value`.
fn rules(value: &str) -> BTreeMap<String, String> {
    let settings = Layers::defaults();
    let lines = settings
        .settings()
        .map(|(key, _)| format!("{key} = {value}\n"));
    let file = lines.collect::<Vec<_>>().concat();
    let InvalidConfig(violations) = Config::from_layers(&with_file(&file)).expect_err("invalid");
    let mut rules = BTreeMap::new();
    for violation in violations {
        rules.entry(violation.key).or_insert(violation.rule);
    }
    rules
}

/// What a file may have for a key. `answer` is the rule that the key reports for a text.
fn shape(key: &str, rule: &str, answer: Option<&String>) -> Value {
    let range = |what: &str| {
        let rule = rule.strip_prefix(&format!("must be {what} between "))?;
        let (low, high) = rule.split_once(" and ")?;
        Some((low, high))
    };
    let number = |text: &str| text.parse::<serde_json::Number>().expect("a number");
    if let Some((low, high)) = range("a whole number") {
        return json!({"type": "integer", "minimum": number(low), "maximum": number(high)});
    }
    if let Some((low, high)) = range("a number") {
        return json!({"type": "number", "minimum": number(low), "maximum": number(high)});
    }
    if range("a duration").is_some() {
        return json!({"type": "string", "pattern": DURATION});
    }
    match (key, rule) {
        ("groups.rules", _) => json!({"type": "array", "items": group_rule()}),
        ("profiles.attributes", _) => {
            json!({"type": "object", "additionalProperties": {"type": "string"}})
        }
        (_, "must be true or false") => json!({"type": "boolean"}),
        (_, "must be a list of strings") => {
            json!({"type": "array", "items": {"type": "string"}})
        }
        (_, "must be a string") => match answer.and_then(|rule| rule.strip_prefix("must be \"")) {
            Some(values) => {
                let values = values.trim_end_matches('"').split("\" or \"");
                json!({"enum": values.collect::<Vec<_>>()})
            }
            None => json!({"type": "string"}),
        },
        _ => panic!("{key}: the schema has no type for a key that {rule}"),
    }
}

/// An entry of `groups.rules`.
fn group_rule() -> Value {
    let text = json!({"type": "string", "minLength": 1});
    let list = json!({"type": "array", "items": text, "minItems": 1});
    let tests = ["equals", "any_of", "prefix", "contains"];
    let one_test: Vec<Value> = tests.map(|test| json!({"required": [test]})).into();
    json!({
        "type": "object",
        "properties": {
            "groups": list,
            "groups_from": {
                "type": "object",
                "properties": {
                    "attribute": text,
                    "map": {"type": "object", "additionalProperties": text},
                },
                "required": ["attribute", "map"],
                "additionalProperties": false,
            },
            "email_domain": text,
            "attribute": text,
            "equals": text,
            "any_of": list,
            "prefix": text,
            "contains": text,
            "client_id": text,
            "trusted": {"type": "boolean"},
        },
        "anyOf": [{"required": ["groups"]}, {"required": ["groups_from"]}],
        "dependencies": {
            "attribute": {"oneOf": one_test},
            "equals": ["attribute"],
            "any_of": ["attribute"],
            "prefix": ["attribute"],
            "contains": ["attribute"],
        },
        "additionalProperties": false,
    })
}

/// The comment of the manual above each key.
fn descriptions() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut section = "";
    let mut comment: Vec<&str> = Vec::new();
    for line in DEFAULTS.lines() {
        if let Some(text) = line.strip_prefix('#') {
            comment.push(text.strip_prefix(' ').unwrap_or(text));
            continue;
        }
        let text = std::mem::take(&mut comment).join("\n");
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
            found.insert(section.to_owned(), text);
        } else if let Some((name, _)) = line.split_once(" = ") {
            found.insert(format!("{section}.{name}"), text);
        }
    }
    found
}

fn schema() -> Value {
    let refused = rules(WRONG);
    let answers = rules("\"\\u0001\"");
    let descriptions = descriptions();
    let mut sections = Map::new();
    for (key, setting) in Layers::defaults().settings() {
        let rule = refused.get(key).expect(key);
        let mut shape = shape(key, rule, answers.get(key));
        let range = rule.strip_prefix("must be a duration between ");
        let mut description = descriptions[key].clone();
        if let Some((range, _)) = range.and_then(|range| range.split_once(',')) {
            description = format!("{description}\n\nBetween {range}.");
        }
        shape["description"] = description.into();
        shape["default"] = serde_json::to_value(&setting.value).expect("JSON");
        let (section, name) = key.split_once('.').expect("in a section");
        let section = sections.entry(section).or_insert_with(
            || json!({"type": "object", "properties": {}, "additionalProperties": false}),
        );
        section["properties"][name] = shape;
    }
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "usher",
        "description": "Configuration file of usher",
        "type": "object",
        "properties": sections,
        "additionalProperties": false,
    })
}

fn validator() -> Validator {
    jsonschema::validator_for(&schema()).expect("a schema")
}

fn json_of(toml: &str) -> Value {
    let table: toml::Table = toml.parse().expect(toml);
    serde_json::to_value(table).expect("JSON")
}

#[test]
fn reference_schema_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let written = root.join("target/reference");
    std::fs::create_dir_all(&written).expect("target can be written");
    let text = serde_json::to_string_pretty(&schema()).expect("JSON") + "\n";
    std::fs::write(written.join("usher.schema.json"), &text).expect("written");
    let current = std::fs::read_to_string(root.join("config/usher.schema.json"));
    assert!(
        current.ok().as_deref() == Some(&*text),
        "differs from the program: cp target/reference/usher.schema.json config/"
    );
}

#[test]
fn the_manual_names_the_schema_beside_it() {
    assert!(DEFAULTS.starts_with("#:schema ./usher.schema.json\n\n"));
}

#[test]
fn every_key_of_a_rule_is_in_the_schema() {
    let layers = with_file("[[groups.rules]]\n\"?\" = 1");
    let InvalidConfig(violations) = Config::from_layers(&layers).expect_err("no such key");
    let mut known: Vec<&str> = violations[0].rule.split('`').skip(3).step_by(2).collect();
    known.sort_unstable();
    let rule = group_rule();
    let in_schema = rule["properties"].as_object().expect("an object");
    let in_schema: BTreeSet<&str> = in_schema.keys().map(String::as_str).collect();
    assert_eq!(known, Vec::from_iter(in_schema));
}

/// The manual, its examples and those of the guide.
#[test]
fn the_schema_accepts_the_manual_and_every_example() {
    let in_manual = DEFAULTS.split("\n#\n").filter_map(|paragraph| {
        let lines: Option<Vec<&str>> = paragraph
            .lines()
            .take_while(|line| line.starts_with("# "))
            .map(|line| line.strip_prefix("# "))
            .collect();
        lines.filter(|lines| lines.first() == Some(&"[[groups.rules]]"))
    });
    let mut examples: Vec<String> = in_manual.map(|lines| lines.join("\n")).collect();
    assert_eq!(examples.len(), 3);
    let in_guide = GUIDE.split("```toml\n").skip(1);
    examples.extend(in_guide.filter_map(|text| Some(text.split_once("```")?.0.to_owned())));
    assert_eq!(examples.len(), 6);
    examples.push(DEFAULTS.to_owned());
    let validator = validator();
    for example in examples {
        let instance = json_of(&example);
        let error = validator.validate(&instance).err();
        assert!(error.is_none(), "{error:?} in {example}");
        let checked = Config::for_command(&with_file(&example), &[]);
        assert!(checked.is_ok(), "{checked:?} for {example}");
    }
}

#[test]
fn the_schema_and_usher_refuse_the_same_mistakes() {
    let validator = validator();
    for (file, place) in [
        ("[worker]\nmax_atempts = 3", "/worker"),
        ("[qeue]\nurl = \"\"", ""),
        ("[worker]\nconcurrency = 0", "/worker/concurrency"),
        ("[queue]\nvisibility = 60", "/queue/visibility"),
        ("[queue]\nwait = \"soon\"", "/queue/wait"),
        ("[groups]\ndefault = [1]", "/groups/default/0"),
        ("[profiles]\nenabled = 1", "/profiles/enabled"),
        ("[admin]\ntoken_use = \"both\"", "/admin/token_use"),
        ("[profiles.attributes]\na = 1", "/profiles/attributes/a"),
        ("[[groups.rules]]\ngroup = [\"A\"]", "/groups/rules/0"),
        (
            "[[groups.rules]]\ngroups = [\"A\"]\nequals = \"x\"",
            "/groups/rules/0",
        ),
        (
            "[[groups.rules]]\ngroups = [\"A\"]\nattribute = \"a\"\nequals = \"x\"\nprefix = \"x\"",
            "/groups/rules/0",
        ),
    ] {
        assert!(Config::from_layers(&with_file(file)).is_err(), "{file}");
        let instance = json_of(file);
        let error = validator.validate(&instance).expect_err(file);
        assert_eq!(error.instance_path().to_string(), place, "{file}");
    }
}

#[test]
fn the_schema_and_usher_have_the_same_limits() {
    let validator = validator();
    let schema = schema();
    let mut count = 0;
    for (key, _) in Layers::defaults().settings() {
        let shape = &schema["properties"][key.split('.').next().expect("a section")]["properties"]
            [key.rsplit('.').next().expect("a name")];
        let (Some(low), Some(high)) = (shape["minimum"].as_f64(), shape["maximum"].as_f64()) else {
            continue;
        };
        for (number, is_inside) in [
            (low, true),
            (high, true),
            (low - 1.0, false),
            (high + 1.0, false),
        ] {
            let file = format!("{key} = {number}");
            assert_eq!(validator.is_valid(&json_of(&file)), is_inside, "{file}");
            let checked = Config::from_layers(&with_file(&file));
            assert_eq!(checked.is_ok(), is_inside, "{file}: {checked:?}");
            count += 1;
        }
    }
    assert!(count >= 24, "{count}");
}
