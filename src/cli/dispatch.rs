//! Command → the function that does it.

use crate::error::Result;
use crate::json::Text;

use super::command::{Command, Format};
use super::{complete, help, output};

/// Runs `command`.
pub(super) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Help(topic) => output::write(&help::render(topic)),
        Command::Version(format) => output::write(&version(*format)),
        Command::Completion(shell) => output::write(&complete::render(*shell)),
    }
}

/// Go's name of the processor this binary is for, as Kubernetes and image indexes write it.
const ARCH: &str = if cfg!(target_arch = "x86_64") {
    "amd64"
} else if cfg!(target_arch = "aarch64") {
    "arm64"
} else {
    std::env::consts::ARCH
};

fn version(format: Format) -> String {
    let version = env!("CARGO_PKG_VERSION");
    match format {
        Format::Text => format!("edgelay {version} linux/{ARCH}\n"),
        Format::Json => format!(
            "{{\"schema\":1,\"name\":\"edgelay\",\"version\":{},\"os\":\"linux\",\"architecture\":{},\
             \"config_schema\":{}}}\n",
            Text(version),
            Text(ARCH),
            crate::config::SCHEMA
        ),
    }
}
