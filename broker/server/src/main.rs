//! The `warder` program.

fn main() -> std::process::ExitCode {
    warder::cli::main()
}
