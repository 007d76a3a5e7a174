//! What is to be changed in a pool's triggers.

use serde::Serialize;

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
    pub trigger: &'static str,
    /// The function that is in it.
    pub before: Option<String>,
    /// The function that is to be.
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
    /// The record is not about what is there.
    #[error(
        "the triggers are not as the change of the record left them: somebody has changed them since. \
         Look at --dry-run with --replace, which puts back those of the record"
    )]
    ChangedSince,
}

impl Plan {
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
                    if slot.function(now) == Some(function.as_str()) {
                        slot.empty(&mut triggers);
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

/// By slot; where none of usher's own differs and another trigger does, by its name.
fn changes(now: &Members, then: &Members) -> Vec<Change> {
    let mut changes: Vec<Change> = Slot::ALL
        .into_iter()
        .map(|slot| Change {
            trigger: slot.name(),
            before: slot.function(now).map(str::to_owned),
            after: slot.function(then).map(str::to_owned),
        })
        .filter(|change| change.before != change.after)
        .collect();
    if changes.is_empty() && now != then {
        changes.push(Change {
            trigger: "LambdaConfig",
            before: Some(text(now)),
            after: Some(text(then)),
        });
    }
    changes
}

fn text(triggers: &Members) -> String {
    serde_json::Value::Object(triggers.clone()).to_string()
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
