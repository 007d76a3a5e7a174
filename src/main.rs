//! `usher`: the service and its tools.

use std::process::ExitCode;

use clap::Parser;
use usher::cli::Cli;

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
