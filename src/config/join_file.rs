//! The join file: everything that an edge needs to join, as the cloud side writes it and the edge reads it.

use std::net::IpAddr;

use crate::error::{Error, Kind, Result};
use crate::gather::Gather;
use crate::ids::Token;
use crate::json::{self, Text, Value};

use super::check::shown;
use super::keys::key_of_path;
use super::resolve::{Origin, Setting};
use super::value::Raw;

/// The version of the file's shape.
const SCHEMA: u64 = 1;
/// A token has about 250 bytes, an address 40.
pub const MAX_JOIN_FILE: usize = 8 << 10;

/// What the cloud side puts into it.
#[derive(Debug)]
pub struct JoinFile<'a> {
    /// Addresses and names of the cloud, the main one first.
    pub addresses: &'a [IpAddr],
    /// CloudHub's WebSocket.
    pub websocket_port: u16,
    /// CloudHub's HTTPS for certificates.
    pub cert_port: u16,
    /// The token.
    pub token: &'a Token,
    /// When it ends, RFC 3339.
    pub expires: &'a str,
    /// Whether EdgeMesh runs in the cluster.
    pub edgemesh: bool,
    /// KubeEdge's version in the cloud.
    pub kubeedge: &'a str,
}

impl JoinFile<'_> {
    /// The file's text, which is as secret as the token in it.
    pub fn render(&self) -> String {
        let addresses: Vec<String> = self.addresses.iter().map(|ip| format!("\"{ip}\"")).gather();
        format!(
            "{{\n  \"schema\": {SCHEMA},\n  \"addresses\": [{}],\n  \"websocket_port\": {},\n  \"cert_port\": {},\n  \
             \"ca_hash\": {},\n  \"token\": {},\n  \"expires\": {},\n  \"edgemesh\": {},\n  \"kubeedge\": {}\n}}\n",
            addresses.join(", "),
            self.websocket_port,
            self.cert_port,
            Text(self.token.ca_hash()),
            Text(self.token.reveal()),
            Text(self.expires),
            self.edgemesh,
            Text(self.kubeedge),
        )
    }
}

/// Its keys and the settings of an edge that they become; the other keys are for people and for checks.
const SETTINGS: [(&str, &str); 4] = [
    ("addresses", "cloud.host"),
    ("websocket_port", "cloud.websocket_port"),
    ("cert_port", "cloud.cert_port"),
    ("edgemesh", "edgemesh"),
];

/// The settings that the join file `name` makes; it is its own token file. No error shows the token.
pub fn parse_join_file(text: &[u8], name: &str) -> Result<Vec<Setting>> {
    let tree = read(text, name)?;
    let mut settings = Vec::new();
    for (member, path) in SETTINGS {
        let (Some(value), Some(key)) = (tree.get(member), key_of_path(path)) else {
            return Err(bad(name, &format!("'{member}' is missing")));
        };
        let first = value.items().ok().and_then(<[Value]>::first).unwrap_or(value);
        let raw = match (first.text(), first.whole(), first.flag()) {
            (Ok(text), _, _) => text.to_owned(),
            (_, Ok(number), _) => number.to_string(),
            (_, _, Ok(flag)) => flag.to_string(),
            _ => return Err(bad(name, &format!("'{member}' is {}", first.data.name()))),
        };
        let origin = Origin::File { name: name.to_owned(), line: first.place.line, column: first.place.column };
        settings.push(Setting { key, raw: Raw::One(raw), origin });
    }
    if let Some(key) = key_of_path("token_file") {
        let origin = Origin::File { name: name.to_owned(), line: 1, column: 1 };
        settings.push(Setting { key, raw: Raw::One(name.to_owned()), origin });
    }
    Ok(settings)
}

/// The token in a join file.
pub(super) fn token_of(text: &[u8], name: &str) -> Result<String> {
    let tree = read(text, name)?;
    match tree.get("token").map(Value::text) {
        // Of two clouds, or changed by hand: EdgeCore would find out only when everything is laid down.
        Some(Ok(token))
            if tree
                .get("ca_hash")
                .is_some_and(|hash| hash.text() != Ok(token.split('.').next().unwrap_or_default())) =>
        {
            Err(bad(name, "'ca_hash' is not that of its token"))
        }
        Some(Ok(token)) => Ok(token.to_owned()),
        _ => Err(bad(name, "'token' is missing")),
    }
}

