//! Administrators: who is one, and what they ask for.
//!
//! `token` verifies a bearer token with the keys of the `keyring`, as far as the
//! `refusal_limiter` lets bad ones take time; `gate` says whether its owner is an administrator, `desk` does what they ask for at once or puts it on
//! the queue, `office` looks things up for them.

mod desk;
mod gate;
mod keyring;
mod office;
mod refusal_limiter;
mod token;

pub use desk::{Desk, NotTaken, Taken, queued};
pub use gate::{Denied, Gate};
pub use keyring::Keyring;
pub use office::{Missing, Office, Shown};
pub use token::{Refused, Verifier};
