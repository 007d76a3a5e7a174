//! `usher dead-letters list`

use super::context::{CommandContext, FilterOptions, PARALLEL_RECEIVES, letters, report_scan_end};
use crate::cli::{CommandStatus, Global, Output, print, table};
use crate::dead_letter::ReasonCounts;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    filter: FilterOptions,
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let context = CommandContext::open(global, &[]).await?;
    let mut scan = context
        .scan(options.filter.filter(), PARALLEL_RECEIVES)
        .await;
    let mut counts = ReasonCounts::default();
    let result = scan
        .for_each(async |_, dead_letters| {
            for dead_letter in &dead_letters {
                counts.add(&dead_letter.summary);
                if global.output == Output::Json {
                    print(&serde_json::to_string(&dead_letter.summary)?)?;
                }
            }
            Ok(())
        })
        .await;
    let end = scan.finish().await;
    result?;
    if global.output == Output::Text {
        print(&text(&counts))?;
    }
    Ok(report_scan_end(end))
}

fn text(counts: &ReasonCounts) -> String {
    let total = letters(counts.total());
    if counts.total() == 0 {
        return total;
    }
    let mut rows = vec![row("reason", "letters", "oldest", "newest", "example")];
    for (reason, summary) in counts.by_frequency() {
        let dates = [summary.oldest, summary.newest];
        let [oldest, newest] = dates.map(|time| match time {
            Some(time) => format!("{time:.0}"),
            None => "-".to_owned(),
        });
        let count = summary.count.to_string();
        rows.push(row(reason, &count, &oldest, &newest, &summary.example_id));
    }
    format!("{}\n{total}", table(&rows, usize::MAX))
}

fn row(reason: &str, count: &str, oldest: &str, newest: &str, example: &str) -> [String; 5] {
    [
        reason.to_owned(),
        format!("{count:>8}"),
        format!("{oldest:<20}"),
        format!("{newest:<20}"),
        example.to_owned(),
    ]
}
