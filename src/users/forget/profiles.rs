//! The profiles of the person: under the `sub`, and under other ids.

use super::person::Person;
use crate::app::Services;
use crate::aws::{Failure, ProfileTable};
use crate::config::{InvalidConfig, OwnerAttribute};
use crate::retry::retry_inline;
use crate::users::OnProgress;

#[derive(Debug)]
pub(super) struct ProfileSearch {
    table: ProfileTable,
    owner: Option<OwnerAttribute>,
    index: Option<String>,
}

#[derive(Default)]
pub(super) struct FoundProfiles {
    pub(super) theirs: Vec<FoundProfile>,
    /// The number of those whose owner is only a name that a user of another pool may have.
    pub(super) doubtful: u64,
}

/// Cannot be printed: the owner holds the user name.
pub(super) struct FoundProfile {
    id: String,
    /// The value that names the person as the owner; `None` under the `sub`.
    owner: Option<String>,
}

impl ProfileSearch {
    /// `None` if profiles are off.
    pub(super) fn new(services: &Services) -> Result<Option<Self>, InvalidConfig> {
        let settings = services.config.profiles.as_ref();
        let table = services.profiles()?;
        Ok(table.map(|table| Self {
            table,
            owner: settings.and_then(|it| it.owner.clone()),
            index: settings.and_then(|it| it.owner_index.clone()),
        }))
    }

    /// What is not found.
    pub(super) fn gap(search: Option<&Self>) -> Option<&'static str> {
        match search {
            None => Some("profiles were not searched: profiles.enabled = false"),
            Some(it) if it.owner.is_none() => Some(
                "no attribute of profiles.attributes names the owner: a profile under another id \
                 is not found",
            ),
            Some(_) => None,
        }
    }

    pub(super) async fn find(
        &self,
        person: &Person,
        on_progress: OnProgress<'_>,
    ) -> Result<FoundProfiles, Failure> {
        let sub = person.sub.as_str();
        let mut found = FoundProfiles::default();
        if retry_inline(|| self.table.read(sub)).await?.is_some() {
            let id = sub.to_owned();
            found.theirs.push(FoundProfile { id, owner: None });
        }
        let Some(owner) = &self.owner else {
            return Ok(found);
        };
        let others = match &self.index {
            Some(index) if person.user.is_some() => self.query(index, owner, person).await?,
            // Without the user name the values for a query are not known.
            _ => self.scan(owner, person, on_progress).await?,
        };
        for (id, value) in others.into_iter().filter(|(id, _)| id != sub) {
            if person.is_doubtful_owner(&value) {
                found.doubtful += 1;
            } else {
                let owner = Some(value);
                found.theirs.push(FoundProfile { id, owner });
            }
        }
        Ok(found)
    }

    /// Whether it existed, and the person was still its owner.
    pub(super) async fn delete(&self, profile: &FoundProfile) -> Result<bool, Failure> {
        let attribute = self.owner.as_ref().map(OwnerAttribute::name);
        let owner = attribute.zip(profile.owner.as_deref());
        retry_inline(|| self.table.delete_profile(&profile.id, owner)).await
    }

    /// The ids of profiles, each with its owner.
    async fn query(
        &self,
        index: &str,
        owner: &OwnerAttribute,
        person: &Person,
    ) -> Result<Vec<(String, String)>, Failure> {
        let mut found = Vec::new();
        for value in person.owner_values(owner) {
            let query = || self.table.keys_of_owner(index, owner.name(), &value, None);
            let keys = retry_inline(query).await?.into_iter();
            found.extend(keys.map(|key| (key, value.clone())));
        }
        Ok(found)
    }

    async fn scan(
        &self,
        owner: &OwnerAttribute,
        person: &Person,
        on_progress: OnProgress<'_>,
    ) -> Result<Vec<(String, String)>, Failure> {
        let values = person.owner_values(owner);
        // With any name.
        let prefix = format!("{}::", person.sub.as_str());
        let is_theirs = |value: &String| values.contains(value) || value.starts_with(&prefix);
        let (mut found, mut after, mut pages) = (Vec::new(), None::<String>, 0);
        loop {
            let read = || self.table.scan_owners(owner.name(), after.as_deref(), None);
            let page = retry_inline(read).await?;
            found.extend(page.items.into_iter().filter(|(_, it)| is_theirs(it)));
            pages += 1;
            on_progress(pages, "pages of the profile table");
            after = page.next;
            if after.is_none() {
                return Ok(found);
            }
        }
    }
}
