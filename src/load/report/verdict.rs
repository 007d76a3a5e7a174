//! The verdict in words, the limit that explains the time of a run, and the differences
//! in groups.

use std::collections::BTreeMap;

use super::format::{count, decimal_plural, duration, plural, rate};
use super::model::{LoadReport, Planned, RequirementResult};
use crate::dead_letter::printable;
use crate::load::{Difference, DifferenceKind};

/// A limit explains a run that takes at most this much longer: the workers begin idle,
/// and their rate rises and falls a little.
const TOLERANCE: f64 = 1.2;
/// The same, for short runs: profiles are polled twice a second.
const TOLERANCE_SECONDS: f64 = 2.0;
/// The last sign-up of a schedule takes a moment of the quota, too.
const SCHEDULE_TOLERANCE: f64 = 1.05;
/// A load generator that is this late, in milliseconds, slowed the run.
const LATE_MS: f64 = 1_000.0;
/// More names would not help to find the cause.
const MAX_NAMES_PER_DIFFERENCE: usize = 100;

/// All differences of one kind with one detail.
pub(super) struct DifferenceGroup {
    /// What differs, and for how many: `BETA missing for 40 of 40 users`.
    pub(super) title: String,
    pub(super) count: usize,
    /// The first users or messages.
    pub(super) names: Vec<String>,
}

impl DifferenceGroup {
    /// Differences without a name here.
    pub(super) fn hidden(&self) -> u64 {
        (self.count - self.names.len()) as u64
    }
}

impl LoadReport {
    /// `Verified`, or the number of differences.
    pub(super) fn headline(&self) -> String {
        if self.verified {
            "Verified".to_owned()
        } else {
            plural(self.differences.len() as u64, "difference")
        }
    }

    pub(super) fn verdict(&self) -> String {
        let detail = if self.verified {
            "every group, profile and dead letter is right"
        } else {
            "not every result is right"
        };
        format!("{}: {detail}", self.headline())
    }

    /// Requirements that the run did not meet, in words.
    pub(crate) fn unmet_requirements(&self) -> Vec<String> {
        let unmet = self.requirements.iter().filter(|it| !it.met);
        unmet.map(RequirementResult::describe).collect()
    }

    /// `300 of 300 sign-ups in 15.2 s: 19.7/s`
    pub(super) fn outcome(&self) -> String {
        let finished = &self.finished;
        format!(
            "{} of {} in {}: {}",
            count(finished.sign_ups),
            plural(self.planned.sign_ups, "sign-up"),
            duration(finished.seconds),
            rate(finished.per_second),
        )
    }

    /// Sign-ups a second that `quota.user_update` allows; `None` if sign-ups get no groups.
    pub(super) fn allowed_rate(&self) -> Option<f64> {
        let settings = &self.settings;
        (settings.groups > 0.0).then(|| settings.user_update / settings.groups)
    }

    /// Which limit explains how long the sign-ups took: the schedule, the quota, the load
    /// generator, throttling, or none of them.
    pub(super) fn limit(&self) -> String {
        if self.finished.sign_ups == 0 {
            return "No sign-up finished.".to_owned();
        }
        let settings = &self.settings;
        let (scheduled, needed) = (self.planned.seconds, settings.earliest_end);
        let sign_ups = plural(self.planned.sign_ups, "sign-up");
        let quota = format!("quota.user_update, {}", rate(settings.user_update));
        if self.finished.seconds <= scheduled.max(needed) * TOLERANCE + TOLERANCE_SECONDS {
            if needed <= scheduled * SCHEDULE_TOLERANCE {
                let scheduled = duration(scheduled);
                return format!("Limited by the schedule: {sign_ups} come in {scheduled}.");
            }
            let each = match settings.groups {
                groups if groups > 1.0 => {
                    format!(" with {} each", decimal_plural(groups, 1, "group"))
                }
                _ => String::new(),
            };
            let needed = duration(needed);
            return format!("Limited by {quota}: {sign_ups}{each} need {needed}.");
        }
        if let Some(late) = self.injected.late_ms.filter(|late| late.p99 >= LATE_MS) {
            let late = duration(late.max / 1_000.0);
            return format!("Limited by the load generator: it sent up to {late} late.");
        }
        let throttled = self.worker.as_ref().and_then(|it| it.throttled.as_ref());
        if let Some(calls) = throttled.and_then(|calls| calls.get("user_update")) {
            let calls = plural(*calls, "call");
            return format!(
                "Limited by Cognito, which throttled {calls}: it allows less than {quota}, or others use it."
            );
        }
        format!(
            "No limit explains it: the schedule lasts {}, and {quota}, needs {}. Look at the workers.",
            duration(scheduled),
            duration(needed),
        )
    }

    /// The differences by kind and detail.
    pub(super) fn difference_groups(&self) -> Vec<DifferenceGroup> {
        let mut groups = BTreeMap::<(DifferenceKind, &str), Vec<&Difference>>::new();
        for difference in &self.differences {
            let key = (difference.kind, difference.detail.as_str());
            groups.entry(key).or_default().push(difference);
        }
        let groups = groups.into_iter().map(|((kind, detail), all)| {
            let title = describe(kind, detail, all.len() as u64, &self.planned);
            DifferenceGroup {
                title: printable(&title),
                count: all.len(),
                names: all
                    .iter()
                    .take(MAX_NAMES_PER_DIFFERENCE)
                    .map(|it| name(it))
                    .collect(),
            }
        });
        groups.collect()
    }
}

impl RequirementResult {
    /// `Required p99<2s: not met, measured 2.31 s`
    pub(super) fn describe(&self) -> String {
        let verdict = if self.met { "met" } else { "not met" };
        let measured = match &self.measured {
            Some(value) => format!("measured {value}"),
            None => "not measured".to_owned(),
        };
        format!("Required {}: {verdict}, {measured}", self.requirement)
    }
}

fn name(difference: &Difference) -> String {
    let sub = difference.sub.as_ref().map(|sub| format!(" ({sub})"));
    printable(&format!("{}{}", difference.who, sub.unwrap_or_default()))
}

/// What differs for `n` users or messages.
fn describe(kind: DifferenceKind, detail: &str, n: u64, planned: &Planned) -> String {
    let users = format!("{} of {}", count(n), plural(planned.sign_ups, "user"));
    let poison = format!(
        "{} of {}",
        count(n),
        plural(planned.poison, "poison message")
    );
    let text = match kind {
        DifferenceKind::MissingGroup => return format!("{detail} missing for {users}"),
        DifferenceKind::ExtraGroup => {
            return format!("{detail} without a rule for {}", plural(n, "user"));
        }
        DifferenceKind::MissingProfile => format!("profile missing for {users}"),
        DifferenceKind::WrongProfile => format!("wrong profile for {users}"),
        DifferenceKind::ChangedProfile => format!("profile changed for {users}"),
        DifferenceKind::UnexpectedProfile => plural(n, "unexpected profile"),
        DifferenceKind::MissingDeadLetter => format!("dead letter missing for {poison}"),
        DifferenceKind::WrongReason => format!("wrong reason for {poison}"),
        DifferenceKind::UnexpectedDeadLetter => plural(n, "unexpected dead letter"),
        DifferenceKind::NotSent => "not sent".to_owned(),
        DifferenceKind::LeftOnQueue => "left on the queue".to_owned(),
        DifferenceKind::NotVerified => "not verified".to_owned(),
    };
    if detail.is_empty() {
        text
    } else {
        format!("{text}: {detail}")
    }
}
