//! `usher dead-letters list`

use super::context::{
    CommandContext, FILTER_OPTIONS, FilterOptions, MAX_REASON_WIDTH, PARALLEL_RECEIVES, letters,
};
use crate::cli::{CommandStatus, Global, Output, print, table};
use crate::dead_letter::{ReasonCounts, ScanReport, SelectionEnd, Unseen, short_id};
use crate::retry::retry_inline;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  usher dead-letters list
  usher dead-letters list --reason throttled --since yesterday
  usher dead-letters list --count")]
pub(super) struct Options {
    #[command(flatten)]
    filter: FilterOptions,
    /// Only print SQS's approximate count, and receive nothing
    #[arg(long, conflicts_with_all = FILTER_OPTIONS)]
    count: bool,
}

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let context = CommandContext::open(global, &[]).await?;
    if options.count {
        let depth = retry_inline(|| context.dead_letter_queue.attributes())
            .await?
            .depth;
        let total = depth.total();
        let counts = serde_json::json!({"dead_letters": total, "in_flight": depth.hidden});
        global.output.print(&counts, || match depth.hidden {
            0 => format!("about {}", letters(total)),
            hidden => format!("about {}, {hidden} of them in flight", letters(total)),
        })?;
        return Ok(CommandStatus::Success);
    }
    let filter = options.filter.filter();
    let mut scan = context.scan(filter, PARALLEL_RECEIVES).await;
    let counted = scan.counted.unwrap_or(0);
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
    let report = scan.finish().await;
    result?;
    if global.output == Output::Text {
        print(&text(&counts, &report, counted))?;
    }
    Ok(report.print_end())
}

fn text(counts: &ReasonCounts, report: &ScanReport, counted: u64) -> String {
    let total = counts.total();
    if total == 0 {
        return report.no_match();
    }
    let header = [
        "reason",
        " count",
        "oldest (UTC)",
        "newest (UTC)",
        "example id",
    ];
    let mut rows = vec![header.map(str::to_owned)];
    for (reason, summary) in counts.by_frequency() {
        let [oldest, newest] = [summary.oldest, summary.newest].map(|time| match time {
            Some(time) => time.strftime("%F %H:%M").to_string(),
            None => "-".to_owned(),
        });
        let (count, id) = (summary.count, short_id(&summary.example_id));
        rows.push([
            reason.to_owned(),
            format!("{count:>6}"),
            oldest,
            newest,
            id.to_owned(),
        ]);
    }
    let seen = report.seen.total();
    let total = match report.end {
        SelectionEnd::Exhausted(unseen) if unseen == Unseen::default() => letters(total),
        _ if counted > seen => format!("{total} of about {}", letters(counted)),
        _ => format!("{total} of {}", letters(seen)),
    };
    format!("{}\n{total}", table(&rows, MAX_REASON_WIDTH))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::dead_letter::DeadLetterSummary;

    #[test]
    fn the_last_line_says_what_another_process_uses_and_rows_fit_80_columns() {
        let attributes = ["usher.reason", "usher.dead_lettered_at"];
        let values = ["user_lambda_validation", "2026-08-01T09:05:00Z"];
        let attributes = attributes.map(str::to_owned).into_iter();
        let attributes: BTreeMap<_, _> = attributes.zip(values.map(str::to_owned)).collect();
        let id = "91e29d26-c230-48b2-b961-13ed48ad7154";
        let summary = DeadLetterSummary::new(id, "{", &attributes);
        let report = |hidden_elsewhere| ScanReport {
            end: SelectionEnd::Exhausted(Unseen {
                hidden_elsewhere,
                not_received: 0,
            }),
            seen: ReasonCounts::of(vec![&summary; 70]),
        };
        let counts = ReasonCounts::of(vec![&summary; 70]);
        let shared = text(&counts, &report(50), 120);
        let expected = "\
reason                   count  oldest (UTC)      newest (UTC)      example id
user_lambda_validation      70  2026-08-01 09:05  2026-08-01 09:05  91e29d26

70 of about 120 dead letters";
        assert_eq!(shared, expected);
        assert!(text(&counts, &report(0), 70).ends_with("\n70 dead letters"));
        assert_eq!(report(50).print_end(), CommandStatus::Failure);
    }
}
