//! Finds confirmed users without their groups or their profile, and queues the
//! sign-up that their trigger should have sent.
//!
//! `members` knows who is in the default groups, `run` goes through the pool page
//! by page, `lacking` is a user who lacks something, `checkpoint` keeps how far a
//! run came. Only lists are read: none of these calls makes a user count as active
//! this month.

mod checkpoint;
mod lacking;
mod members;
mod plan;
mod run;

pub use checkpoint::{Checkpoint, Unreadable};
pub use lacking::{Lacking, LackingLine};
pub use plan::{Plan, Services};
pub use run::{Reading, Run, Step};
