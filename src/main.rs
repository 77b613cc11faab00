//! The program: reads the command line, and runs one command.

use std::process::ExitCode;

use anteroom::cli::{self, Cli};
use clap::Parser;
use mimalloc::MiMalloc;

/// Lists of seats come and go in blocks of a hundred kilobytes: with glibc's allocator a fifth of the service's time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match cli::run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("anteroom: {error:#}");
            ExitCode::FAILURE
        }
    }
}
