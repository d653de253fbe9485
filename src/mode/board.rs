//! `board ...`: what this machine is, which profiles there are, whether a file is one.

use std::path::Path;

use crate::board::{Class, Facts, Profile, Set, identity};
use crate::error::{Error, Kind, Lift, Result};
use crate::feed;
use crate::gather::{Gather, Grow};
use crate::host;
use crate::json::{Data, Text, Value};
use crate::report::one_line;
use crate::root::Root;

use super::bundle::Format;

/// Version of the JSON forms. Fields are only ever added.
const SCHEMA: u32 = 1;

/// What the machine whose `/proc` and `/sys` are below `machine` is.
pub fn detect(machine: &Path, profiles: Option<&Path>, format: Format) -> Result<String> {
    let set = Set::load(profiles)?;
    let machine = Root::open(machine)?;
    let facts = Facts::load(&machine, &host::architecture()?);
    let (profile, reason) = set.detect(&facts)?;
    let identity = identity::find(&machine, profile);
    let class = profile.class(facts.memory);
    let found = identity.found.as_ref();
    let problem = found.is_none().then(|| identity.problem());
    Ok(match format {
        Format::Text => {
            let mut out =
                format!("board     {}  {}\nbecause   {}\n", profile.id, profile.name, one_line(&reason.to_string()));
            if let Some(model) = &facts.model {
                out.grow(format_args!("model     {}\n", one_line(model)));
            }
            out.grow(format_args!("memory    {}class {class}\n", mib(facts.memory)));
            out.push_str(&match (found, problem) {
                (Some(found), _) => format!("identity  {} (from {})\n", found.value, found.source),
                (None, problem) => format!("identity  none: {}\n", one_line(&problem.unwrap_or_default())),
            });
            let refused = identity.refused.iter().filter(|_| found.is_some());
            out.add_all(refused.map(|(source, why)| format!("refused   {source} {}\n", one_line(why))));
            out.add_all(profile.quirks.iter().map(|quirk| format!("quirk     {} ({})\n", quirk.what, quirk.see)));
            out
        }
        Format::Json => {
            let refused: Vec<String> = identity
                .refused
                .iter()
                .map(|(source, why)| format!("{{\"source\":{},\"why\":{}}}", Text(&source.to_string()), Text(why)))
                .gather();
            let text = |text: Option<String>| text.map_or("null".to_owned(), |text| Text(&text).to_string());
            format!(
                "{{\"schema\":{SCHEMA},\"id\":{},\"name\":{},\"because\":{},\"model\":{},\"memory_class\":\"{class}\",\
                 \"identity\":{},\"source\":{},\"refused\":[{}]}}\n",
                Text(&profile.id),
                Text(&profile.name),
                Text(&reason.to_string()),
                text(facts.model.clone()),
                text(found.map(|found| found.value.clone())),
                text(found.map(|found| found.source.to_string())),
                refused.join(",")
            )
        }
    })
}

fn mib(bytes: u64) -> String {
    if bytes == u64::MAX { String::new() } else { format!("{} MiB, ", bytes >> 20) }
}

/// All profiles.
pub fn list(profiles: Option<&Path>, format: Format) -> Result<String> {
    let set = Set::load(profiles)?;
    let width = set.iter().map(|profile| profile.id.len()).max().unwrap_or(0);
    let lines = set.iter().map(|profile| match format {
        Format::Text => {
            let kind = if profile.rules.is_none() { "  [base]" } else { "" };
            format!("{:width$}  {}  {}{kind}\n", profile.id, profile.architecture, one_line(&profile.name))
        }
        Format::Json => format!(
            "{{\"id\":{},\"name\":{},\"architecture\":\"{}\",\"base\":{},\"detectable\":{}}}",
            Text(&profile.id),
            Text(&profile.name),
            profile.architecture,
            profile.base.as_deref().map_or("null".to_owned(), |base| Text(base).to_string()),
            profile.rules.is_some()
        ),
    });
    let lines: Vec<String> = lines.gather();
    Ok(match format {
        Format::Text => lines.concat(),
        Format::Json => format!("{{\"schema\":{SCHEMA},\"profiles\":[{}]}}\n", lines.join(",")),
    })
}

/// One profile, with its base in it.
pub fn show(id: &str, profiles: Option<&Path>, format: Format) -> Result<String> {
    let set = Set::load(profiles)?;
    Ok(shown(set.get(id)?, format))
}

fn shown(profile: &Profile, format: Format) -> String {
    match format {
        Format::Json => format!("{}\n", profile.value),
        Format::Text => {
            let mut out = String::new();
            flat(&profile.value, "", &mut out);
            out
        }
    }
}

