//! `image import` and `image list`: progress on stderr, what was done and what is there on stdout.

use crate::clock::SystemClock;
use crate::containerd::import::{Action, Listed, Outcome, Progress, State};
use crate::error::Result;
use crate::gather::Gather;
use crate::ids::ImageRef;
use crate::json::Text;
use crate::mode::image::{self, Place};
use crate::note;
use crate::report::{self, Report, one_line};

use super::command::{Format, ImageCommand, ImageStore};
use super::output;

/// Version of the JSON forms. Fields are only ever added.
const SCHEMA: u32 = 1;

/// Runs `command`.
pub(super) fn run(command: ImageCommand, report: &Report) -> Result<()> {
    let clock = SystemClock::default();
    let place = |store: ImageStore| Place { socket: store.socket, namespace: store.namespace, clock: &clock };
    match command {
        ImageCommand::Import { files, store, unpack, layers, format } => {
            let _lock = image::lock(&store.socket)?;
            let summary = match files.as_slice() {
                [one] => format!("import images of '{}'", one.display()),
                _ => format!("import images of {} files", files.len()),
            };
            report.run_begins("image import", 1);
            report.step_begins("import", &summary);
            let outcomes = image::import(&files, &place(store), (unpack, layers), &mut Told { report, sent: 0 })?;
            let kept = outcomes.iter().filter(|outcome| outcome.action == Action::Kept).count();
            report.step_ends(match kept == outcomes.len() {
                true => report::Outcome::Skipped,
                false => report::Outcome::Done,
            });
            output::write(&imported(&outcomes, format))?;
            report.run_ends(&format!("{} images imported, {kept} were there already", outcomes.len() - kept));
            Ok(())
        }
        ImageCommand::List { store, format } => output::write(&listed(&image::list(&place(store))?, format)),
    }
}

/// Tells the report.
struct Told<'a> {
    report: &'a Report,
    sent: u64,
}

impl Progress for Told<'_> {
    fn sent(&mut self, _what: &str, bytes: u64) {
        self.sent = self.sent.saturating_add(bytes);
        // How much there will be is known only once all files were looked at.
        self.report.progress(self.sent, 0);
    }

    fn present(&mut self, what: &str, _bytes: u64) {
        note::debug(format_args!("{what} is there"));
    }

    fn doing(&mut self, what: &str) {
        note::debug(format_args!("{what}"));
        self.report.beat();
    }

    fn warn(&mut self, what: &str) {
        self.report.warn(what);
    }
}

fn imported(outcomes: &[Outcome], format: Format) -> String {
    let parts = |action| match action {
        Action::Kept => ("kept", 0),
        Action::Imported { sent } => ("imported", sent),
    };
    let width = outcomes.iter().flat_map(|o| &o.names).map(|name| name.as_str().len()).max().unwrap_or_default();
    let lines = outcomes.iter().map(|Outcome { names, manifest, action }| {
        let (word, sent) = parts(*action);
        match format {
            Format::Text => {
                // What was sent is told at the first name.
                let sizes = std::iter::once(sent).chain(std::iter::repeat(0));
                let line = |(name, sent): (&ImageRef, u64)| {
                    format!("{word:8}  {:width$}  {manifest}  {}\n", name.as_str(), report::bytes(sent))
                };
                names.iter().zip(sizes).map(line).gather()
            }
            Format::Json => {
                let all: Vec<String> = names.iter().map(|name| Text(name.as_str()).to_string()).gather();
                let first = all.first().map_or("null", String::as_str);
                format!(
                    "{{\"name\":{first},\"names\":[{}],\"manifest\":\"{manifest}\",\"action\":\"{word}\",\"sent\":{sent}}}",
                    all.join(",")
                )
            }
        }
    });
    joined(lines.gather(), format)
}

fn listed(images: &[Listed], format: Format) -> String {
    let width = images.iter().map(|image| image.name.len()).max().unwrap_or_default();
    let lines = images.iter().map(|Listed { name, target, size, pinned, state }| {
        let (word, lacking) = match state {
            State::Whole => ("whole", ""),
            State::Unpacked => ("unpacked", ""),
            State::Lacking(what) => ("lacking", what.as_str()),
        };
        match format {
            Format::Text => {
                let pinned = if *pinned { "pinned" } else { "-" };
                let line = format!("{name:width$}  {word:8}  {pinned:6}  {:>10}  {lacking}", report::bytes(*size));
                one_line(line.trim_end()) + "\n"
            }
            Format::Json => format!(
                "{{\"name\":{},\"target\":\"{target}\",\"size\":{size},\"pinned\":{pinned},\"state\":\"{word}\",\"lacking\":{}}}",
                Text(name),
                Text(lacking)
            ),
        }
    });
    joined(lines.gather(), format)
}

fn joined(lines: Vec<String>, format: Format) -> String {
    match format {
        Format::Text => lines.concat(),
        Format::Json => format!("{{\"schema\":{SCHEMA},\"images\":[{}]}}\n", lines.join(",")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn digest() -> Digest {
        format!("sha256:{}", "1".repeat(64)).parse().unwrap()
    }

    #[test]
    fn what_was_imported() {
        let outcome = |names: &[&str], action| {
            let names = names.iter().map(|name| name.parse().unwrap()).collect();
            Outcome { names, manifest: digest(), action }
        };
        let sent = Action::Imported { sent: 2048 };
        let outcomes = [outcome(&["x.y/long:1"], Action::Kept), outcome(&["x.y/b:2", "x.y/b:3"], sent)];
        let d = digest();
        assert_eq!(
            imported(&outcomes, Format::Text),
            format!(
                "kept      x.y/long:1  {d}  0 B\nimported  x.y/b:2     {d}  2.0 KiB\nimported  x.y/b:3     {d}  0 B\n"
            )
        );
        let json: serde_json::Value = serde_json::from_str(&imported(&outcomes, Format::Json)).unwrap();
        assert_eq!((&json["schema"], &json["images"][1]["sent"]), (&1.into(), &2048.into()));
        assert_eq!(
            (&json["images"][1]["name"], &json["images"][1]["names"][1]),
            (&"x.y/b:2".into(), &"x.y/b:3".into())
        );
        assert_eq!(imported(&[], Format::Json), "{\"schema\":1,\"images\":[]}\n");
    }

    #[test]
    fn what_is_there() {
        let image = |name: &str, pinned, state| Listed { name: name.into(), target: digest(), size: 1, pinned, state };
        let images = [image("a", true, State::Whole), image("b", false, State::Lacking("layer \"1\"".into()))];
        assert_eq!(
            listed(&images, Format::Text),
            "a  whole     pinned         1 B\nb  lacking   -              1 B  layer \"1\"\n"
        );
        let json: serde_json::Value = serde_json::from_str(&listed(&images, Format::Json)).unwrap();
        assert_eq!(
            (&json["images"][0]["pinned"], &json["images"][1]["lacking"]),
            (&true.into(), &"layer \"1\"".into())
        );
    }
}
