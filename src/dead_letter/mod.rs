//! Dead letters: what a message becomes that could not be provisioned, and the
//! way back.
//!
//! `letter` is written by the worker and `found` by whoever looks; `scan` looks
//! at all of them and changes nothing, `selection` hands out those that are
//! meant; `replay` (by one `way` or the other), `dry_run`, `archive` and `native` are what can be done then.

mod archive;
pub mod attribute;
mod audit;
mod became;
mod census;
mod dry_run;
mod filter;
mod found;
mod history;
mod hold;
mod letter;
mod locate;
mod native;
mod replay;
mod scan;
mod selection;
mod way;

pub use archive::Line;
pub use audit::Audit;
pub use became::Became;
pub use census::{Census, Group};
pub use dry_run::{DryRun, Verdict};
pub use filter::Filter;
pub use found::{About, Found, UNKNOWN, printable};
pub use history::History;
pub use letter::{Letter, send};
pub use locate::{Located, NotLocated, locate};
pub use native::{Move, Moved};
pub use replay::{Progress, Replay, Replayed, Tally};
pub use scan::{LAG, Unseen};
pub use selection::{Ended, Selection};
pub use way::Way;
