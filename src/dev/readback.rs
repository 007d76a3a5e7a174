//! Reads the state of Cognito, `DynamoDB` and the dead-letter queue, for a
//! report.

use std::collections::BTreeMap;
use std::time::Duration;

use super::stack::Stack;
use crate::aws::{Failure, MAX_BATCH_ENTRIES};
use crate::message::attribute;

#[derive(Debug, Default)]
pub(super) struct AccountState {
    /// User name to `sub`.
    pub(super) users: BTreeMap<String, String>,
    /// Group to the names of its members.
    pub(super) groups: BTreeMap<String, Vec<String>>,
    /// Key to profile; the table has one profile for a key.
    pub(super) profiles: BTreeMap<String, BTreeMap<String, String>>,
    /// Reasons of dead letters, by the message id that they had on the source queue.
    pub(super) dead_letters: BTreeMap<String, String>,
}

impl AccountState {
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
        let profiles = match &self.services.config.profiles {
            Some(settings) => {
                self.sandbox
                    .profiles(Stack::PROFILE_TABLE, &settings.key)
                    .await?
            }
            None => BTreeMap::new(),
        };
        Ok(AccountState {
            users: self.sandbox.users(&self.pool.id).await?,
            groups: self.sandbox.groups(&self.pool.id).await?,
            profiles,
            dead_letters: self.read_dead_letters().await?,
        })
    }

    /// Receives every dead letter once, and makes all visible again at the end.
    async fn read_dead_letters(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut dead_letters = BTreeMap::new();
        let mut receipts = Vec::new();
        loop {
            let batch = self.dead_letters.receive(MAX_BATCH_ENTRIES).await?;
            if batch.is_empty() {
                break;
            }
            for dead_letter in batch {
                let value = |name| dead_letter.attributes.get(name).cloned();
                let id =
                    value(attribute::SOURCE_MESSAGE_ID).unwrap_or_else(|| dead_letter.id.clone());
                dead_letters.insert(
                    id,
                    value(attribute::REASON).unwrap_or_else(|| "unknown".to_owned()),
                );
                receipts.push(dead_letter.receipt_handle);
            }
        }
        for batch in receipts.chunks(MAX_BATCH_ENTRIES) {
            let entries: Vec<(&str, Duration)> = batch
                .iter()
                .map(|receipt| (receipt.as_str(), Duration::ZERO))
                .collect();
            self.dead_letters.change_visibility(&entries).await?;
        }
        Ok(dead_letters)
    }
}
