//! Which value counts: flag > environment > file > default.

use std::fmt;

use crate::error::{Error, Kind, Result};
use crate::gather::Gather;
use crate::ids::Token;

use super::check::{node_name, shown};
use super::keys::{ConfigMut, Key, Of, Table};
use super::value::Raw;
use super::{CloudConfig, EdgeConfig, nearest};

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The host's own name (for `node.name`).
    HostName,
    /// The configuration file.
    File {
        /// As the user wrote it on the command line; `-` is the standard input.
        name: String,
        /// From 1.
        line: u32,
        /// From 1.
        column: u32,
    },
    /// The environment variable of that name.
    Environment(&'static str),
    /// The flag of that name.
    Flag(&'static str),
}

impl Origin {
    /// Stable word for JSON output.
    pub const fn word(&self) -> &'static str {
        match self {
            Origin::Default => "default",
            Origin::HostName => "hostname",
            Origin::File { .. } => "file",
            Origin::Environment(_) => "environment",
            Origin::Flag(_) => "flag",
        }
    }

    /// The file and line, variable or flag; empty for the rest.
    pub fn place(&self) -> String {
        match self {
            Origin::Default | Origin::HostName => String::new(),
            Origin::File { name, line, column } => format!("{name}:{line}:{column}"),
            Origin::Environment(name) => (*name).to_owned(),
            Origin::Flag(name) => format!("--{name}"),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default | Origin::HostName => f.write_str(self.word()),
            _ => write!(f, "{} {}", self.word(), self.place()),
        }
    }
}

/// One value that somebody set.
#[derive(Debug, Clone)]
pub struct Setting {
    /// What.
    pub key: &'static Key,
    /// To what.
    pub raw: Raw,
    /// Where.
    pub origin: Origin,
}

/// The configuration, and where each value of it comes from.
#[derive(Debug)]
pub struct Resolved<C = EdgeConfig> {
    /// The values. Boxed: they are handed on a lot.
    pub config: Box<C>,
    /// Where they come from.
    pub origins: Origins,
}

/// Where the values of a table come from.
#[derive(Debug)]
pub struct Origins {
    table: Table,
    list: Vec<Origin>,
}

impl Origins {
    fn new(table: Table) -> Self {
        Origins { table, list: vec![Origin::Default; table.keys().len()] }
    }

    /// Every key with the origin of its value, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Key, &Origin)> {
        self.table.keys().iter().zip(&self.list)
    }

    /// The origin of the value at `path`.
    pub fn of(&self, path: &str) -> &Origin {
        self.iter().find(|(key, _)| key.path == path).map_or(&Origin::Default, |(_, origin)| origin)
    }

    fn note(&mut self, path: &str, origin: &Origin) {
        for (key, known) in self.table.keys().iter().zip(&mut self.list) {
            if key.path == path {
                *known = origin.clone();
            }
        }
    }
}

/// Settles every key of an edge node. `layers` come in rising precedence: file, environment, flags; within a layer the
/// last one counts. `host_name` serves as `node.name` where nothing else is set and it is fit to.
///
/// Every value given is checked, also one that another layer overrides: a bad one is a mistake that should be seen.
pub fn resolve(layers: &[&[Setting]], host_name: Option<&str>) -> Result<Resolved> {
    let (mut config, mut origins) = (Box::<EdgeConfig>::default(), Origins::new(Table::EDGE));
    settle((&mut *config).into(), &mut origins, layers, host_name)?;
    check_ports(&config, &origins)?;
    Ok(Resolved { config, origins })
}

/// [`resolve`] for the cloud side.
pub fn resolve_cloud(layers: &[&[Setting]], host_name: Option<&str>) -> Result<Resolved<CloudConfig>> {
    let (mut config, mut origins) = (Box::<CloudConfig>::default(), Origins::new(Table::CLOUD));
    settle((&mut *config).into(), &mut origins, layers, host_name)?;
    Ok(Resolved { config, origins })
}

fn settle(
    mut config: ConfigMut<'_>,
    origins: &mut Origins,
    layers: &[&[Setting]],
    host_name: Option<&str>,
) -> Result<()> {
    for setting in layers.iter().flat_map(|layer| layer.iter()) {
        apply(config.again(), setting)?;
        origins.note(setting.key.path, &setting.origin);
    }
    match host_name {
        Some(host_name) => adopt_host_name(config, origins, host_name),
        None => Ok(()),
    }
}

fn apply(config: ConfigMut<'_>, setting: &Setting) -> Result<()> {
    let Setting { key, raw, origin } = setting;
    let text = raw.to_string();
    if text.parse::<Token>().is_ok() {
        // Not shown: this is the secret itself in a wrong place.
        let what = format!("bad value for '{}' ({origin}): it is a join token", key.path);
        return Err(Error::new(Kind::Config, what)
            .hint("write the token to a file that only root can read, and name that file in 'token_file'"));
    }
    key.set(config, raw).map_err(|refusal| {
        let what = refusal.what();
        let what = match raw {
            Raw::One(_) => format!("bad value '{}' for '{}' ({origin}): it {what}", shown(&text), key.path),
            // Says itself which part it is.
            Raw::List(_) | Raw::Map(_) => format!("bad value for '{}' ({origin}): it {what}", key.path),
        };
        let e = Error::new(Kind::Config, what);
        match refusal.hint() {
            Some(hint) => e.hint(hint),
            None => e,
        }
    })
}

