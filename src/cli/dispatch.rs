//! Command → the function that does it.

use crate::config::Resolved;
use crate::error::Result;
use crate::ids::Arch;
use crate::json::Text;
use crate::mode;
use crate::report::Report;

use super::command::{BundleCommand, Command, Format};
use super::{complete, help, output};

/// Runs `command`. `resolved` is there for commands that take settings.
pub(super) fn run(command: Command, _resolved: Option<&Resolved>, _report: &Report) -> Result<()> {
    match command {
        Command::Help(topic) => output::write(&help::render(&topic)),
        Command::Version(format) => output::write(&version(format)),
        Command::Completion(shell) => output::write(&complete::render(shell)),
        Command::Bundle(command) => bundle(&command),
    }
}

fn bundle(command: &BundleCommand) -> Result<()> {
    let out = &mut output::Stdout;
    match command {
        BundleCommand::Create { request, to } => mode::bundle::create(request, to, Format::Text, out),
        BundleCommand::Show { file, format } => mode::bundle::show(file, *format, out),
        BundleCommand::Verify { file, arch, format } => mode::bundle::verify(file, *arch, *format, out),
    }
}

fn version(format: Format) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let arch = Arch::of_this_binary().map_or(std::env::consts::ARCH, Arch::as_str);
    match format {
        Format::Text => format!("edgelay {version} linux/{arch}\n"),
        Format::Json => format!(
            "{{\"schema\":1,\"name\":\"edgelay\",\"version\":{},\"os\":\"linux\",\"architecture\":{},\
             \"config_schema\":{},\"bundle_schema\":{}}}\n",
            Text(version),
            Text(arch),
            crate::config::SCHEMA,
            crate::bundle::SCHEMA
        ),
    }
}
