//! `usher`: the service and its tools.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use usher::cli::Cli;

/// The SDK allocates some 900 times for a message. mimalloc saves a sixth of all processor
/// time against the system's allocator (`docs/internals/benchmarks.md`). jemalloc is as fast,
/// but needs `make` and a shell to build; mimalloc needs only `cc`, as aws-lc does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(answer) => return Cli::print_without_command(&answer, std::env::args_os()),
    };
    match cli.runtime() {
        Ok(runtime) => runtime.block_on(cli.run()),
        Err(error) => {
            // Not `eprintln`, which panics if standard error cannot be written.
            let _ = writeln!(std::io::stderr(), "usher: cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}
