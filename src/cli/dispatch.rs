//! Command → the function that does it.

use crate::config::{CloudConfig, EdgeConfig, Of};
use crate::error::Result;
use crate::host::preflight;
use crate::ids::Arch;
use crate::json::Text;
use crate::mode::{self, edge::Scope};
use crate::report::Report;

use super::command::{
    BoardCommand, BoardWork, BundleCommand, CloudCommand, Command, EdgeCommand, Format, InitramfsCommand, Target,
};
use super::settings::Settled;
use super::{complete, findings, help, images, output};

/// Runs `command`. `resolved` is there for commands that take settings.
pub(super) fn run(command: Command, resolved: Option<Settled>, report: &Report) -> Result<()> {
    match command {
        Command::Help(topic) => output::write(&help::render(&topic)),
        Command::Version(format) => output::write(&version(format)),
        Command::Completion(shell) => output::write(&complete::render(shell)),
        Command::Bundle(command) => bundle(&command),
        Command::Board(command) => say(report, &board(&command)?),
        Command::Image(command) => images::run(command, report),
        Command::Supervise => mode::supervise::run(report),
        Command::Edge(command) => match resolved {
            Some(Of::Edge(resolved)) => edge(command, resolved.config, report),
            _ => edge(command, Box::default(), report),
        },
        Command::Cloud(command) => match resolved {
            Some(Of::Cloud(resolved)) => cloud(command, resolved.config, report),
            _ => cloud(command, Box::default(), report),
        },
        Command::Seal { request, format } => seal(&request, format, report),
        Command::FirstBoot(request) => mode::firstboot::run(&request, report),
        Command::Initramfs(InitramfsCommand::Create(request)) => mode::initramfs::create(&request, &mut output::Stdout),
        Command::Initramfs(InitramfsCommand::Run) => mode::stick::run(),
    }
}

fn edge(command: EdgeCommand, config: Box<EdgeConfig>, report: &Report) -> Result<()> {
    match command {
        EdgeCommand::Install { target, scope } => mode::edge::install(request(*target, scope, config), report),
        EdgeCommand::Plan { target, scope, format } => {
            let findings = mode::edge::plan(request(*target, scope, config), report)?;
            say(report, &findings::render(&findings, findings::PLAN, format))
        }
        EdgeCommand::Preflight { target, format } => {
            let findings = mode::edge::preflight(request(*target, Scope::Install, config), report)?;
            let text = match format {
                Format::Text => preflight::text(&findings),
                Format::Json => preflight::json(&findings)?,
            };
            say(report, &text)?;
            preflight::failure(&findings).map_or(Ok(()), Err)
        }
        EdgeCommand::Status { root, format } => {
            let findings = mode::edge::status(&root, report)?;
            say(report, &findings::render(&findings, findings::STATUS, format))?;
            mode::edge::drift(&findings).map_or(Ok(()), Err)
        }
        EdgeCommand::Uninstall { root } => mode::edge::uninstall(&root, report),
    }
}

fn seal(request: &mode::factory::Request, format: Format, report: &Report) -> Result<()> {
    let findings = match mode::factory::seal(request, report)? {
        mode::factory::Outcome::Sealed(record) => {
            return say(
                report,
                &match format {
                    Format::Text => record.text(),
                    Format::Json => record.json()?,
                },
            );
        }
        mode::factory::Outcome::Refused(findings) => findings,
    };
    let text = match format {
        Format::Text => mode::factory::text(&findings),
        Format::Json => mode::factory::json(&findings)?,
    };
    say(report, &text)?;
    mode::factory::failure(&findings).map_or(Ok(()), Err)
}

fn request(target: Target, scope: Scope, config: Box<EdgeConfig>) -> mode::edge::Request {
    let Target { root, bundle, ignored, factory } = target;
    mode::edge::Request { root, config, bundle, scope, ignored, factory }
}

fn cloud(command: CloudCommand, config: Box<CloudConfig>, report: &Report) -> Result<()> {
    let request = |target: Target, scope| {
        let Target { root, bundle, ignored, .. } = target;
        mode::cloud::Request { root, config, bundle, scope, ignored }
    };
    match command {
        CloudCommand::Install { target, scope } => mode::cloud::install(request(*target, scope), report),
        CloudCommand::Plan { target, scope, format } => {
            let findings = mode::cloud::plan(request(*target, scope), report)?;
            say(report, &findings::render(&findings, findings::PLAN, format))
        }
        CloudCommand::Token { root, to } => mode::cloud::token(&root, to.as_deref(), report),
        CloudCommand::Status { root, format } => {
            let findings = mode::cloud::status(&root, report)?;
            say(report, &findings::render(&findings, findings::STATUS, format))?;
            mode::edge::drift(&findings).map_or(Ok(()), Err)
        }
        CloudCommand::Uninstall { root, data } => mode::cloud::uninstall(&root, data, report),
    }
}

/// Data that came from files and programs: nothing in it should be secret, and nothing secret gets out.
fn say(report: &Report, text: &str) -> Result<()> {
    output::write(&report.mask(text))
}

fn board(command: &BoardCommand) -> Result<String> {
    let (profiles, format) = (command.profiles.as_deref(), command.format);
    match &command.what {
        BoardWork::Detect(root) => mode::board::detect(root, profiles, format),
        BoardWork::List => mode::board::list(profiles, format),
        BoardWork::Show(id) => mode::board::show(id, profiles, format),
        BoardWork::Check(file) => mode::board::check(file, profiles, format),
    }
}

fn bundle(command: &BundleCommand) -> Result<()> {
    let out = &mut output::Stdout;
    match command {
        BundleCommand::Create { request, to } => mode::bundle::create(request, to, Format::Text, out),
        BundleCommand::Split { file, to, size } => mode::bundle::split(file, to, *size, out),
        BundleCommand::Show { file, format } => mode::bundle::show(file, *format, out),
        BundleCommand::Statement { file } => mode::bundle::statement(file, out),
        BundleCommand::Verify { request, format } => mode::bundle::verify(request, *format, out),
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
