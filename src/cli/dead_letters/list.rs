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
    let context = CommandContext::open(global).await?;
    let bar = progress_bar(context.depth().await, "letters");
    let mut selection = context.select(options.filter.filter(), PARALLEL_RECEIVES);
    let mut counts = ReasonCounts::default();
    let result = loop {
        match selection
            .next(|_| true, |n| show_hidden_count(&bar, n))
            .await
        {
            Ok(Some(dead_letters)) => {
                bar.set_position(selection.seen());
                for dead_letter in &dead_letters {
                    counts.add(&dead_letter.summary);
                }
                if global.output == Output::Json {
                    let lines = dead_letters
                        .iter()
                        .map(|dead_letter| serde_json::to_string(&dead_letter.summary));
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
    let end = selection.finish().await;
    bar.finish_and_clear();
    result?;
    if global.output == Output::Text {
        print(&table(&counts)?)?;
    }
    Ok(report_scan_end(end))
}

fn table(counts: &ReasonCounts) -> Result<String, std::fmt::Error> {
    let groups = counts.by_frequency();
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
    writeln!(text, "{}", format_count(counts.total()))?;
    Ok(text)
}
