//! Dead letters: what a message becomes that could not be provisioned.

mod letter;

pub use letter::{Letter, attribute};
