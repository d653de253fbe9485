//! The kernel parameters of an installation from a stick: `edgelay.NAME=VALUE`, part of the public contract
//! (initramfs/README.md).

use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::host::block::Selector;

/// What happens when all is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Start again, from the target if the firmware finds it.
    Reboot,
    /// Switch the machine off.
    PowerOff,
    /// A shell on the console.
    Shell,
    /// Nothing: what was said stays on the screen.
    Wait,
    /// The boot goes on; for the hooks of a distribution's initramfs.
    Continue,
}

const AFTER: [(&str, After); 5] = [
    ("reboot", After::Reboot),
    ("poweroff", After::PowerOff),
    ("shell", After::Shell),
    ("wait", After::Wait),
    ("continue", After::Continue),
];

/// When images are unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Images {
    /// Now, on the target.
    Now,
    /// At the target's first boot, from the bundle, which is left there.
    FirstBoot,
}

/// Everything that can be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// Label of the stick's file system.
    pub stick: String,
    /// The target's root; by the board's profile if none.
    pub target: Option<Selector>,
    /// Name of the board's profile; told by the board itself if none.
    pub profile: Option<String>,
    /// When images are unpacked.
    pub images: Images,
    /// What happens after success.
    pub after: After,
    /// What happens after a failure.
    pub on_error: After,
    /// How long stick and target are waited for.
    pub wait: Duration,
}

impl Default for Parameters {
    fn default() -> Self {
        Parameters {
            stick: "EDGELAY".to_owned(),
            target: None,
            profile: None,
            images: Images::Now,
            after: After::Reboot,
            on_error: After::Wait,
            wait: Duration::from_secs(60),
        }
    }
}

const PREFIX: &str = "edgelay.";
/// Longest waiting that can be asked for: a day.
const MAX_WAIT: u64 = 86_400;

impl Parameters {
    /// From the kernel's command line. Every mistake is told; what could be read is used anyway, so that the machine
    /// ends as it was told.
    pub fn parse(line: &str) -> (Self, Result<()>) {
        let (mut parameters, mut mistakes, mut on_error) = (Parameters::default(), Vec::new(), None);
        for word in line.split_ascii_whitespace() {
            let Some((name, value)) = word.strip_prefix(PREFIX).and_then(|rest| rest.split_once('=')) else { continue };
            let known = match name {
                "on_error" => choice(value).map(|after| on_error = Some(after)),
                _ => parameters.set(name, value),
            };
            if let Err(wanted) = known {
                mistakes.push(format!("'{}': {wanted}", word.escape_debug()));
            }
        }
        // A machine that restarts after a failure would do so for ever.
        parameters.on_error = on_error.unwrap_or(match parameters.after {
            After::Reboot => After::Wait,
            other => other,
        });
        let result = match mistakes.as_slice() {
            [] => Ok(()),
            _ => Err(Error::new(Kind::Config, format_args!("kernel parameter {}", mistakes.join("; ")))
                .hint("put the kernel command line right; initramfs/README.md lists the parameters")),
        };
        (parameters, result)
    }

    fn set(&mut self, name: &str, value: &str) -> std::result::Result<(), String> {
        match name {
            "stick" if !value.is_empty() => self.stick = value.to_owned(),
            "stick" => return Err("is empty".into()),
            "target" => self.target = Some(value.parse().map_err(|e| format!("{e}"))?),
            "profile" => self.profile = Some(value.to_owned()).filter(|name| !name.is_empty()),
            "images" => {
                self.images = match value {
                    "now" => Images::Now,
                    "first-boot" => Images::FirstBoot,
                    _ => return Err("is neither now nor first-boot".into()),
                }
            }
            "after" => self.after = choice(value)?,
            "wait" => match value.parse() {
                Ok(seconds) if seconds <= MAX_WAIT => self.wait = Duration::from_secs(seconds),
                _ => return Err(format!("is no number of seconds up to {MAX_WAIT}")),
            },
            // For the hooks, which look for it themselves.
            "run" => {}
            _ => return Err("is no parameter of edgelay".into()),
        }
        Ok(())
    }
}

fn choice(value: &str) -> std::result::Result<After, String> {
    let found = AFTER.iter().find(|(word, _)| *word == value).map(|(_, after)| *after);
    found.ok_or_else(|| "is none of reboot, poweroff, shell, wait, continue".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter() {
        let line = "console=ttyS0 edgelay.stick=STICK edgelay.target=PARTLABEL=root edgelay.profile=rk3588 \
            edgelay.images=first-boot edgelay.after=poweroff edgelay.wait=5 quiet edgelay.run=1\n";
        let (found, result) = Parameters::parse(line);
        result.unwrap();
        let expected = Parameters {
            stick: "STICK".into(),
            target: Some(Selector::PartLabel("root".into())),
            profile: Some("rk3588".into()),
            images: Images::FirstBoot,
            after: After::PowerOff,
            on_error: After::PowerOff,
            wait: Duration::from_secs(5),
        };
        assert_eq!(found, expected);
        assert_eq!(Parameters::parse("root=/dev/sda1 edgelay").0, Parameters::default());
        assert_eq!(Parameters::parse("edgelay.after=reboot").0.on_error, After::Wait);
        assert_eq!(Parameters::parse("edgelay.on_error=reboot").0.on_error, After::Reboot);
    }

    #[test]
    fn every_mistake_is_told_and_the_rest_is_heard() {
        let (found, result) =
            Parameters::parse("edgelay.wait=x edgelay.targt=a edgelay.target=sda1 edgelay.after=shell edgelay.stick=");
        let e = result.unwrap_err();
        assert_eq!(e.kind(), Kind::Config);
        assert_eq!(
            e.to_string(),
            "kernel parameter 'edgelay.wait=x': is no number of seconds up to 86400; \
             'edgelay.targt=a': is no parameter of edgelay; \
             'edgelay.target=sda1': is none of LABEL=, UUID=, PARTUUID=, PARTLABEL= and /dev/NAME; \
             'edgelay.stick=': is empty"
        );
        assert_eq!((found.after, found.on_error), (After::Shell, After::Shell));
    }
}
