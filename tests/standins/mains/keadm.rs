//! The program `standin-keadm`.

fn main() -> std::process::ExitCode {
    edgelay_standins::keadm::main()
}
