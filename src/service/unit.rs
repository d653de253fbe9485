//! A service as data, and its systemd unit.

use crate::gather::Grow;

/// A program that runs as long as the machine does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Unit name without `.service`.
    pub name: &'static str,
    /// One line.
    pub description: &'static str,
    /// Absolute program path and arguments; no white space inside an argument.
    pub command: Vec<String>,
    /// Units to come up before it.
    pub after: &'static [&'static str],
    /// Units to be pulled in.
    pub wants: &'static [&'static str],
    /// Further lines of `[Service]`, as `Key=value`.
    pub settings: &'static [&'static str],
}

impl Service {
    /// The unit file. Systemd's `%` is escaped, so that a path is taken as it is.
    pub fn systemd(&self) -> String {
        let mut text = format!(
            "# Written by edgelay; changes are overwritten by the next install.\n[Unit]\nDescription={}\n",
            self.description
        );
        for (key, units) in [("After", self.after), ("Wants", self.wants)] {
            if !units.is_empty() {
                text.grow(format_args!("{key}={}\n", units.join(" ")));
            }
        }
        text.grow(format_args!("\n[Service]\nExecStart={}\n", self.command.join(" ").replace('%', "%%")));
        for line in self.settings {
            text.push_str(line);
            text.push('\n');
        }
        text.push_str("\n[Install]\nWantedBy=multi-user.target\n");
        text
    }

    /// Path of the program.
    pub fn program(&self) -> &str {
        self.command.first().map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_text() {
        let service = Service {
            name: "x",
            description: "an x",
            command: vec!["/usr/local/bin/x".into(), "--a=100%".into()],
            after: &["network.target"],
            wants: &[],
            settings: &["Restart=always"],
        };
        let expected = "# Written by edgelay; changes are overwritten by the next install.\n\
            [Unit]\nDescription=an x\nAfter=network.target\n\n\
            [Service]\nExecStart=/usr/local/bin/x --a=100%%\nRestart=always\n\n\
            [Install]\nWantedBy=multi-user.target\n";
        assert_eq!(service.systemd(), expected);
    }
}
