use std::process::ExitCode;
pub fn demo() -> ExitCode {
    ExitCode::FAILURE
}
