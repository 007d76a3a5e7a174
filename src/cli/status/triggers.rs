//! The triggers of the user pools.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::screen::Finding;
use crate::aws::PoolSettings;
use crate::cli::check::{State, trigger_state};
use crate::event::PoolId;

const LABEL: &str = "trigger";

/// `expected` is the ARN that each trigger must have.
pub(super) async fn read(
    settings: &PoolSettings,
    pools: &BTreeSet<PoolId>,
    expected: Option<&str>,
) -> Vec<Finding> {
    if pools.is_empty() {
        let why = "pools.allowed names no user pool";
        return vec![Finding::new(LABEL, State::Skipped, why)];
    }
    let settings = join_all(pools.iter().map(|pool| settings.read(pool))).await;
    let mut findings = Vec::new();
    let mut set = Vec::new();
    for (pool, settings) in pools.iter().zip(settings) {
        match settings.map(|settings| trigger_state(&settings, expected)) {
            Ok((State::Ok, ..)) => set.push(pool),
            Ok((state, detail, next)) => {
                let detail = format!("{} ({pool})", without_arns(&detail));
                let next = next.filter(|_| findings.is_empty());
                findings.push(Finding::new(LABEL, state, detail).with_next(next));
            }
            Err(error) => findings.push(Finding::of_failure(LABEL, &error.failure)),
        }
    }
    let set = match set[..] {
        [] => return findings,
        [pool] => format!("set on {pool}"),
        _ => format!("set on {} user pools", set.len()),
    };
    findings.insert(0, Finding::new(LABEL, State::Ok, set));
    findings
}

/// Names functions without Region and account.
fn without_arns(text: &str) -> String {
    let words = text.split(' ');
    let words = words.map(|word| word.split_once(":function:").map_or(word, |(_, name)| name));
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_shown_by_name() {
        let text = "arn:aws:lambda:eu-west-1:1:function:welcome is not usher's";
        assert_eq!(without_arns(text), "welcome is not usher's");
    }
}
