//! What Cognito, `DynamoDB` and the dead-letter queue hold: the facts that a
//! report is made of.

use std::collections::BTreeMap;
use std::time::Duration;

use super::stack::Stack;
use crate::aws::{Failure, MAX_BATCH_ENTRIES};
use crate::dead_letter::attribute;

/// The state of the embedded account.
#[derive(Debug, Default)]
pub(super) struct AccountState {
    /// User name to `sub`.
    pub(super) users: BTreeMap<String, String>,
    /// Group to the names of its members.
    pub(super) groups: BTreeMap<String, Vec<String>>,
    /// Key to record; the table has one record for a key.
    pub(super) profiles: BTreeMap<String, BTreeMap<String, String>>,
    /// The reasons of dead letters by the message id they had on the queue.
    pub(super) dead_letters: BTreeMap<String, String>,
}

impl AccountState {
    /// The groups that a user is in.
    pub(super) fn groups_of(&self, username: &str) -> Vec<&str> {
        self.groups
            .iter()
            .filter(|(_, members)| members.iter().any(|member| member == username))
            .map(|(group, _)| group.as_str())
            .collect()
    }
}

impl Stack {
    pub(super) async fn read_back(&self) -> Result<AccountState, Failure> {
        let records = match &self.config.profiles {
            Some(profiles) => {
                self.sandbox
                    .profiles(&profiles.table, &profiles.key)
                    .await?
            }
            None => BTreeMap::new(),
        };
        Ok(AccountState {
            users: self.sandbox.users(&self.pool.id).await?,
            groups: self.sandbox.groups(&self.pool.id).await?,
            profiles: records,
            dead_letters: self.read_dead_letters().await?,
        })
    }

    /// Receives every letter once, and shows them all again at the end.
    async fn read_dead_letters(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut letters = BTreeMap::new();
        let mut receipts = Vec::new();
        loop {
            let batch = self.dead_letters.receive(MAX_BATCH_ENTRIES).await?;
            if batch.is_empty() {
                break;
            }
            for letter in batch {
                let value = |name| letter.attributes.get(name).cloned();
                let id = value(attribute::SOURCE_MESSAGE_ID).unwrap_or_else(|| letter.id.clone());
                letters.insert(
                    id,
                    value(attribute::REASON).unwrap_or_else(|| "unknown".to_owned()),
                );
                receipts.push(letter.receipt_handle);
            }
        }
        for batch in receipts.chunks(MAX_BATCH_ENTRIES) {
            let shown: Vec<(&str, Duration)> = batch
                .iter()
                .map(|receipt| (receipt.as_str(), Duration::ZERO))
                .collect();
            self.dead_letters.change_visibility(&shown).await?;
        }
        Ok(letters)
    }
}
