//! `config/CHANGES.md` tells of every change of a key: folded from its first row to its
//! last, it leads to `config/usher.toml`. So no key is added, renamed or given another
//! default without a note to those who upgrade.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};
use usher::config::Layers;

const NOTES: &str = include_str!("../../config/CHANGES.md");

type Keys = BTreeMap<String, Value>;

/// What is left after all rows: each key with its default.
fn fold(notes: &str) -> Result<Keys, String> {
    let mut keys = Keys::new();
    let mut last = (0, 0, 0);
    for row in notes.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row
            .trim_start_matches("| ")
            .trim_end_matches(" |")
            .splitn(3, " | ")
            .collect();
        let &[at, key, change] = &cells[..] else {
            return Err(format!("not three cells: {row}"));
        };
        if at == "version" {
            continue;
        }
        let at = version(at).ok_or_else(|| format!("no version: {row}"))?;
        // A version to be tried out, such as 0.2.0-rc.1, has the rows of what it leads to.
        let now = env!("CARGO_PKG_VERSION").split('-').next();
        if at < last || Some(at) > now.and_then(version) {
            return Err(format!("a version out of its order: {row}"));
        }
        last = at;
        let key = code(key).ok_or_else(|| format!("no key: {row}"))?;
        apply(&mut keys, key, change).map_err(|wrong| format!("{wrong}: {row}"))?;
    }
    Ok(keys)
}

fn apply(keys: &mut Keys, key: &str, change: &str) -> Result<(), &'static str> {
    if let Some(default) = change.strip_prefix("added, default ") {
        return match keys.insert(key.to_owned(), literal(default)?) {
            None => Ok(()),
            Some(_) => Err("was there before"),
        };
    }
    // What follows says what somebody has to do who has the key set. A default may hold
    // a colon, and ends with a backtick.
    let (what, advice) = match change.strip_prefix("default changed to `") {
        Some(rest) => rest.split_once("`: "),
        None => change.split_once(": "),
    }
    .ok_or("does not say what to do")?;
    if advice.trim().is_empty() {
        return Err("does not say what to do");
    }
    if change.starts_with("default changed to `") {
        let default = value(what)?;
        let before = keys.get_mut(key).ok_or("there is no such key")?;
        if *before == default {
            return Err("is the default already");
        }
        *before = default;
    } else if let Some(old) = what.strip_prefix("renamed from ") {
        let old = code(old).ok_or("does not name the old key")?;
        let default = keys.remove(old).ok_or("there is no such old key")?;
        if keys.insert(key.to_owned(), default).is_some() {
            return Err("was there before");
        }
    } else if what == "removed" {
        keys.remove(key).ok_or("there is no such key")?;
    } else if what != "changed" {
        return Err("not one of the ways to write a change");
    } else if !keys.contains_key(key) {
        return Err("there is no such key");
    }
    Ok(())
}

fn version(text: &str) -> Option<(u64, u64, u64)> {
    let numbers: Option<Vec<u64>> = text.split('.').map(|part| part.parse().ok()).collect();
    match numbers?[..] {
        [major, minor, patch] => Some((major, minor, patch)),
        _ => None,
    }
}

fn code(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`')
}

fn literal(cell: &str) -> Result<Value, &'static str> {
    value(code(cell).ok_or("the default is not between backticks")?)
}

/// A default is written as in TOML, on one line.
fn value(text: &str) -> Result<Value, &'static str> {
    let mut table: Table = format!("default = {text}")
        .parse()
        .map_err(|_| "the default is not TOML")?;
    table.remove("default").ok_or("the default is not TOML")
}

fn manual() -> Keys {
    Layers::defaults()
        .settings()
        .map(|(key, setting)| (key.to_owned(), setting.value.clone()))
        .collect()
}

#[test]
fn every_change_of_a_key_has_a_note() {
    let noted = fold(NOTES).expect("config/CHANGES.md");
    let manual = manual();
    let wrong: BTreeSet<&String> = noted
        .keys()
        .chain(manual.keys())
        .filter(|key| noted.get(*key) != manual.get(*key))
        .collect();
    assert!(
        wrong.is_empty(),
        "config/CHANGES.md needs a row for each of {wrong:?}, so that it leads to config/usher.toml"
    );
}

#[test]
fn notes_lead_from_version_to_version() {
    let keys = |rows: &str| fold(&format!("| 0.0.1 | `a.b` | added, default `1` |\n{rows}"));
    let one = |key: &str, value: Value| Ok(Keys::from([(key.to_owned(), value)]));
    for (row, expected) in [
        ("", one("a.b", 1.into())),
        (
            "| 0.0.2 | `a.b` | default changed to `\"x: y | z\"`: nothing |",
            one("a.b", "x: y | z".into()),
        ),
        (
            "| 0.0.2 | `c.d` | renamed from `a.b`: rename it |",
            one("c.d", 1.into()),
        ),
        ("| 0.0.2 | `a.b` | removed: take it out |", Ok(Keys::new())),
        (
            "| 0.0.2 | `a.b` | changed: halve it |",
            one("a.b", 1.into()),
        ),
    ] {
        assert_eq!(keys(row), expected, "{row}");
    }
    for wrong in [
        "| 0.0.2 | `a.b` | added, default `1` |",
        "| 0.0.2 | `c.d` | added, default 1 |",
        "| 0.0.2 | `c.d` | added, default `x` |",
        "| 0.0.2 | `a.b` | default changed to `1`: nothing |",
        "| 0.0.2 | `a.b` | default changed to `2` |",
        "| 0.0.2 | `a.b` | default changed to `2`:  |",
        "| 0.0.2 | `c.d` | default changed to `2`: nothing |",
        "| 0.0.2 | `a.b` | renamed from `c.d`: rename it |",
        "| 0.0.2 | `a.b` | renamed from `a.b` |",
        "| 0.0.2 | `c.d` | removed: take it out |",
        "| 0.0.2 | `a.b` | removed |",
        "| 0.0.2 | `c.d` | changed: halve it |",
        "| 0.0.2 | `a.b` | improved: be glad |",
        "| 0.0.2 | a.b | removed: take it out |",
        "| 0.0.2 | `a.b` |",
        "| 0.0.0 | `a.b` | removed: take it out |",
        "| next | `a.b` | removed: take it out |",
        "| 999.0.0 | `a.b` | removed: take it out |",
    ] {
        assert!(keys(wrong).is_err(), "{wrong}");
    }
}