/// One line per value: `kernel.memory_cgroup = cgroup_enable=memory cgroup_memory=1`.
fn flat(value: &Value, path: &str, out: &mut String) {
    match &value.data {
        Data::Object(members) if !members.is_empty() => {
            for member in members {
                let inner = if path.is_empty() { member.key.clone() } else { format!("{path}.{}", member.key) };
                flat(&member.value, &inner, out);
            }
        }
        Data::List(items) if items.iter().any(|item| matches!(item.data, Data::Object(_))) => {
            for (i, item) in items.iter().enumerate() {
                flat(item, &format!("{path}[{i}]"), out);
            }
        }
        Data::List(items) => {
            let words: Vec<String> = items.iter().map(plain).gather();
            out.grow(format_args!("{path} = {}\n", words.join(" ")));
        }
        _ => out.grow(format_args!("{path} = {}\n", plain(value))),
    }
}

fn plain(value: &Value) -> String {
    match value.text() {
        Ok(text) => one_line(text),
        Err(_) => value.to_string(),
    }
}

/// Whether `file` is a profile, on top of those that are known.
pub fn check(file: &Path, profiles: Option<&Path>, format: Format) -> Result<String> {
    let name = file.display().to_string();
    let mut file = std::fs::File::open(file).lift(Kind::Config, || format!("open board profile '{name}'"))?;
    // One byte more than allowed, so that the reader sees that there is too much.
    let text = feed::first(&mut file, crate::board::MAX_FILE + 1)
        .lift(Kind::Config, || format!("read board profile '{name}'"))?;
    let (set, id) = Set::with_file(&text, &name, profiles)?;
    let profile = set.get(&id)?;
    if profile.identity.is_empty() {
        return Err(Error::new(
            Kind::Config,
            format_args!("board profile '{name}': nothing would tell two of these boards apart"),
        )
        .hint("list sources under 'identity', or name a base that does"));
    }
    Ok(match format {
        Format::Text => {
            let class = profile.memory_class.map_or("by what is found".to_owned(), |class: Class| class.to_string());
            format!("ok: '{id}' for {}, memory class {class}\n", profile.architecture)
        }
        Format::Json => format!("{{\"schema\":{SCHEMA},\"id\":{},\"ok\":true}}\n", Text(&id)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_profiles() {
        let text = list(None, Format::Text).unwrap();
        assert!(text.contains("raspberry-pi-4    arm64  Raspberry Pi 4, 400\n"), "{text}");
        assert!(text.contains("  [base]\n"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&list(None, Format::Json).unwrap()).unwrap();
        assert_eq!(json["profiles"].as_array().unwrap().len(), text.lines().count());

        let text = show("raspberry-pi-3", None, Format::Text).unwrap();
        assert!(text.contains("kernel.memory_cgroup = cgroup_enable=memory cgroup_memory=1\n"), "{text}");
        assert!(text.contains("kernel.arguments_in[0].path = /boot/firmware/cmdline.txt\n"), "{text}");
        assert!(text.contains("rtc = false\n"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&show("rk3588", None, Format::Json).unwrap()).unwrap();
        assert_eq!(json["match"]["compatible"][0], "rockchip,rk3588");
        let e = show("rk3589", None, Format::Text).unwrap_err();
        assert_eq!((e.kind(), e.to_string().as_str()), (Kind::Config, "there is no board profile 'rk3589'"));
    }

    #[test]
    fn every_profile_of_ours_passes_its_own_check() {
        for profile in Set::load(None).unwrap().iter() {
            let file = format!("board-profiles/{}.json", profile.id);
            let told = check(Path::new(&file), None, Format::Text).unwrap();
            assert!(told.starts_with(&format!("ok: '{}' for ", profile.id)), "{told}");
        }
    }

    #[test]
    fn a_machine() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("proc/device-tree")).unwrap();
        std::fs::write(dir.path().join("proc/device-tree/model"), "A board\0").unwrap();
        std::fs::write(dir.path().join("proc/device-tree/serial-number"), "ab12cd34\0").unwrap();
        let json: serde_json::Value = serde_json::from_str(&detect(dir.path(), None, Format::Json).unwrap()).unwrap();
        assert_eq!((json["model"].as_str(), json["memory_class"].as_str()), (Some("A board"), Some("large")));
        let text = detect(dir.path(), None, Format::Text).unwrap();
        assert!(text.contains("model     A board\nmemory    class large\nidentity  "), "{text}");
    }
}
