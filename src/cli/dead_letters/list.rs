//! `usher dead-letters list`

use std::fmt::Write;

use super::{
    CommandContext, FilterOptions, PARALLEL_RECEIVES, format_count, report_scan_end,
    show_hidden_count,
};
use crate::cli::{CommandStatus, Global, Output, print};
use crate::dead_letter::ReasonCounts;
use crate::telemetry::progress_bar;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    filter: FilterOptions,
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let desk = CommandContext::open(global).await?;
    let bar = progress_bar(desk.depth().await, "letters");
    let mut selection = desk.select(options.filter.filter(), PARALLEL_RECEIVES);
    let mut census = ReasonCounts::default();
    let result = loop {
        match selection
            .next(|_| true, |n| show_hidden_count(&bar, n))
            .await
        {
            Ok(Some(letters)) => {
                bar.set_position(selection.seen());
                for letter in &letters {
                    census.add(&letter.summary);
                }
                if global.output == Output::Json {
                    let lines = letters
                        .iter()
                        .map(|letter| serde_json::to_string(&letter.summary));
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
    Ok(report_scan_end(ended))
}

fn table(census: &ReasonCounts) -> Result<String, std::fmt::Error> {
    let groups = census.by_frequency();
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
                group.example_id,
            )?;
        }
        writeln!(text)?;
    }
    writeln!(text, "{}", format_count(census.total()))?;
    Ok(text)
}
