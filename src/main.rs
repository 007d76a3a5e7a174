//! `usher`: the service and its tools.

use std::process::ExitCode;

use clap::Parser;
use usher::cli::Cli;

/// The SDK allocates some nine hundred times for a message. Another allocator than the
/// system's saves a sixth of all processor time (`docs/internals/benchmarks.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.runtime() {
        Ok(runtime) => runtime.block_on(cli.run()),
        Err(error) => {
            eprintln!("usher: cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}
