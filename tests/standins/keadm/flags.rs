//! The flags of `keadm join` v1.22.0, parsed the way its flag library does.

use std::collections::BTreeMap;

/// (name, shorthand, default). Removed ones (`--with-mqtt`, `--runtimetype`) are unknown, as in the real one.
const JOIN: [(&str, &str, &str); 17] = [
    ("cgroupdriver", "", "cgroupfs"),
    ("certPath", "", "/etc/kubeedge/certs"), // accepted, never used
    ("certport", "s", ""),
    ("cloudcore-ipport", "e", ""),
    ("edgenode-name", "i", ""),
    ("hub-protocol", "", "websocket"),
    ("image-repository", "", ""),
    ("kubeedge-version", "", ""),
    ("labels", "l", ""),
    ("post-run", "", ""),
    ("pre-run", "", ""),
    ("remote-runtime-endpoint", "p", "unix:///run/containerd/containerd.sock"),
    ("set", "", ""),
    ("tarballpath", "", ""), // accepted, never used
    ("token", "t", ""),
    ("v", "v", "0"),
    ("vmodule", "", ""),
];

/// Values of one command line.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Flags {
    values: BTreeMap<&'static str, String>,
    /// `--set` may be repeated.
    pub(crate) sets: Vec<String>,
    /// `--labels` may be repeated, and each holds a comma list.
    pub(crate) labels: Vec<String>,
}

impl Flags {
    /// The value or the default.
    pub(crate) fn text(&self, name: &str) -> &str {
        let default = JOIN.iter().find(|(known, ..)| *known == name).map_or("", |(.., default)| default);
        self.values.get(name).map_or(default, String::as_str)
    }

    pub(crate) fn given(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }
}

pub(crate) fn parse(args: &[String]) -> Result<Flags, String> {
    let mut flags = Flags::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--" {
            break;
        }
        let (name, attached) = if let Some(long) = arg.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            let known = JOIN.iter().find(|(known, ..)| *known == name);
            (known.ok_or_else(|| format!("unknown flag: --{name}"))?.0, value)
        } else if let Some(short) = arg.strip_prefix('-').filter(|short| !short.is_empty()) {
            let letter = &short[..1];
            let known = JOIN.iter().find(|(_, known, _)| *known == letter);
            let known = known.ok_or_else(|| format!("unknown shorthand flag: '{letter}' in {arg}"))?;
            let rest = short[1..].strip_prefix('=').unwrap_or(&short[1..]);
            (known.0, Some(rest).filter(|_| short.len() > 1))
        } else {
            continue; // join takes arguments and ignores them
        };
        let value = match attached {
            Some(value) => value.to_string(),
            None => args.next().cloned().ok_or_else(|| format!("flag needs an argument: {arg}"))?,
        };
        match name {
            "set" => flags.sets.push(value),
            "labels" => flags.labels.extend(value.split(',').map(str::to_string)),
            _ => drop(flags.values.insert(name, value)),
        }
    }
    Ok(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Flags, String> {
        parse(&line.split(' ').map(str::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn every_spelling_of_a_flag_is_read() {
        let flags = parse_line("-e=a:1 --certport 30002 -tTOKEN -i n1 --set a=b --set=c=d -l x=1,y=2 stray").unwrap();
        assert_eq!(flags.text("cloudcore-ipport"), "a:1");
        assert_eq!(flags.text("certport"), "30002");
        assert_eq!(flags.text("token"), "TOKEN");
        assert_eq!(flags.text("edgenode-name"), "n1");
        assert_eq!(flags.text("cgroupdriver"), "cgroupfs");
        assert_eq!(flags.sets, ["a=b", "c=d"]);
        assert_eq!(flags.labels, ["x=1", "y=2"]);
    }

    #[test]
    fn removed_and_unknown_flags_are_refused() {
        for (line, why) in [
            ("--with-mqtt=false", "unknown flag: --with-mqtt"),
            ("--runtimetype=remote", "unknown flag: --runtimetype"),
            ("--cloudcore-ipport=a:1 --cni", "unknown flag: --cni"),
            ("-x", "unknown shorthand flag: 'x' in -x"),
            ("--token", "flag needs an argument: --token"),
        ] {
            assert_eq!(parse_line(line), Err(why.into()));
        }
    }
}
