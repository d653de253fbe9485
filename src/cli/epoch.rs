//! `SOURCE_DATE_EPOCH`: the build time that reproducible builds agree on (reproducible-builds.org, seconds since 1970).

use crate::bundle::Timestamp;
use crate::error::{Error, Kind, Result};

use super::command::{BundleCommand, Command};

/// Name of the variable.
pub(super) const VARIABLE: &str = "SOURCE_DATE_EPOCH";

/// Puts the variable's `value` into a command that makes a bundle, unless its flag gave a time.
pub(super) fn apply(mut command: Command, value: Option<&str>) -> Result<Command> {
    if let (Command::Bundle(BundleCommand::Create { request, .. }), Some(text)) = (&mut command, value)
        && request.built.is_none()
    {
        let bad = || {
            Error::new(
                Kind::Config,
                format_args!("{VARIABLE}: '{}' is no number of seconds since 1970", text.escape_debug()),
            )
            .hint(format_args!("unset {VARIABLE}, or set it to the output of 'date +%s'"))
        };
        request.built = Some(text.parse().ok().and_then(Timestamp::from_seconds).ok_or_else(bad)?);
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::{Request, Role};
    use crate::ids::Arch;

    fn built(flag: Option<&str>, value: Option<&str>) -> Result<Option<String>> {
        let request = Request {
            role: Role::Edge,
            arch: Arch::Arm64,
            kubeedge: None,
            components: vec![],
            images: vec![],
            with: vec![],
            built: flag.map(|text| text.parse().unwrap()),
        };
        let create = Command::Bundle(BundleCommand::Create { request: Box::new(request), to: "-".into() });
        match apply(create, value)? {
            Command::Bundle(BundleCommand::Create { request, .. }) => Ok(request.built.map(|t| t.to_string())),
            _ => panic!("another command"),
        }
    }

    #[test]
    fn the_flag_goes_before_the_variable() {
        let (flag, second) = (Some("2020-01-01T00:00:00Z"), Some("2001-09-09T01:46:40Z".to_owned()));
        assert_eq!(built(None, None).unwrap(), None);
        assert_eq!(built(None, Some("1000000000")).unwrap(), second);
        assert_eq!(built(flag, Some("1000000000")).unwrap().as_deref(), flag);
        for bad in ["now", "-1", "1e9", "99999999999999"] {
            assert_eq!(built(None, Some(bad)).unwrap_err().kind(), Kind::Config, "{bad}");
        }
    }
}
