//! `usher invite`

mod answer;
mod columns;
mod end;
mod fields;
mod file;
mod hash;
mod options;
mod preview;
mod results;
mod run;
mod wrongs;

use std::time::Duration;

use super::operator::{self, Operator};
use super::{Ended, Global};
use crate::aws::Aws;
use crate::event::PoolId;
use crate::shutdown;
use crate::telemetry::{bar, note};
use end::End;
pub(super) use options::Options;
use options::Row;
use results::{Past, Results};
use run::{Run, Tally, Task};

/// What Cognito sends a day from its own address.
///
/// <https://docs.aws.amazon.com/cognito/latest/developerguide/quotas.html>
const MAILS_OF_A_DAY: usize = 50;

pub(super) async fn run(global: &Global, options: &Options) -> anyhow::Result<Ended> {
    let config = global.config()?;
    let pool = operator::pool(options.pool.as_deref(), &config)?;
    let rows = options.rows()?;
    let path = options.results();
    let past = match &path {
        Some(path) => Past::read(path, &pool)?,
        None => Past::none()?,
    };
    let all = rows.len();
    let tasks = tasks(rows, &past, &pool, options.again)?;
    let done = all - tasks.len();
    if done > 0 {
        note(&format!(
            "{done} of {all} rows are done already; --again does them once more"
        ));
    }
    let aws = Aws::from_environment().await?;
    warn_of_the_limit(&aws, &pool, tasks.len()).await;
    if options.dry_run {
        return preview::show(global, &config, (&aws, &pool), &tasks, done).await;
    }
    if tasks.is_empty() {
        return Ok(Ended::Well);
    }
    let stop = shutdown::on_signal(&global.at_once)?;
    // Before anything is sent: a file that cannot be written stops it here.
    let results = match &path {
        Some(path) => Some(Results::open(path, &pool, &past)?),
        None => None,
    };
    let operator = Operator::new(&config, &aws, &pool, options.patience, &stop).await;
    let progress = bar(Some(tasks.len() as u64), "people");
    let run = Run {
        operator: &operator,
        output: global.output,
        progress: &progress,
        results,
        stop: &stop,
    };
    let tally = run.all(tasks).await;
    progress.finish_and_clear();
    let tally = tally?;
    if path.is_some() {
        note(&tally.text());
        say_how_to_go_on(&tally, options.patience);
    } else if tally.unsent_mails > 0 {
        let when = if tally.end == Some(End::Mails) {
            " tomorrow"
        } else {
            ""
        };
        note(&format!(
            "the mail did not go: the same command with --resend sends it{when}"
        ));
    } else if let Some(End::Broken(why) | End::Outage(why)) = &tally.end {
        note(why);
    }
    Ok(if tally.is_well() {
        Ended::Well
    } else {
        Ended::Badly
    })
}

/// The rows that are left to do.
fn tasks(rows: Vec<Row>, past: &Past, pool: &PoolId, again: bool) -> anyhow::Result<Vec<Task>> {
    let mut tasks = Vec::with_capacity(rows.len());
    for mut row in rows {
        let hash = past.key.hash(pool, &row.invitation)?;
        let before = past.of(&hash);
        if again || !before.is_some_and(|answer| answer.status.is_done()) {
            let owed = before.is_some_and(answer::Answer::owes_mail);
            // It went although something else failed: a second one makes it worthless.
            if !again && before.is_some_and(|answer| answer.mail.as_deref() == Some("sent")) {
                row.invitation.resend = false;
            }
            tasks.push(Task { row, hash, owed });
        }
    }
    Ok(tasks)
}

async fn warn_of_the_limit(aws: &Aws, pool: &PoolId, mails: usize) {
    if mails <= MAILS_OF_A_DAY {
        return;
    }
    let limit = "from its own address Cognito sends at most 50 e-mails a day; a pool that sends \
                 through Amazon SES is not held to that";
    match aws.mails_are_few(pool).await {
        Ok(false) => {}
        Ok(true) => note(&format!(
            "{mails} invitations, and {pool} does not send through Amazon SES: {limit}. Once they \
             are used up, the same command goes on the next day"
        )),
        Err(_) => note(&format!("{mails} invitations: {limit}")),
    }
}

fn say_how_to_go_on(tally: &Tally, patience: Duration) {
    let what = match &tally.end {
        Some(End::Mails) => {
            "the mails of a day are used up: go on with the same command tomorrow, or have the \
             pool send through Amazon SES"
                .to_owned()
        }
        Some(End::Broken(why)) => {
            format!(
                "stopped, since it would go the same way with every row: {why}; go on with the same command once that is mended"
            )
        }
        Some(End::Outage(why)) => format!(
            "stopped, since nothing has worked for {}: {why}; go on with the same command",
            humantime::format_duration(patience)
        ),
        None if tally.untried > 0 => "stopped; go on with the same command".to_owned(),
        None if !tally.is_well() => {
            "rows that were refused or failed are tried again by the same command".to_owned()
        }
        None => String::new(),
    };
    if !what.is_empty() {
        note(&what);
    }
    if tally.unknown_mails > 0 {
        note(&format!(
            "of {} people nobody knows whether the mail went, since Cognito's answer was lost: \
             send it again to those who ask",
            tally.unknown_mails
        ));
    }
}