const NODE_NAME: &str = "node.name";

fn adopt_host_name(mut config: ConfigMut<'_>, origins: &mut Origins, host_name: &str) -> Result<()> {
    let mut keys = origins.table.keys().iter();
    let Some(key) = keys.find(|key| key.path == NODE_NAME && key.show(config.as_ref()).is_none()) else {
        return Ok(());
    };
    match node_name(host_name) {
        Ok(name) => {
            let raw = Raw::One(name.to_string());
            apply(config.again(), &Setting { key, raw, origin: Origin::HostName })?;
            origins.note(NODE_NAME, &Origin::HostName);
        }
        Err(refusal) => {
            let problem = Some(format!("the host name '{}' {}", shown(host_name), refusal.what()));
            match config {
                Of::Edge(config) => config.node.name_problem = problem,
                Of::Cloud(config) => config.name_problem = problem,
            }
        }
    }
    Ok(())
}

fn check_ports(config: &EdgeConfig, origins: &Origins) -> Result<()> {
    let cloud = &config.cloud;
    if cloud.websocket_port != cloud.cert_port {
        return Ok(());
    }
    let (websocket, cert) = (origins.of("cloud.websocket_port"), origins.of("cloud.cert_port"));
    Err(Error::new(
        Kind::Config,
        format_args!(
            "'cloud.websocket_port' ({websocket}) and 'cloud.cert_port' ({cert}) are both {}: keadm would report \
             success, and the node would never register",
            cloud.cert_port
        ),
    )
    .hint("give the WebSocket's port, 10000, and the certificates' port, 10002, or what they are mapped to"))
}

/// Settings from flags, as `(flag without dashes, text)`; flags that are no settings are left to others.
pub fn settings_from_flags<'a>(
    table: Table,
    flags: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<Setting>> {
    let mut settings = Vec::new();
    for (flag, text) in flags {
        if let Some(key) = table.keys().iter().find(|key| key.flag == flag) {
            settings.push(setting(key, text, Origin::Flag(key.flag))?);
        }
    }
    Ok(settings)
}

/// What every variable of ours begins with.
const PREFIX: &str = "EDGELAY_";

/// Settings from the environment. Empty variables count as absent. Of the unknown ones that begin with `EDGELAY_`,
/// those that look like a mistyped setting are refused; the others belong to somebody else.
pub fn settings_from_env<'a>(
    table: Table,
    variables: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<Setting>> {
    let mut settings = Vec::new();
    for (name, text) in variables {
        if text.is_empty() || !name.starts_with(PREFIX) {
            continue;
        }
        match table.keys().iter().find(|key| key.env == name) {
            // What the environment's reader put where the value was not UTF-8.
            Some(_) if text.contains(char::REPLACEMENT_CHARACTER) => {
                let what = format_args!("the value of variable '{name}' is not UTF-8");
                return Err(Error::new(Kind::Config, what).hint("set it again in UTF-8, or unset it"));
            }
            Some(key) => settings.push(setting(key, text, Origin::Environment(key.env))?),
            None => check_stranger(table, name)?,
        }
    }
    Ok(settings)
}

fn check_stranger(table: Table, name: &str) -> Result<()> {
    if Table::ALL.iter().any(|other| other.keys().iter().any(|key| key.env == name)) {
        return Ok(());
    }
    let e = || Error::new(Kind::Config, format_args!("unknown environment variable '{}'", shown(name)));
    if name == "EDGELAY_TOKEN" {
        return Err(e().hint("write the token to a file that only root can read, and name it in EDGELAY_TOKEN_FILE"));
    }
    let rest = name.strip_prefix(PREFIX).unwrap_or(name);
    let known: Vec<&str> = table.keys().iter().filter_map(|key| key.env.strip_prefix(PREFIX)).gather();
    match nearest(rest, &known) {
        Some(near) => Err(e().hint(format_args!("did you mean {PREFIX}{near}? otherwise unset it"))),
        None => Ok(()),
    }
}

