//! All profiles that are known: those built in, and those of a directory, which add to them and replace them.

use std::path::Path;

use super::builtin::BUILTIN;
use super::form::FORM;
use super::profile::{BUILT_IN, Profile, fault, is_id};
use crate::error::{Error, Kind, Lift, Result, Trail, excerpt};
use crate::gather::{Gather, Grow};
use crate::ids::RelPath;
use crate::json::{self, Data, Member, Value};
use crate::root::Root;

/// A profile is a screen of text.
pub const MAX_FILE: usize = 64 * 1024;

/// A directory of profiles is for a product line, not for all the world's boards.
const MAX_FILES: usize = 256;

/// Profiles in the order of their ids.
#[derive(Debug)]
pub struct Set {
    pub(super) profiles: Vec<Profile>,
}

/// A text that was read but not yet joined with its base.
struct Draft {
    /// For messages: the file's path, or the id of one that is built in.
    name: String,
    value: Value,
}

impl Draft {
    fn read(name: &str, text: &[u8]) -> Result<Draft> {
        let value = json::read(text, MAX_FILE).map_err(|e| fault(name, &e))?;
        // Unknown keys are told with their place in this very file, before anything is joined.
        match FORM.check(&value).into_iter().next() {
            Some(e) => Err(fault(name, &e)),
            None => Ok(Draft { name: name.to_owned(), value }),
        }
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.value.get(key).and_then(|value| value.text().ok())
    }
}

impl Set {
    /// The profiles that are built in, and those of `directory` (all its `*.json`).
    pub fn load(directory: Option<&Path>) -> Result<Set> {
        let mut drafts = Vec::new();
        for text in BUILTIN {
            drafts.push(Draft::read(BUILT_IN, text.as_bytes()).map_err(|e| e.reclassify(Kind::Bug))?);
        }
        if let Some(directory) = directory {
            let added =
                read_directory(directory).doing(|| format!("read board profiles in '{}'", directory.display()))?;
            for draft in added {
                drafts.retain(|old| old.text("id") != draft.text("id"));
                drafts.push(draft);
            }
        }
        Set::join(&drafts)
    }

    /// The profiles that are built in, with one more of these bytes; returns its id, too.
    pub fn with_file(text: &[u8], name: &str, directory: Option<&Path>) -> Result<(Set, String)> {
        let draft = Draft::read(name, text)?;
        let base = draft.text("base").map(str::to_owned);
        let known = Set::load(directory)?;
        let value = match base {
            Some(base) => merged(known.base(&base, name)?, &draft.value),
            None => draft.value,
        };
        let profile = Profile::from_value(value, name)?;
        let id = profile.id.clone();
        let mut set = known;
        set.profiles.retain(|old| old.id != id);
        set.add(profile);
        Ok((set, id))
    }

    /// Where its id belongs.
    fn add(&mut self, profile: Profile) {
        let at = self.profiles.partition_point(|known| known.id < profile.id);
        self.profiles.insert(at, profile);
    }

    fn join(drafts: &[Draft]) -> Result<Set> {
        let mut set = Set { profiles: Vec::new() };
        for Draft { name, value } in drafts {
            let base = value.get("base").and_then(|base| base.text().ok());
            let value = match base {
                None => value.clone(),
                Some(base) => {
                    let found = drafts.iter().find(|draft| draft.text("id") == Some(base));
                    let found = found.ok_or_else(|| no_base(base, name))?;
                    one_level(found.text("base"), base, name)?;
                    merged(&found.value, value)
                }
            };
            set.add(Profile::from_value(value, name)?);
        }
        Ok(set)
    }

    fn base(&self, id: &str, name: &str) -> Result<&Value> {
        let found = self.profiles.iter().find(|profile| profile.id == id).ok_or_else(|| no_base(id, name))?;
        one_level(found.base.as_deref(), id, name)?;
        Ok(&found.value)
    }

