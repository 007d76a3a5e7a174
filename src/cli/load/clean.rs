//! `usher load --clean RUN`

use super::options::Options;
use super::services;
use crate::cli::{Ended, Global, Output, print, print_json};
use crate::config::Config;
use crate::load::report::Cleaned;
use crate::load::{Cleaner, Crew, RunId, Source};
use crate::retry::Persistence;
use crate::shutdown;
use crate::telemetry::{bar, note};

pub(super) async fn run(
    global: &Global,
    options: &Options,
    config: &Config,
    run: &RunId,
) -> anyhow::Result<Ended> {
    let pools = options.pools(config)?;
    let stop = shutdown::on_signal(&global.at_once)?;
    let services = services(config, &stop).await?;
    let mut all = Cleaned {
        complete: true,
        ..Cleaned::default()
    };
    for pool in &pools {
        let progress = bar(None, "users removed");
        let cleaning = Cleaner {
            services: &services,
            run,
            pool,
            settle: options.settle,
            persistence: &Persistence::new(options.patience, &stop),
            stop: &stop,
        };
        let nobody = Crew::default();
        let (gone, failure) = cleaning
            .clean(&nobody, Source::Unknown, |n| progress.set_position(n))
            .await;
        progress.finish_and_clear();
        all.messages += gone.messages;
        all.letters += gone.letters;
        all.profiles += gone.profiles;
        all.users += gone.users;
        all.complete &= gone.complete;
        if let Some(failure) = failure {
            note(&format!(
                "{pool}: not everything could be removed: {failure}"
            ));
        }
    }
    match global.output {
        Output::Json => print_json(&all)?,
        Output::Text => print(&format!(
            "removed {} messages, {} letters, {} profiles, {} users\n",
            all.messages, all.letters, all.profiles, all.users
        ))?,
    }
    if all.complete {
        Ok(Ended::Well)
    } else {
        note(if stop.is_cancelled() {
            "stopped before the end; run it again to go on"
        } else {
            "something may be left, hidden by a worker or not shown yet; run it again"
        });
        Ok(Ended::Badly)
    }
}
