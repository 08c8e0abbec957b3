//! The binary: see [`hn_ingest::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    hn_ingest::cli::main()
}