    /// All of them, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Profile> {
        self.profiles.iter()
    }

    /// The one of this id.
    pub fn get(&self, id: &str) -> Result<&Profile> {
        self.profiles.iter().find(|profile| profile.id == id).ok_or_else(|| unknown(id))
    }
}

pub(super) fn unknown(id: &str) -> Error {
    let shown = excerpt(id, 40);
    Error::new(Kind::Config, format_args!("there is no board profile '{shown}'"))
        .hint("'edgelay board list' shows all; a directory with others is the setting board.profiles")
}

fn no_base(base: &str, name: &str) -> Error {
    Error::new(Kind::Config, format_args!("board profile '{name}': there is no profile '{base}' to be its base"))
        .hint("'edgelay board list' shows all profiles")
}

fn one_level(above: Option<&str>, base: &str, name: &str) -> Result<()> {
    let Some(above) = above else { return Ok(()) };
    Err(Error::new(
        Kind::Config,
        format_args!("board profile '{name}': its base '{base}' has the base '{above}' itself"),
    )
    .hint("name a base without a base: there is one level only"))
}

fn read_directory(directory: &Path) -> Result<Vec<Draft>> {
    let missing = |e: &std::io::Error| e.kind() == std::io::ErrorKind::NotFound;
    let place = directory.canonicalize().map_err(|e| {
        let hint = if missing(&e) { "give a directory that is there" } else { "let root read it" };
        Error::new(Kind::Config, "it cannot be opened").because(e).hint(hint)
    })?;
    let root = Root::open(Path::new("/"))?;
    let place = place.to_string_lossy();
    let place = RelPath::from_absolute(&place).lift(Kind::Config, || format!("the path '{place}'"))?;
    let names = root.list_or_empty(place)?;
    if names.len() > MAX_FILES {
        let what = format!("it holds {} files, more than {MAX_FILES}", names.len());
        return Err(Error::new(Kind::Config, what).hint("give a directory with nothing but profiles"));
    }
    let mut drafts: Vec<Draft> = Vec::new();
    for name in names.iter().filter(|name| *name != "schema.json") {
        let Some(stem) = name.strip_suffix(".json") else { continue };
        let path = format!("{}/{name}", place.as_str());
        let path = RelPath::parse(&path).lift(Kind::Config, || format!("the file name '{name}'"))?;
        let Some(text) = root.read(path, MAX_FILE)? else { continue };
        let draft = Draft::read(&path.to_string(), &text)?;
        if draft.text("id") != Some(stem) || !is_id(stem) {
            let what = format!("board profile '{}': its id is not the name of its file", draft.name);
            return Err(Error::new(Kind::Config, what).hint("name the file after the id: ID.json"));
        }
        drafts.push(draft);
    }
    Ok(drafts)
}

/// `over` laid over `base`: objects member by member, quirks one after the other, all else replaced. How a board is
/// known is its own: a base's rules are not handed down.
fn merged(base: &Value, over: &Value) -> Value {
    let (Data::Object(below), Data::Object(above)) = (&base.data, &over.data) else { return over.clone() };
    let mut members: Vec<Member> = Vec::new();
    for member in below {
        if member.key == "match" {
            continue;
        }
        let value = match over.get(&member.key) {
            None => member.value.clone(),
            Some(value) if member.key == "quirks" => appended(&member.value, value),
            Some(value) => merged(&member.value, value),
        };
        members.push(Member { place: member.place, key: member.key.clone(), value });
    }
    members.add_all(above.iter().filter(|m| !members_have(below, &m.key)).cloned());
    Value { place: over.place, data: Data::Object(members) }
}

fn members_have(members: &[Member], key: &str) -> bool {
    key != "match" && members.iter().any(|member| member.key == key)
}

fn appended(first: &Value, second: &Value) -> Value {
    let (Data::List(a), Data::List(b)) = (&first.data, &second.data) else { return second.clone() };
    Value { place: second.place, data: Data::List(a.iter().chain(b).cloned().gather()) }
}
