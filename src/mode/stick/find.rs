//! Finding the stick and the target: exactly one of each, or none is touched.

use crate::board::{Facts, Set};
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Kind, Result};
use crate::host;
use crate::host::block::{self, Device, Selector};
use crate::host::label::Format;
use crate::report::Report;
use crate::root::Root;
use std::time::Duration;

use super::Job;
use super::outcome::Failure;

/// Both, and why the target is the target.
pub(super) struct Found {
    pub(super) stick: Device,
    pub(super) target: Device,
    pub(super) rule: String,
}

/// What names the target.
enum Rule {
    /// A kernel parameter.
    Told(Selector),
    /// A board's profile: its name, and what it allows.
    Profile(String, crate::board::Target),
}

/// A USB stick comes up to some seconds after its driver; devices that are found must not grow in number for so long.
const QUIET: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(100);

/// Waits until there is one stick and one target.
pub(super) fn both(job: &mut Job<'_>) -> std::result::Result<Found, Failure> {
    let rule = rule(job).map_err(|e| Failure::new("no-target", e))?;
    let label = Selector::Label(job.parameters.stick.clone());
    let devices = settled(job.root, &job.clock, job.report, job.parameters.wait, |devices| {
        !label.among(devices).is_empty() && !rule.among(devices, &label).is_empty()
    })
    .map_err(|e| Failure::new("failed", e))?;
    let stick = one_stick(&label, &devices, &rule)?;
    job.told.stick = Some(stick.clone());
    let target = one_target(&rule, &devices, &label)?;
    job.told.target = Some(target.to_string());
    Ok(Found { stick, target, rule: rule.to_string() })
}

/// The devices, once `enough` are there and no more come, or `limit` is over.
fn settled(
    root: &Root,
    clock: &SystemClock,
    report: &Report,
    limit: Duration,
    enough: impl Fn(&[Device]) -> bool,
) -> Result<Vec<Device>> {
    let start = clock.elapsed();
    let (mut devices, mut since, mut told) = (block::devices(root)?, start, false);
    loop {
        let now = clock.elapsed();
        let (spent, quiet) = (now.saturating_sub(start), now.saturating_sub(since));
        if spent >= limit || (quiet >= QUIET && enough(&devices)) {
            return Ok(devices);
        }
        if spent > QUIET * 3 && !told {
            told = true;
            report.info(&format!("waiting up to {} s for the stick and the target", limit.as_secs()));
        }
        clock.sleep(PAUSE);
        let names = |list: &[Device]| list.iter().map(|device| device.name.clone()).collect::<Vec<_>>();
        let fresh = block::devices(root)?;
        if names(&fresh) != names(&devices) {
            since = clock.elapsed();
        }
        devices = fresh;
    }
}

fn rule(job: &Job<'_>) -> Result<Rule> {
    if let Some(selector) = &job.parameters.target {
        return Ok(Rule::Told(selector.clone()));
    }
    let set = Set::load(None)?;
    let facts = Facts::load(job.root, &host::architecture()?);
    let (profile, _) = set.choose(job.parameters.profile.as_deref(), &facts)?;
    Ok(Rule::Profile(profile.id.clone(), profile.target.clone()))
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Rule::Told(selector) => write!(f, "edgelay.target={selector}"),
            Rule::Profile(id, target) => write!(
                f,
                "profile '{id}' ({} labelled {} on {})",
                target.file_systems.join(" or "),
                target.labels.join(" or "),
                target.disks.join(", ")
            ),
        }
    }
}

impl Rule {
    /// The devices that it names; never the disk that the stick is on, whatever else is there.
    fn among<'d>(&self, devices: &'d [Device], stick: &Selector) -> Vec<&'d Device> {
        let sticks: Vec<&str> = stick.among(devices).iter().map(|device| device.disk()).collect();
        let not_stick = |device: &&&Device| !sticks.contains(&device.disk());
        match self {
            Rule::Told(selector) => selector.among(devices).iter().filter(not_stick).copied().collect(),
            Rule::Profile(_, target) => {
                let fits = |device: &&Device| {
                    let kind = device.file_system.as_ref().map_or("", |fs| fs.format.mount_type());
                    target.allows_disk(device.disk()) && target.file_systems.iter().any(|name| name == kind)
                };
                let named = |label: &String| -> Vec<&'d Device> {
                    let is = |device: &&Device| device.label() == label || device.part_label.as_ref() == Some(label);
                    devices.iter().filter(fits).filter(is).filter(|device| not_stick(&device)).collect()
                };
                // The first label that is found wins.
                target.labels.iter().map(named).find(|found| !found.is_empty()).unwrap_or_default()
            }
        }
    }
}

fn list(devices: &[&Device]) -> String {
    match devices {
        [] => "none".to_owned(),
        _ => devices.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

fn one_stick(label: &Selector, devices: &[Device], rule: &Rule) -> std::result::Result<Device, Failure> {
    match label.among(devices).as_slice() {
        [stick] => Ok((*stick).clone()),
        [] => {
            // A stick that bears another name is the commonest mistake: what is no target, and looks like a stick.
            let targets: Vec<&str> = rule.among(devices, label).iter().map(|device| device.disk()).collect();
            let like_one = |device: &&Device| match &device.file_system {
                Some(fs) => device.removable || matches!(fs.format, Format::Vfat | Format::Iso9660),
                None => false,
            };
            let other = |device: &&Device| like_one(device) && !targets.contains(&device.disk());
            let others: Vec<&Device> = devices.iter().filter(other).collect();
            match others.as_slice() {
                [] => Err(Failure::new(
                    "no-stick",
                    Error::new(Kind::Host, format!("no stick with {label} came; nothing else looks like one"))
                        .hint("plug the stick in, or add the module of its controller to the image with --module"),
                )),
                _ => Err(Failure::new(
                    "wrong-label",
                    Error::new(Kind::Host, format!("no file system has {label}; seen: {}", list(&others)))
                        .hint("label the stick's file system so, or give its label with edgelay.stick=LABEL"),
                )),
            }
        }
        several => Err(Failure::new(
            "two-sticks",
            Error::new(Kind::Host, format!("{} file systems have {label}: {}", several.len(), list(several)))
                .hint("leave one stick in and pull the others out"),
        )),
    }
}

fn one_target(rule: &Rule, devices: &[Device], stick: &Selector) -> std::result::Result<Device, Failure> {
    match rule.among(devices, stick).as_slice() {
        [target] => Ok((*target).clone()),
        [] => {
            let seen: Vec<&Device> = devices.iter().filter(|device| !stick.names(device)).collect();
            Err(Failure::new(
                "no-target",
                Error::new(Kind::Host, format!("nothing fits {rule}; seen: {}", list(&seen)))
                    .hint("name the target's root with edgelay.target=, as LABEL=, PARTUUID= or /dev/NAME"),
            ))
        }
        several => Err(Failure::new(
            "two-targets",
            Error::new(Kind::Host, format!("{} devices fit {rule}: {}", several.len(), list(several)))
                .hint("name the one that is meant with edgelay.target=PARTUUID="),
        )),
    }
}
