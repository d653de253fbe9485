//! Finding the stick and the target: exactly one of each, or none is touched.

use std::time::Duration;

use super::Job;
use super::outcome::Failure;
use crate::board::{Facts, Set};
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Kind, Result};
use crate::gather::Gather;
use crate::host;
use crate::host::block::{self, Device, Selector};
use crate::host::label::Format;
use crate::report::Report;
use crate::root::Root;

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
    })?;
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
        let names = |list: &[Device]| list.iter().map(|device| device.name.clone()).gather::<Vec<_>>();
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
    Ok(Rule::Profile(profile.id, profile.target))
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
        let sticks: Vec<&str> = stick.among(devices).iter().map(|device| device.disk()).gather();
        let not_stick = |device: &&&Device| !sticks.contains(&device.disk());
        match self {
            Rule::Told(selector) => selector.among(devices).iter().filter(not_stick).copied().gather(),
            Rule::Profile(_, target) => {
                let fits = |device: &&Device| {
                    let kind = device.file_system.as_ref().map_or("", |fs| fs.format.mount_type());
                    target.allows_disk(device.disk()) && target.file_systems.iter().any(|name| name == kind)
                };
                let named = |label: &String| -> Vec<&'d Device> {
                    let is = |device: &&Device| device.label() == label || device.part_label.as_ref() == Some(label);
                    devices.iter().filter(fits).filter(is).filter(|device| not_stick(&device)).gather()
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
        _ => devices.iter().map(ToString::to_string).gather::<Vec<_>>().join(", "),
    }
}

fn one_stick(label: &Selector, devices: &[Device], rule: &Rule) -> std::result::Result<Device, Failure> {
    match label.among(devices).as_slice() {
        [stick] => Ok((*stick).clone()),
        [] => {
            // A stick that bears another name is the commonest mistake: what is no target, and looks like a stick.
            let targets: Vec<&str> = rule.among(devices, label).iter().map(|device| device.disk()).gather();
            let like_one = |device: &&Device| match &device.file_system {
                Some(fs) => device.removable || matches!(fs.format, Format::Vfat | Format::Iso9660),
                None => false,
            };
            let other = |device: &&Device| like_one(device) && !targets.contains(&device.disk());
            let others: Vec<&Device> = devices.iter().filter(other).gather();
            match others.as_slice() {
                [] => Err(no_stick(label, devices)),
                _ => Err(Failure::new(
                    "wrong-label",
                    Error::new(Kind::Host, format_args!("no file system has {label}; seen: {}", list(&others)))
                        .hint("label the stick's file system so, or give its label with edgelay.stick=LABEL"),
                )),
            }
        }
        several => Err(Failure::new(
            "two-sticks",
            Error::new(Kind::Host, format_args!("{} file systems have {label}: {}", several.len(), list(several)))
                .hint("leave one stick in and pull the others out"),
        )),
    }
}

/// A new stick often has a file system that is not read here; one that came, but so, is told.
fn no_stick(label: &Selector, devices: &[Device]) -> Failure {
    let is_blank = |disk: &str| devices.iter().all(|device| device.disk() != disk || device.file_system.is_none());
    let (seen, hint) = match devices.iter().rfind(|device| device.removable && is_blank(device.disk())) {
        Some(device) => {
            (format!("{device} can be pulled out"), "format the stick with FAT32 or ext4: exFAT and NTFS are not read")
        }
        None => (
            "nothing else looks like one".to_owned(),
            "plug the stick in, or add the module of its controller to the image with --module",
        ),
    };
    Failure::new("no-stick", Error::new(Kind::Host, format_args!("no stick with {label} came; {seen}")).hint(hint))
}

