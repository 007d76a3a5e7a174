//! `usher users invite`

mod file;
mod options;
mod preview;
mod results;
mod row_text;

use std::time::Duration;

use crate::app::Services;
use crate::aws::Cognito;
use crate::cli::target;
use crate::cli::{CommandStatus, Global, plural, progress_bar, status_line};
use crate::config::Required;
use crate::event::PoolId;
use crate::shutdown;
use crate::users::{
    COGNITO_MAILS_PER_DAY, InviteTally, Operator, PendingRow, Row, RowResult, RowStatus,
    StopReason, invite_all,
};
pub(super) use options::Options;
use results::{PastResults, ResultsFile};
use row_text::{Widths, row_text};

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<CommandStatus> {
    let config = global.config(&[Required::Profiles])?;
    let pool = target::pool(options.pool.as_deref(), &config)?;
    let rows = options.rows()?;
    let path = options.results_path();
    let past = match &path {
        Some(path) => PastResults::read(path, &pool)?,
        None => PastResults::empty()?,
    };
    let all = rows.len();
    let pending = pending_rows(rows, &past, &pool, options.force)?;
    let done = all - pending.len();
    if done > 0 {
        let rows = plural(all as u64, "row");
        let text = format!("{done} of {rows} done already (--force repeats them)");
        if pending.is_empty() && !options.dry_run {
            global.output.print_summary(&text)?;
            return Ok(CommandStatus::Success);
        }
        status_line(&text);
    }
    let services = Services::from_environment(config).await?;
    warn_of_mail_limit(&services.cognito(), &pool, pending.len()).await;
    if options.dry_run {
        return preview::show(global, &services, &pool, &pending, done).await;
    }
    let stop = shutdown::on_signal(&global.force_exit)?;
    // A results file that cannot be written stops the run before anything is sent.
    let mut results = match &path {
        Some(path) => Some(ResultsFile::open(path, &pool, &past)?),
        None => None,
    };
    let actor = services.aws().caller_name().await;
    let operator = Operator::new(&services, &pool, actor, options.give_up_after, &stop);
    let progress = progress_bar(Some(pending.len() as u64), "rows");
    let last_line = pending.iter().filter_map(|it| it.row.line).max();
    let addresses = pending.iter().map(|it| it.row.invitation.email.as_str());
    let widths = Widths::new(last_line.unwrap_or_default(), addresses);
    let tally = invite_all(&operator, pending, &stop, |pending, result| {
        progress.inc(1);
        if let Some(results) = &mut results {
            results.write(&pending.hash, result)?;
        }
        let address = &pending.row.invitation.email;
        global
            .output
            .print_line(result, || row_text(result, address, &widths))
    })
    .await;
    progress.finish_and_clear();
    let tally = tally?;
    if path.is_some() {
        let rows = plural(tally.rows(), "row");
        let summary = format!("{rows}: {}", tally.text());
        global.output.print_summary(&summary)?;
        print_resume_hint(&tally, options.give_up_after);
    } else if tally.unsent_mails > 0 {
        let is_over_limit = tally.stop_reason == Some(StopReason::MailLimit);
        let when = if is_over_limit { " tomorrow" } else { "" };
        status_line(&format!(
            "note: the mail was not sent; repeat the command with --resend{when}"
        ));
    } else if let Some(StopReason::Blocked(why) | StopReason::Outage(why)) = &tally.stop_reason {
        status_line(why);
    }
    Ok(CommandStatus::success_if(tally.is_success()))
}

/// The rows that no earlier run completed, or all rows with `again`.
fn pending_rows(
    rows: Vec<Row>,
    past: &PastResults,
    pool: &PoolId,
    again: bool,
) -> anyhow::Result<Vec<PendingRow>> {
    let mut pending = Vec::with_capacity(rows.len());
    for mut row in rows {
        let hash = past.key.hash(pool, &row.invitation)?;
        let earlier = past.get(&hash);
        if again || !earlier.is_some_and(|result| result.status.is_done()) {
            let has_pending_mail = earlier.is_some_and(RowResult::has_pending_mail);
            // The mail was sent before something else failed. A second code would invalidate it.
            if !again && earlier.is_some_and(|result| result.mail.as_deref() == Some("sent")) {
                row.invitation.resend = false;
            }
            pending.push(PendingRow {
                row,
                hash,
                has_pending_mail,
            });
        }
    }
    Ok(pending)
}

async fn warn_of_mail_limit(cognito: &Cognito, pool: &PoolId, mails: usize) {
    if mails <= COGNITO_MAILS_PER_DAY {
        return;
    }
    let limit = "from its own address Cognito sends at most 50 e-mails a day; a pool that sends \
                 through Amazon SES may send more";
    match cognito.has_default_email(pool).await {
        Ok(false) => {}
        Ok(true) => status_line(&format!(
            "{mails} invitations, and {pool} does not send through Amazon SES: {limit}. After that, \
             run the same command again the next day"
        )),
        Err(_) => status_line(&format!("{mails} invitations: {limit}")),
    }
}

fn print_resume_hint(tally: &InviteTally, give_up_after: Duration) {
    match &tally.stop_reason {
        Some(StopReason::MailLimit) => status_line(
            "note: the daily limit of mails is reached; run the same command tomorrow, or let the \
             pool send through Amazon SES",
        ),
        Some(StopReason::Blocked(why)) => status_line(&format!(
            "stopped: every row would fail ({why}). Fix it and run the same command again"
        )),
        Some(StopReason::Outage(why)) => status_line(&format!(
            "stopped: no call succeeded for {} ({why}); run the same command again",
            humantime::format_duration(give_up_after)
        )),
        None if tally.untried > 0 => status_line("stopped; run the same command to continue"),
        None => print_retry_hint(tally),
    }
    if tally.unknown_mails > 0 {
        status_line(&format!(
            "{}: delivery unknown (no answer from Cognito); use --resend if asked",
            plural(tally.unknown_mails, "mail")
        ));
    }
}

/// Refused rows are refused again, unless something is changed; failed ones may succeed.
fn print_retry_hint(tally: &InviteTally) {
    let count = |status| tally.by_status.get(&status).copied().unwrap_or_default();
    let (refused, failed) = (count(RowStatus::Refused), count(RowStatus::Failed));
    if refused > 0 {
        let (rows, were, lines) = match refused {
            1 => ("row", "was", "its line"),
            _ => ("rows", "were", "their lines"),
        };
        status_line(&format!(
            "note: {refused} {rows} {were} refused: fix the cause in {lines} and run the same \
             command again"
        ));
    }
    if failed > 0 {
        let rows = plural(failed, "failed row");
        status_line(&format!("note: run the same command again to retry {rows}"));
    }
}
