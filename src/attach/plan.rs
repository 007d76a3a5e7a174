//! What is to be changed in a pool's triggers.

use serde::Serialize;
use serde_json::Value;

use super::slot::{FunctionArn, Slot};
use crate::aws::Members;

/// What somebody wants.
#[derive(Debug, Clone)]
pub enum Wish {
    /// The function in these slots.
    Attach {
        /// usher's.
        function: FunctionArn,
        /// Where it is wanted.
        slots: Vec<Slot>,
        /// Another function may be put out of its place.
        replace: bool,
    },
    /// The function in none.
    Detach {
        /// usher's.
        function: FunctionArn,
    },
    /// What an earlier change found.
    Restore {
        /// The triggers of before it.
        before: Members,
        /// Those that it left.
        after: Members,
        /// Changes that somebody made since may get lost.
        replace: bool,
    },
}

/// One trigger's change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// As Cognito names it.
    pub trigger: String,
    /// What is in it.
    pub before: Option<String>,
    /// What is to be.
    pub after: Option<String>,
}

/// The triggers as they are to be, and what that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// All of the pool's triggers, those of others among them.
    pub triggers: Members,
    /// By slot; empty: nothing is to be done.
    pub changes: Vec<Change>,
}

/// Why a wish is not granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A function that is at work would be put out of its place.
    #[error(
        "{trigger} is taken by {function}: a trigger calls one function alone. Let that one call usher's, \
         or put usher's in its place with --replace"
    )]
    Taken {
        /// As Cognito names it.
        trigger: &'static str,
        /// Whose it is.
        function: String,
    },
    /// The same function under another name.
    #[error(
        "{trigger} calls {function}, which is the same function by another version or alias: give that ARN"
    )]
    AnotherVersion {
        /// As Cognito names it.
        trigger: &'static str,
        /// The ARN that is there.
        function: String,
    },
    /// The record is not about what is there.
    #[error(
        "the triggers are not as the change of the record left them: somebody has changed them since. \
         Look at --dry-run with --replace, which puts back those of the record"
    )]
    ChangedSince,
}

impl Plan {
    /// Whether a function gets to a place where it was not.
    pub fn attaches(&self) -> bool {
        self.changes.iter().any(|change| change.after.is_some())
    }

    /// What is to be done where the triggers are `now`.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn make(wish: &Wish, now: &Members) -> Result<Self, Refusal> {
        let mut triggers = now.clone();
        match wish {
            Wish::Attach {
                function,
                slots,
                replace,
            } => {
                for slot in slots {
                    match slot.function(now) {
                        Some(other) if other != function.as_str() && !replace => {
                            return Err(Refusal::Taken {
                                trigger: slot.name(),
                                function: other.to_owned(),
                            });
                        }
                        Some(same) if same == function.as_str() => {}
                        _ => slot.fill(&mut triggers, function),
                    }
                }
            }
            Wish::Detach { function } => {
                for slot in Slot::ALL {
                    match slot.function(now) {
                        Some(same) if same == function.as_str() => slot.empty(&mut triggers),
                        Some(other) if function.is_another_version_of(other) => {
                            return Err(Refusal::AnotherVersion {
                                trigger: slot.name(),
                                function: other.to_owned(),
                            });
                        }
                        _ => {}
                    }
                }
            }
            Wish::Restore {
                before,
                after,
                replace,
            } => {
                if now != after && now != before && !replace {
                    return Err(Refusal::ChangedSince);
                }
                triggers.clone_from(before);
            }
        }
        let changes = changes(now, &triggers);
        Ok(Self { triggers, changes })
    }
}

/// Each member of the pool's triggers that differs, whoever's it is.
fn changes(now: &Members, then: &Members) -> Vec<Change> {
    let mut names: Vec<&String> = now.keys().chain(then.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .map(|name| Change {
            trigger: name.clone(),
            before: now.get(name).map(text),
            after: then.get(name).map(text),
        })
        .filter(|change| change.before != change.after)
        .collect()
}

/// A function's ARN as it is, and anything else as JSON.
fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const USHER: &str = "arn:aws:lambda:eu-west-1:123456789012:function:usher-trigger";

    fn function() -> FunctionArn {
        USHER.parse().expect("an ARN")
    }

    fn triggers(value: &serde_json::Value) -> Members {
        value.as_object().cloned().expect("an object")
    }

    fn attach(replace: bool) -> Wish {
        Wish::Attach {
            function: function(),
            slots: vec![Slot::PostConfirmation],
            replace,
        }
    }

    #[test]
    fn another_function_keeps_its_place_unless_told() {
        let now = triggers(&json!({"PostConfirmation": "arn:other", "PreSignUp": "arn:third"}));
        let refusal = Refusal::Taken {
            trigger: "PostConfirmation",
            function: "arn:other".to_owned(),
        };
        assert_eq!(Plan::make(&attach(false), &now), Err(refusal));
        let plan = Plan::make(&attach(true), &now).expect("told");
        let wanted = json!({"PostConfirmation": USHER, "PreSignUp": "arn:third"});
        assert_eq!(plan.triggers, triggers(&wanted));
        assert_eq!(plan.changes.len(), 1);
    }

    #[test]
    fn attaching_twice_and_detaching_twice_change_once() {
        let none = Members::new();
        let plan = Plan::make(&attach(false), &none).expect("free");
        let again = Plan::make(&attach(false), &plan.triggers).expect("its own");
        assert_eq!(again.changes, []);
        let detach = Wish::Detach {
            function: function(),
        };
        let gone = Plan::make(&detach, &plan.triggers).expect("may");
        assert_eq!(gone.triggers, none);
        assert_eq!(Plan::make(&detach, &none).expect("may").changes, []);
        let others = triggers(&json!({"PostConfirmation": "arn:other"}));
        assert_eq!(Plan::make(&detach, &others).expect("may").changes, []);
        let live = format!("{USHER}:live");
        let live = triggers(&json!({"PostConfirmation": live}));
        let refused = Plan::make(&detach, &live);
        assert!(
            matches!(refused, Err(Refusal::AnotherVersion { .. })),
            "{refused:?}"
        );
    }

    #[test]
    fn a_record_is_put_back_over_what_it_left_and_over_nothing_else() {
        let before = triggers(&json!({"PostConfirmation": "arn:other"}));
        let after = triggers(&json!({"PostConfirmation": USHER}));
        let restore = |replace| Wish::Restore {
            before: before.clone(),
            after: after.clone(),
            replace,
        };
        let plan = Plan::make(&restore(false), &after).expect("as it was left");
        assert_eq!(plan.triggers, before);
        let now = triggers(&json!({"PostConfirmation": USHER, "PreSignUp": "arn:new"}));
        assert_eq!(
            Plan::make(&restore(false), &now),
            Err(Refusal::ChangedSince)
        );
        assert_eq!(
            Plan::make(&restore(true), &now).expect("told").triggers,
            before
        );
        assert_eq!(
            Plan::make(&restore(false), &before).expect("done").changes,
            []
        );
    }
}