fn setting(key: &'static Key, text: &str, origin: Origin) -> Result<Setting> {
    let raw = Raw::parse(key.form, text).map_err(|refusal| {
        let what = format!("bad value '{}' for '{}' ({origin}): it {}", shown(text), key.path, refusal.what());
        Error::new(Kind::Config, what)
    })?;
    Ok(Setting { key, raw, origin })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_file;

    #[test]
    fn precedence() {
        let file = parse_file(br#"{"pod_cidr": "10.1.0.0/16", "mqtt": true, "join_timeout": 60}"#, "e.json").unwrap();
        let env = settings_from_env(
            Table::EDGE,
            [
                ("EDGELAY_POD_CIDR", "10.2.0.0/16"),
                ("EDGELAY_MQTT", "off"),
                ("EDGELAY_NODE_IP", ""),
                ("EDGELAY_TEST_REQUIRE", "1"),
                ("PATH", "/bin"),
            ],
        )
        .unwrap();
        let flags =
            settings_from_flags(Table::EDGE, [("pod-cidr", "10.3.0.0/16"), ("pod-cidr", "10.4.0.0/16"), ("root", "/")])
                .unwrap();
        let resolved = resolve(&[&file, &env, &flags], Some("Edge-7")).unwrap();
        let seen: Vec<String> = resolved
            .origins
            .iter()
            .filter(|(_, origin)| **origin != Origin::Default)
            .map(|(key, origin)| format!("{}={} {origin}", key.path, key.show(&*resolved.config).unwrap()))
            .collect();
        assert_eq!(
            seen,
            [
                "node.name=edge-7 hostname",
                "pod_cidr=10.4.0.0/16 flag --pod-cidr",
                "mqtt=false environment EDGELAY_MQTT",
                "join_timeout=1m file e.json:1:59",
            ]
        );
    }

    fn refused(flags: &[(&str, &str)]) -> (String, String) {
        let settings = settings_from_flags(Table::EDGE, flags.iter().copied());
        let e = settings.and_then(|settings| resolve(&[&settings], None)).unwrap_err();
        assert_eq!(e.kind(), Kind::Config);
        (e.to_string(), e.hint_text().unwrap_or_default().to_owned())
    }

    #[test]
    fn a_bad_value_says_where_it_stands() {
        assert_eq!(
            refused(&[("pod-cidr", "10.0.0.1/8"), ("pod-cidr", "10.0.0.0/8")]).0,
            "bad value '10.0.0.1/8' for 'pod_cidr' (flag --pod-cidr): it has bits set behind its prefix length"
        );
        assert_eq!(
            refused(&[("node-labels", "a=1,,b=2")]).0,
            "bad value 'a=1,,b=2' for 'node.labels' (flag --node-labels): it has an empty part between its commas"
        );
        assert_eq!(
            refused(&[("node-labels", "a={x}")]).0,
            "bad value for 'node.labels' (flag --node-labels): it has a label 'a={x}' that has a character that is \
             not allowed, at position 0"
        );
        assert_eq!(refused(&[("mqtt", "")]).0, "bad value '' for 'mqtt' (flag --mqtt): it is empty");
    }

    #[test]
    fn ports_that_would_hang_the_join_are_refused() {
        let (what, hint) = refused(&[("cloud-websocket-port", "10002")]);
        assert_eq!(
            what,
            "bad value '10002' for 'cloud.websocket_port' (flag --cloud-websocket-port): it only hands out \
             certificates: keadm would report success, and the node would never register"
        );
        assert!(hint.contains("10000"), "{hint}");
        let (what, _) = refused(&[("cloud-cert-port", "10000")]);
        assert_eq!(
            what,
            "'cloud.websocket_port' (default) and 'cloud.cert_port' (flag --cloud-cert-port) are both 10000: keadm \
             would report success, and the node would never register"
        );
    }

    #[test]
    fn a_token_in_a_wrong_place_is_not_repeated() {
        let secret = format!("{}.aGVhZA.Y2xhaW1z.c2ln", "a".repeat(64));
        for flag in ["token-file", "node-name", "cloud-host"] {
            let (what, hint) = refused(&[(flag, &secret)]);
            assert!(what.ends_with("it is a join token") && !what.contains("aGVhZA"), "{what}");
            assert!(hint.contains("token_file") && !hint.contains("aGVhZA"), "{hint}");
        }
    }

    #[test]
    fn strangers_in_the_environment() {
        let hint = |name: &str| {
            settings_from_env(Table::EDGE, [(name, "x")]).map(|_| ()).map_err(|e| e.hint_text().unwrap().to_owned())
        };
        assert_eq!(hint("EDGELAY_POD_CDIR"), Err("did you mean EDGELAY_POD_CIDR? otherwise unset it".into()));
        assert!(hint("EDGELAY_TOKEN").unwrap_err().contains("EDGELAY_TOKEN_FILE"));
        assert_eq!(hint("EDGELAY_WORKSHOP"), Ok(()));
    }

    #[test]
    fn a_variable_that_is_not_utf8_is_refused() {
        let e = settings_from_env(Table::EDGE, [("EDGELAY_NODE_NAME", "edge-\u{fffd}")]).unwrap_err();
        assert_eq!(e.to_string(), "the value of variable 'EDGELAY_NODE_NAME' is not UTF-8");
        assert!(settings_from_env(Table::EDGE, [("EDGELAY_WORKSHOP", "\u{fffd}")]).is_ok());
    }

    #[test]
    fn an_unfit_host_name_is_remembered() {
        let resolved = resolve(&[], Some("localhost")).unwrap();
        assert_eq!(resolved.config.node.name, None);
        assert_eq!(resolved.origins.of("node.name"), &Origin::Default);
        assert_eq!(
            resolved.config.node.name_problem.as_deref(),
            Some("the host name 'localhost' is every machine's name, and no two nodes can share one")
        );
    }
}
