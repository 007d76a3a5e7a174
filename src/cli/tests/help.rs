//! The help of every command.

use clap::{Command, CommandFactory, Parser};

use crate::cli::Cli;

const GLOBAL: &str = "Global options";
const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:usher-trigger";

/// The commands that do something, with their names.
fn commands() -> Vec<(String, Command)> {
    fn add(name: &str, command: &Command, found: &mut Vec<(String, Command)>) {
        let inner = command.get_subcommands();
        let inner: Vec<&Command> = inner.filter(|it| it.get_name() != "help").collect();
        if inner.is_empty() || command.is_args_conflicts_with_subcommands_set() {
            found.push((name.to_owned(), command.clone()));
        }
        for command in inner {
            add(&format!("{name} {}", command.get_name()), command, found);
        }
    }
    let mut root = Cli::command();
    root.build();
    let mut found = Vec::new();
    add("usher", &root, &mut found);
    assert!(found.len() > 15, "{found:?}");
    found
}

/// The words of a line, as a shell splits it.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('"').enumerate();
    parts
        .flat_map(|(at, part)| {
            let is_quoted = at % 2 == 1;
            let words: Vec<&str> = if is_quoted {
                vec![part]
            } else {
                part.split_whitespace().collect()
            };
            words
        })
        .map(|word| if word == "ARN" { ARN } else { word }.to_owned())
        .collect()
}

#[test]
fn every_help_ends_with_examples_that_are_right() {
    for (name, command) in commands() {
        let help = command.clone().render_long_help().to_string();
        let (_, examples) = help.split_once("\nExamples:\n").expect(&name);
        assert!(examples.contains(&name), "{name}: {examples}");
        for example in examples.trim_end().replace("\\\n", "").lines() {
            assert!(example.starts_with("  "), "{name}: {example}");
            let words = words(example);
            // Some are a part of another command.
            if words[0] == "usher" {
                let is_argument = |word: &&String| ![">", "|", "&&"].contains(&word.as_str());
                let parsed = Cli::try_parse_from(words.iter().take_while(is_argument));
                assert!(parsed.is_ok(), "{example}: {:?}", parsed.err());
            }
        }
    }
}

#[test]
fn help_fits_80_columns_and_global_options_come_last() {
    for (name, command) in commands() {
        let help = command
            .clone()
            .term_width(80)
            .render_long_help()
            .to_string();
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{name}: {line}");
        }
        let place = |heading: &str| help.find(&format!("\n{heading}:\n"));
        let global = place(GLOBAL).expect(&name);
        assert!(place("Options").is_none_or(|own| own < global), "{name}");
        assert!(
            place("Examples").is_some_and(|examples| examples > global),
            "{name}"
        );
        for argument in command.get_arguments() {
            let is_under_global = argument.get_help_heading() == Some(GLOBAL);
            let id = argument.get_id();
            assert_eq!(argument.is_global_set(), is_under_global, "{name}: {id}");
        }
    }
}

#[test]
fn no_help_has_a_backtick() {
    fn check(command: &Command) {
        let help = command.clone().render_long_help().to_string();
        let line = help.lines().find(|line| line.contains('`'));
        assert_eq!(line, None, "{}", command.get_name());
        command.get_subcommands().for_each(check);
    }
    let mut root = Cli::command();
    root.build();
    check(&root);
}

#[test]
fn a_user_pool_is_named_with_the_same_option_everywhere() {
    let mut count = 0;
    for (name, command) in commands() {
        for argument in command.get_arguments() {
            let long = argument.get_long().unwrap_or_default();
            let is_pool = argument.get_id() == "pool";
            assert_eq!(is_pool, long.contains("pool"), "{name} --{long}");
            assert!(!is_pool || long == "pool", "{name} --{long}");
            count += u32::from(is_pool);
        }
    }
    assert!(count > 8, "{count}");
}