fn one_target(rule: &Rule, devices: &[Device], stick: &Selector) -> std::result::Result<Device, Failure> {
    match rule.among(devices, stick).as_slice() {
        [target] => Ok((*target).clone()),
        [] => {
            let seen: Vec<&Device> = devices.iter().filter(|device| !stick.names(device)).gather();
            Err(Failure::new(
                "no-target",
                Error::new(Kind::Host, format_args!("nothing fits {rule}; seen: {}", list(&seen)))
                    .hint("name the target's root with edgelay.target=, as LABEL=, PARTUUID= or /dev/NAME"),
            ))
        }
        several => Err(Failure::new(
            "two-targets",
            Error::new(Kind::Host, format_args!("{} devices fit {rule}: {}", several.len(), list(several)))
                .hint("name the one that is meant with edgelay.target=PARTUUID="),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::label::FileSystem;

    /// `sda1 vfat EDGELAY`; a name with `!` is of a disk that can be pulled out, and `-` is no file system.
    fn devices(all: &[&str]) -> Vec<Device> {
        let one = |text: &&str| {
            let mut words = text.split(' ');
            let name = words.next().unwrap();
            let (removable, name) = (name.ends_with('!'), name.trim_end_matches('!'));
            let format = match words.next().unwrap() {
                "vfat" => Some(Format::Vfat),
                "ext4" => Some(Format::Ext),
                "iso9660" => Some(Format::Iso9660),
                _ => None,
            };
            let label = words.next().unwrap_or_default().to_owned();
            let part_label = words.next().map(str::to_owned);
            let disk = name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('p');
            Device {
                name: name.to_owned(),
                part_of: (disk != name).then(|| (disk.to_owned(), 1)),
                size: 1 << 30,
                removable,
                file_system: format.map(|format| FileSystem { format, label, uuid: None }),
                part_uuid: None,
                part_label,
            }
        };
        all.iter().map(one).collect()
    }

    fn profile(id: &str) -> Rule {
        Rule::Profile(id.to_owned(), Set::load(None).unwrap().get(id).unwrap().target.clone())
    }

    fn found(rule: &Rule, all: &[&str]) -> (String, String) {
        let (label, devices) = (Selector::Label("EDGELAY".into()), devices(all));
        let told = |found: std::result::Result<Device, Failure>| match found {
            Ok(device) => device.name,
            Err(failure) => format!("{}: {}", failure.word, failure.error),
        };
        (told(one_stick(&label, &devices, rule)), told(one_target(rule, &devices, &label)))
    }

    #[test]
    fn one_stick_or_why_not() {
        let rule = Rule::Told(Selector::PartLabel("root".into()));
        let stick = |all: &[&str]| found(&rule, all).0;
        assert_eq!(stick(&["sda -", "sda1 ext4 x root", "sdb! -", "sdb1! vfat edgelay"]), "sdb1");
        let two = "two-sticks: 2 file systems have LABEL=EDGELAY: /dev/sda1 (vfat, label 'EDGELAY'), \
                   /dev/sdb1 (ext4, label 'EDGELAY')";
        assert_eq!(stick(&["sda1 vfat EDGELAY", "sdb1 ext4 EDGELAY"]), two);
        // ext4 knows small letters from great ones.
        let wrong = "wrong-label: no file system has LABEL=EDGELAY; seen: /dev/sdb1 (ext4, label 'edgelay')";
        assert_eq!(stick(&["sda1 ext4 x root", "sdb1! ext4 edgelay"]), wrong);
        let none = "no-stick: no stick with LABEL=EDGELAY came; nothing else looks like one";
        // The board's own card can be pulled out, too.
        assert_eq!(stick(&["sda! -", "sda1! ext4 x root", "sdb ext4 data"]), none);
        let blank = "no-stick: no stick with LABEL=EDGELAY came; /dev/sdb1 (no file system that is known here) can be \
                     pulled out";
        assert_eq!(stick(&["sda1 ext4 x root", "sdb! -", "sdb1! -"]), blank);
    }

    #[test]
    fn one_target_or_why_not() {
        let rule = profile("jetson-orin");
        let target = |all: &[&str]| found(&rule, all).1;
        assert_eq!(target(&["mmcblk0p1 ext4 APP", "sda1 vfat EDGELAY"]), "mmcblk0p1");
        // The first label that is there wins, also as the partition's name.
        assert_eq!(target(&["mmcblk0p1 ext4 APP", "nvme0n1p1 ext4 x EDGELAY-ROOT"]), "nvme0n1p1");
        // Neither another disk, nor another file system, nor the disk of the stick itself.
        let none = target(&["sda1 ext4 APP", "mmcblk1p1 ext4 APP", "mmcblk0p1 vfat APP"]);
        assert!(
            none.starts_with("no-target: nothing fits profile 'jetson-orin' (ext4 labelled EDGELAY-ROOT or APP on ")
        );
        let none = target(&["mmcblk0p1 vfat EDGELAY", "mmcblk0p2 ext4 APP"]);
        assert!(none.starts_with("no-target: "), "{none}");
        let two = target(&["mmcblk0p1 ext4 APP", "nvme0n1p1 ext4 APP"]);
        assert!(two.starts_with("two-targets: 2 devices fit profile 'jetson-orin' ("), "{two}");
        let told = Rule::Told(Selector::Name("sdc".into()));
        assert_eq!(found(&told, &["sdc ext4 any", "sda1 vfat EDGELAY"]).1, "sdc");
    }
}
