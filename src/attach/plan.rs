//! What is to be changed in a pool's triggers.

use serde::Serialize;
use serde_json::Value;

use super::trigger_kind::{FunctionArn, TriggerKind};
use crate::aws::JsonObject;

/// What somebody wants.
#[derive(Debug, Clone)]
pub(crate) enum AttachRequest {
    /// The function in these slots.
    Attach {
        /// usher's.
        function: FunctionArn,
        /// Where it is wanted.
        triggers: Vec<TriggerKind>,
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
        before: JsonObject,
        /// Those that it left.
        after: JsonObject,
        /// Changes that somebody made since may get lost.
        replace: bool,
    },
}

/// One trigger's change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct TriggerChange {
    /// As Cognito names it.
    pub trigger: String,
    /// What is in it.
    pub before: Option<String>,
    /// What is to be.
    pub after: Option<String>,
}

/// The triggers as they are to be, and what that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TriggerPlan {
    /// All of the pool's triggers, those of others among them.
    pub triggers: JsonObject,
    /// By slot; empty: nothing is to be done.
    pub changes: Vec<TriggerChange>,
}

/// Why a wish is not granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlanError {
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

impl TriggerPlan {
    /// Whether a function gets to a place where it was not.
    pub(crate) fn has_new_functions(&self) -> bool {
        self.changes.iter().any(|change| change.after.is_some())
    }

    /// What is to be done where the triggers are `now`.
    ///
    /// # Errors
    /// [`PlanError`].
    pub(crate) fn new(wish: &AttachRequest, now: &JsonObject) -> Result<Self, PlanError> {
        let mut triggers = now.clone();
        match wish {
            AttachRequest::Attach {
                function,
                triggers: slots,
                replace,
            } => {
                for slot in slots {
                    match slot.function(now) {
                        Some(other) if other != function.as_str() && !replace => {
                            return Err(PlanError::Taken {
                                trigger: slot.name(),
                                function: other.to_owned(),
                            });
                        }
                        Some(same) if same == function.as_str() => {}
                        _ => slot.set(&mut triggers, function),
                    }
                }
            }
            AttachRequest::Detach { function } => {
                for slot in TriggerKind::ALL {
                    match slot.function(now) {
                        Some(same) if same == function.as_str() => slot.clear(&mut triggers),
                        Some(other) if function.is_another_version_of(other) => {
                            return Err(PlanError::AnotherVersion {
                                trigger: slot.name(),
                                function: other.to_owned(),
                            });
                        }
                        _ => {}
                    }
                }
            }
            AttachRequest::Restore {
                before,
                after,
                replace,
            } => {
                if now != after && now != before && !replace {
                    return Err(PlanError::ChangedSince);
                }
                triggers.clone_from(before);
            }
        }
        let changes = diff_triggers(now, &triggers);
        Ok(Self { triggers, changes })
    }
}

/// Each member of the pool's triggers that differs, whoever's it is.
fn diff_triggers(now: &JsonObject, then: &JsonObject) -> Vec<TriggerChange> {
    let mut names: Vec<&String> = now.keys().chain(then.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .map(|name| TriggerChange {
            trigger: name.clone(),
            before: now.get(name).map(arn_or_json),
            after: then.get(name).map(arn_or_json),
        })
        .filter(|change| change.before != change.after)
        .collect()
}

/// A function's ARN as it is, and anything else as JSON.
fn arn_or_json(value: &Value) -> String {
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

    fn triggers(value: &serde_json::Value) -> JsonObject {
        value.as_object().cloned().expect("an object")
    }

    fn attach(replace: bool) -> AttachRequest {
        AttachRequest::Attach {
            function: function(),
            triggers: vec![TriggerKind::PostConfirmation],
            replace,
        }
    }

    #[test]
    fn another_function_keeps_its_place_unless_told() {
        let now = triggers(&json!({"PostConfirmation": "arn:other", "PreSignUp": "arn:third"}));
        let refusal = PlanError::Taken {
            trigger: "PostConfirmation",
            function: "arn:other".to_owned(),
        };
        assert_eq!(TriggerPlan::new(&attach(false), &now), Err(refusal));
        let plan = TriggerPlan::new(&attach(true), &now).expect("told");
        let wanted = json!({"PostConfirmation": USHER, "PreSignUp": "arn:third"});
        assert_eq!(plan.triggers, triggers(&wanted));
        assert_eq!(plan.changes.len(), 1);
    }

    #[test]
    fn attaching_twice_and_detaching_twice_change_once() {
        let none = JsonObject::new();
        let plan = TriggerPlan::new(&attach(false), &none).expect("free");
        let again = TriggerPlan::new(&attach(false), &plan.triggers).expect("its own");
        assert_eq!(again.changes, []);
        let detach = AttachRequest::Detach {
            function: function(),
        };
        let gone = TriggerPlan::new(&detach, &plan.triggers).expect("may");
        assert_eq!(gone.triggers, none);
        assert_eq!(TriggerPlan::new(&detach, &none).expect("may").changes, []);
        let others = triggers(&json!({"PostConfirmation": "arn:other"}));
        assert_eq!(TriggerPlan::new(&detach, &others).expect("may").changes, []);
        let live = format!("{USHER}:live");
        let live = triggers(&json!({"PostConfirmation": live}));
        let refused = TriggerPlan::new(&detach, &live);
        assert!(
            matches!(refused, Err(PlanError::AnotherVersion { .. })),
            "{refused:?}"
        );
    }

    #[test]
    fn a_record_is_put_back_over_what_it_left_and_over_nothing_else() {
        let before = triggers(&json!({"PostConfirmation": "arn:other"}));
        let after = triggers(&json!({"PostConfirmation": USHER}));
        let restore = |replace| AttachRequest::Restore {
            before: before.clone(),
            after: after.clone(),
            replace,
        };
        let plan = TriggerPlan::new(&restore(false), &after).expect("as it was left");
        assert_eq!(plan.triggers, before);
        let now = triggers(&json!({"PostConfirmation": USHER, "PreSignUp": "arn:new"}));
        assert_eq!(
            TriggerPlan::new(&restore(false), &now),
            Err(PlanError::ChangedSince)
        );
        assert_eq!(
            TriggerPlan::new(&restore(true), &now)
                .expect("told")
                .triggers,
            before
        );
        assert_eq!(
            TriggerPlan::new(&restore(false), &before)
                .expect("done")
                .changes,
            []
        );
    }
}
