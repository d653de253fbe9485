//! The program `standin-k3s`.

fn main() -> std::process::ExitCode {
    edgelay_standins::k3s::main()
}
