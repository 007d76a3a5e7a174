//! `usher`: the service and its tools.

use std::process::ExitCode;

use clap::Parser;
use usher::cli::Cli;

#[tokio::main]
async fn main() -> ExitCode {
    Cli::parse().run().await
}