/// The value of `key` in a join file of ours.
pub fn join_file_value(text: &[u8], key: &str) -> Option<String> {
    let tree = json::read(text, MAX_JOIN_FILE).ok()?;
    let value = tree.get(key)?;
    let items = value.items().map(<[Value]>::to_vec).unwrap_or_else(|_| vec![value.clone()]);
    let texts = items.iter().map(|v| match (v.text(), v.whole(), v.flag()) {
        (Ok(text), _, _) => text.to_owned(),
        (_, Ok(number), _) => number.to_string(),
        (_, _, flag) => flag.is_ok_and(|flag| flag).to_string(),
    });
    Some(texts.gather::<Vec<_>>().join(","))
}

fn read(text: &[u8], name: &str) -> Result<Value> {
    let tree = json::read(text, MAX_JOIN_FILE).map_err(|e| bad(name, &e.to_string()))?;
    match tree.get("schema").map(Value::whole) {
        Some(Ok(SCHEMA)) => Ok(tree),
        Some(Ok(other)) => Err(Error::new(
            Kind::Config,
            format_args!("join file '{}' has schema {other}, this edgelay reads schema {SCHEMA}", shown(name)),
        )
        .hint("use the edgelay that the cloud side has, or a newer one")),
        _ => Err(bad(name, "'schema' is missing")),
    }
}

fn bad(name: &str, why: &str) -> Error {
    Error::new(Kind::Config, format_args!("join file '{}': {why}", shown(name)))
        .hint("write it anew in the cloud with 'edgelay cloud token', and copy it whole")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::resolve;

    fn text() -> String {
        let token: Token = format!("{}.aGVhZA.Y2xhaW1z.c2ln", "a".repeat(64)).parse().unwrap();
        let addresses = ["192.0.2.10".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        JoinFile {
            addresses: &addresses,
            websocket_port: 10000,
            cert_port: 10002,
            token: &token,
            expires: "2026-11-30T00:00:00Z",
            edgemesh: false,
            kubeedge: "v1.22.0",
        }
        .render()
    }

    #[test]
    fn an_edge_reads_what_the_cloud_writes() {
        let settings = parse_join_file(text().as_bytes(), "/j.json").unwrap();
        let config = resolve(&[&settings], None).unwrap().config;
        assert_eq!((config.cloud.host.as_deref(), config.cloud.cert_port), (Some("192.0.2.10"), 10002));
        assert_eq!((config.edgemesh, config.token_file), (false, Some("/j.json".into())));
        assert!(token_of(text().as_bytes(), "j").unwrap().ends_with(".aGVhZA.Y2xhaW1z.c2ln"));
        assert_eq!(join_file_value(text().as_bytes(), "addresses").as_deref(), Some("192.0.2.10,2001:db8::1"));
        assert_eq!(join_file_value(text().as_bytes(), "edgemesh").as_deref(), Some("false"));
    }

    #[test]
    fn a_bad_one_is_told_without_its_token() {
        for (from, to, what) in [
            ("\"schema\": 1", "\"schema\": 2", "join file 'j' has schema 2, this edgelay reads schema 1"),
            ("\"schema\": 1,", "", "join file 'j': 'schema' is missing"),
            ("\"cert_port\": 10002,", "", "join file 'j': 'cert_port' is missing"),
            ("10002", "{}", "join file 'j': 'cert_port' is an object"),
        ] {
            let e = parse_join_file(text().replace(from, to).as_bytes(), "j").unwrap_err();
            assert_eq!(e.to_string(), what);
        }
        let other = text().replacen(&"a".repeat(64), &"b".repeat(64), 1);
        let e = token_of(other.as_bytes(), "j").unwrap_err();
        assert_eq!(e.to_string(), "join file 'j': 'ca_hash' is not that of its token");
        let cut = &text()[..200];
        let e = parse_join_file(cut.as_bytes(), "j").unwrap_err();
        assert!(!format!("{e:?}").contains("aaaa"), "{e:?}");
    }
}
