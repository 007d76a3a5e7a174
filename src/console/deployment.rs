//! The deployment: what `usher check` finds, and the effective configuration.

use std::sync::Arc;

use anyhow::bail;
use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;

use super::actions::start;
use super::caller::Asking;
use super::job::{Job, JobEnd, JobKind, JobPlan};
use super::page::{Frame, Refusal, View, html};
use super::state::Console;
use super::text::{self, Moment};
use crate::check::check_deployment;
use crate::config::EffectiveSetting;
use crate::event::PoolId;
use crate::status::{Finding, Findings, Report};
use crate::text::plural;

const COMMAND: &str = "usher check";

#[derive(Template)]
#[template(path = "console/deployment.html")]
struct DeploymentPage<'a> {
    frame: Frame<'a>,
    report: Option<Arc<Report>>,
    running: Option<Arc<Job>>,
    settings: Vec<&'a EffectiveSetting>,
    /// The settings that differ from the default.
    changed: Vec<&'a EffectiveSetting>,
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(caller): Asking,
) -> Response {
    let changed = console.settings.iter().filter(|it| !it.is_default);
    let frame = Frame::new(&caller, View::Deployment, "Deployment");
    html(&DeploymentPage {
        frame: frame.with_command(COMMAND),
        report: console.report(),
        running: console.jobs.running(),
        changed: changed.collect(),
        settings: console.settings.iter().collect(),
    })
}

impl DeploymentPage<'_> {
    /// The findings by section.
    fn sections(report: &Report) -> Vec<&[Finding]> {
        let sections = report.findings.chunk_by(|a, b| a.section == b.section);
        sections.collect()
    }

    /// As `usher check` ends.
    fn summary(report: &Report) -> String {
        let warnings = plural(report.warnings, "warning");
        format!("{warnings}, {}", plural(report.failures, "failure"))
    }

    fn style(report: &Report) -> &'static str {
        match (report.failures, report.warnings) {
            (0, 0) => "good",
            (0, _) => "warn",
            _ => "bad",
        }
    }
}

pub(super) async fn check(State(console): State<Arc<Console>>) -> Result<Response, Refusal> {
    let plan = JobPlan {
        kind: JobKind::Check,
        title: "Checking the deployment".to_owned(),
        command: COMMAND.to_owned(),
        view: View::Deployment,
        pool: None,
        selected: None,
    };
    start(&console, plan, run)
}

async fn run(console: Arc<Console>, job: Arc<Job>) -> anyhow::Result<JobEnd> {
    let services = &console.services;
    let pools: Vec<PoolId> = services.config.pools.allowed.iter().cloned().collect();
    let mut findings = Findings::default();
    // Its calls change nothing, so it may end between any two.
    tokio::select! {
        checked = check_deployment(&mut findings, services, &pools, None) => checked?,
        () = job.stop.cancelled() => bail!("stopped: it has no findings"),
    }
    let report = findings.into_report();
    let end = JobEnd::new(true, DeploymentPage::summary(&report));
    console.replace_report(report);
    Ok(end)
}
