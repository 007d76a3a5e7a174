//! The guarantees that hold at the end of a run with any faults.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::sign_ups::{Kind, Member, SignUps};
use crate::world::{MAX_RECEIVE_COUNT, World};

/// The longest back-off, and the longest delay of a released message.
const MAX_HIDDEN_TIME: Duration = Duration::from_mins(10);

/// Adds each violated guarantee to `violations`.
pub(crate) async fn check(world: &World, sign_ups: &SignUps, violations: &mut Vec<String>) {
    let depth = world.queue.attributes().await.expect("attributes").depth;
    if !depth.is_empty() {
        violations.push(format!("left on the queue: {depth:?}"));
    }
    let hidden = world.faults.ledger(|ledger| ledger.longest_hide());
    if hidden > MAX_HIDDEN_TIME {
        violations.push(format!("a message was hidden for {hidden:?}"));
    }
    let dead_lettered = check_dead_letters(world, sign_ups, violations).await;
    check_groups(world, sign_ups, &dead_lettered, violations).await;
    check_profiles(world, sign_ups, &dead_lettered, violations).await;
}

/// Each dead letter has a true reason, and each message that must be dead-lettered is.
/// Returns the bodies of the dead letters.
async fn check_dead_letters(
    world: &World,
    sign_ups: &SignUps,
    violations: &mut Vec<String>,
) -> BTreeSet<String> {
    let members: BTreeMap<&str, &Member> = sign_ups
        .members
        .iter()
        .map(|member| (member.body.as_str(), member))
        .collect();
    let mut dead_lettered = BTreeSet::new();
    for dead_letter in world.read_dead_letters().await {
        let body = dead_letter.body;
        let Some(reason) = dead_letter.attributes.get("usher.reason") else {
            // SQS moved it, which is right only after `MAX_RECEIVE_COUNT` receives.
            let receives = world.faults.ledger(|ledger| ledger.receives(&body));
            if receives < MAX_RECEIVE_COUNT {
                violations.push(format!("no reason after {receives} receives: {body}"));
            }
            dead_lettered.insert(body);
            continue;
        };
        let injected_reasons = if let Some(reason) = sign_ups.poison.get(&body) {
            BTreeSet::from([*reason])
        } else if let Some(member) = members.get(body.as_str()) {
            world
                .faults
                .ledger(|ledger| member.injected_reasons(ledger))
        } else {
            BTreeSet::new()
        };
        if !injected_reasons.contains(reason.as_str()) {
            violations.push(format!(
                "a dead letter says {reason}, which is none of {injected_reasons:?}: {body}"
            ));
        }
        dead_lettered.insert(body);
    }
    let gone = sign_ups.members.iter().filter(|m| m.kind == Kind::Gone);
    for body in gone.map(|m| &m.body).chain(sign_ups.poison.keys()) {
        if !dead_lettered.contains(body) {
            violations.push(format!("vanished without a dead letter: {body}"));
        }
    }
    dead_lettered
}

async fn check_groups(
    world: &World,
    sign_ups: &SignUps,
    dead_lettered: &BTreeSet<String>,
    violations: &mut Vec<String>,
) {
    for (group, belongs) in [
        ("EVERYONE", Member::is_valid as fn(&Member) -> bool),
        ("PRO", |member| member.kind == Kind::Pro),
    ] {
        let members: BTreeSet<String> = world.members(group).await.into_iter().collect();
        let mut strangers = members.clone();
        for member in sign_ups.members.iter().filter(|member| belongs(member)) {
            strangers.remove(&member.name);
            if !members.contains(&member.name) && !dead_lettered.contains(&member.body) {
                violations.push(format!("{} is not in {group}", member.named()));
            }
        }
        if !strangers.is_empty() {
            violations.push(format!("in {group} without a right to it: {strangers:?}"));
        }
    }
}

async fn check_profiles(
    world: &World,
    sign_ups: &SignUps,
    dead_lettered: &BTreeSet<String>,
    violations: &mut Vec<String>,
) {
    let mut profiles = world.profiles().await;
    let everyone = world.members("EVERYONE").await;
    let pro = world.members("PRO").await;
    // The profile is written last, also if a dead letter came in between.
    let in_groups = |member: &Member| {
        everyone.contains(&member.name) && (member.kind != Kind::Pro || pro.contains(&member.name))
    };
    for member in &sign_ups.members {
        let puts = world.faults.ledger(|ledger| ledger.puts(&member.sub));
        let edited = sign_ups.edited.get(&member.sub);
        if puts > u32::from(edited.is_none()) {
            violations.push(format!("{puts} profiles written for {}", member.named()));
        }
        let profile = profiles.remove(&member.sub);
        match (&profile, edited) {
            (profile, Some(edited)) if profile.as_ref() != Some(edited) => {
                violations.push(format!("an edited profile is now {profile:?}"));
            }
            (Some(profile), None) if member.kind == Kind::Gone => {
                violations.push(format!("a profile without a user: {profile:?}"));
            }
            (Some(profile), None) => {
                if !in_groups(member) {
                    violations.push(format!("{} has a profile too early", member.named()));
                }
                let owner = format!("{}::{}", member.sub, member.name);
                if profile.get("profileOwner") != Some(&owner) {
                    violations.push(format!(
                        "not the profile of {}: {profile:?}",
                        member.named()
                    ));
                }
            }
            (None, None) if member.is_valid() && !dead_lettered.contains(&member.body) => {
                violations.push(format!("{} has no profile", member.named()));
            }
            _ => {}
        }
    }
    if !profiles.is_empty() {
        violations.push(format!("profiles without a user: {profiles:?}"));
    }
}

impl Member {
    fn is_valid(&self) -> bool {
        !matches!(self.kind, Kind::Gone | Kind::Forgot)
    }

    fn named(&self) -> String {
        format!("{} ({:?})", self.name, self.kind)
    }

    /// The reasons that match the faults of this user's calls.
    fn injected_reasons(&self, ledger: &crate::faults::Ledger) -> BTreeSet<&'static str> {
        match self.kind {
            // The read of the profile has no faults, and no other call is made.
            Kind::Forgot => BTreeSet::new(),
            Kind::Gone => {
                let mut reasons = ledger.reasons(&self.name, &self.sub);
                reasons.insert("user_not_found");
                reasons
            }
            _ => ledger.reasons(&self.name, &self.sub),
        }
    }
}
