//! What must be true in the end, whatever went wrong on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::crowd::{Crowd, Kind, Member};
use crate::world::{MAX_RECEIVE_COUNT, World};

/// The longest back-off, and the longest that a message is put aside for.
const LONGEST_HIDE: Duration = Duration::from_mins(10);

/// Adds what does not hold.
pub(crate) async fn hold(world: &World, crowd: &Crowd, broken: &mut Vec<String>) {
    let depth = world.queue.attributes().await.expect("facts").depth;
    if !depth.is_empty() {
        broken.push(format!("left on the queue: {depth:?}"));
    }
    let hidden = world.faults.ledger(|ledger| ledger.longest_hide());
    if hidden > LONGEST_HIDE {
        broken.push(format!("a message was hidden for {hidden:?}"));
    }
    let lettered = letters(world, crowd, broken).await;
    groups(world, crowd, &lettered, broken).await;
    profiles(world, crowd, &lettered, broken).await;
}

/// Each letter tells the truth, and who has to have one does. Returns the bodies
/// that have one.
async fn letters(world: &World, crowd: &Crowd, broken: &mut Vec<String>) -> BTreeSet<String> {
    let members: BTreeMap<&str, &Member> = crowd
        .members
        .iter()
        .map(|member| (member.body.as_str(), member))
        .collect();
    let mut lettered = BTreeSet::new();
    for letter in world.letters().await {
        let body = letter.body;
        let Some(reason) = letter.attributes.get("usher.reason") else {
            // SQS moved it, which it may after so many receives and not before.
            let receives = world.faults.ledger(|ledger| ledger.receives(&body));
            if receives < MAX_RECEIVE_COUNT {
                broken.push(format!("no reason after {receives} receives: {body}"));
            }
            lettered.insert(body);
            continue;
        };
        let true_reasons = if let Some(reason) = crowd.poison.get(&body) {
            BTreeSet::from([*reason])
        } else if let Some(member) = members.get(body.as_str()) {
            world.faults.ledger(|ledger| member.true_reasons(ledger))
        } else {
            BTreeSet::new()
        };
        if !true_reasons.contains(reason.as_str()) {
            broken.push(format!(
                "a letter says {reason}, which is none of {true_reasons:?}: {body}"
            ));
        }
        lettered.insert(body);
    }
    let gone = crowd.members.iter().filter(|m| m.kind == Kind::Gone);
    for body in gone.map(|m| &m.body).chain(crowd.poison.keys()) {
        if !lettered.contains(body) {
            broken.push(format!("vanished without a letter: {body}"));
        }
    }
    lettered
}

async fn groups(
    world: &World,
    crowd: &Crowd,
    lettered: &BTreeSet<String>,
    broken: &mut Vec<String>,
) {
    for (group, belongs) in [
        ("EVERYONE", Member::is_valid as fn(&Member) -> bool),
        ("PRO", |member| member.kind == Kind::Pro),
    ] {
        let members: BTreeSet<String> = world.members(group).await.into_iter().collect();
        let mut strangers = members.clone();
        for member in crowd.members.iter().filter(|member| belongs(member)) {
            strangers.remove(&member.name);
            if !members.contains(&member.name) && !lettered.contains(&member.body) {
                broken.push(format!("{} is not in {group}", member.named()));
            }
        }
        if !strangers.is_empty() {
            broken.push(format!("in {group} without a right to it: {strangers:?}"));
        }
    }
}

async fn profiles(
    world: &World,
    crowd: &Crowd,
    lettered: &BTreeSet<String>,
    broken: &mut Vec<String>,
) {
    let mut records = world.records().await;
    let everyone = world.members("EVERYONE").await;
    let pro = world.members("PRO").await;
    // The record is the receipt: it comes last, also where a letter came in between.
    let in_groups = |member: &Member| {
        everyone.contains(&member.name) && (member.kind != Kind::Pro || pro.contains(&member.name))
    };
    for member in &crowd.members {
        let puts = world.faults.ledger(|ledger| ledger.puts(&member.sub));
        let edited = crowd.edited.get(&member.sub);
        if puts > u32::from(edited.is_none()) {
            broken.push(format!("{puts} profiles written for {}", member.named()));
        }
        let record = records.remove(&member.sub);
        match (&record, edited) {
            (record, Some(edited)) if record.as_ref() != Some(edited) => {
                broken.push(format!("an edited profile is now {record:?}"));
            }
            (Some(record), None) if member.kind == Kind::Gone => {
                broken.push(format!("a profile of nobody: {record:?}"));
            }
            (Some(record), None) => {
                if !in_groups(member) {
                    broken.push(format!("{} has a profile too early", member.named()));
                }
                let owner = format!("{}::{}", member.sub, member.name);
                if record.get("profileOwner") != Some(&owner) {
                    broken.push(format!("not the profile of {}: {record:?}", member.named()));
                }
            }
            (None, None) if member.is_valid() && !lettered.contains(&member.body) => {
                broken.push(format!("{} has no profile", member.named()));
            }
            _ => {}
        }
    }
    if !records.is_empty() {
        broken.push(format!("profiles of nobody: {records:?}"));
    }
}

impl Member {
    fn is_valid(&self) -> bool {
        !matches!(self.kind, Kind::Gone | Kind::Forgot)
    }

    fn named(&self) -> String {
        format!("{} ({:?})", self.name, self.kind)
    }

    /// What really happened to this user's calls.
    fn true_reasons(&self, ledger: &crate::faults::Ledger) -> BTreeSet<&'static str> {
        match self.kind {
            // The read of the record is not disturbed, and nothing else is called.
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
