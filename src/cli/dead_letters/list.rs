//! `usher dead-letters list`

use std::fmt::Write;

use super::{Desk, FilterOptions, READING, letters, told, waiting};
use crate::cli::{Ended, Global, Output, print};
use crate::dead_letter::Census;
use crate::telemetry::bar;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    filter: FilterOptions,
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<Ended> {
    let desk = Desk::open(global).await?;
    let bar = bar(desk.depth().await, "letters");
    let mut selection = desk.select(options.filter.filter(), READING);
    let mut census = Census::default();
    let result = loop {
        match selection.next(|_| true, |n| waiting(&bar, n)).await {
            Ok(Some(letters)) => {
                bar.set_position(selection.seen());
                for letter in &letters {
                    census.add(&letter.about);
                }
                if global.output == Output::Json {
                    let lines = letters
                        .iter()
                        .map(|letter| serde_json::to_string(&letter.about));
                    let mut text = lines.collect::<Result<Vec<_>, _>>()?.join("\n");
                    text.push('\n');
                    if let Err(error) = print(&text) {
                        break Err(error);
                    }
                }
            }
            Ok(None) => break Ok(()),
            Err(failure) => break Err(failure.into()),
        }
    };
    bar.set_message("showing them again");
    let ended = selection.finish().await;
    bar.finish_and_clear();
    result?;
    if global.output == Output::Text {
        print(&table(&census)?)?;
    }
    Ok(told(ended))
}

fn table(census: &Census) -> Result<String, std::fmt::Error> {
    let groups = census.groups();
    let mut text = String::new();
    if !groups.is_empty() {
        let widest = groups
            .iter()
            .map(|(reason, _)| reason.chars().count())
            .max();
        let width = widest.unwrap_or(0).max("reason".len());
        writeln!(
            text,
            "{:<width$}  {:>8}  {:<20}  {:<20}  example",
            "reason", "letters", "oldest", "newest"
        )?;
        for (reason, group) in groups {
            let date = |time: Option<jiff::Timestamp>| {
                time.map_or_else(|| "-".to_owned(), |time| format!("{time:.0}"))
            };
            writeln!(
                text,
                "{reason:<width$}  {:>8}  {:<20}  {:<20}  {}",
                group.count,
                date(group.oldest),
                date(group.newest),
                group.example,
            )?;
        }
        writeln!(text)?;
    }
    writeln!(text, "{}", letters(census.total()))?;
    Ok(text)
}
