//! Who the node is and until when it may join: name, clock, token.

use super::{Look, Outcome};
use crate::board::identity::junk_reason as junk;
use crate::clock::rfc3339;
use crate::config::VENDOR_NAMES;
use crate::error::Result;
use crate::gather::Grow;
use crate::host::token::expiry;
use crate::host::{SMALL, time};
use crate::ids::RelPath;

pub(super) fn node_name(look: &Look<'_>) -> Result<Outcome> {
    let name = match &look.cx.wanted.node_name {
        None => return Ok(Outcome::skip("not joining")),
        Some(Err(why)) => return Ok(Outcome::fail(why.clone(), "give this node a name of its own")),
        Some(Ok(name)) => name,
    };
    if VENDOR_NAMES.contains(&name.as_str()) {
        let seen = format!("'{name}' is a name that many machines have; a second node of that name cannot join");
        return Ok(Outcome::warn(seen, "give this node a name of its own"));
    }
    Ok(Outcome::pass(format_args!("'{name}'")))
}

/// What two machines from one image must not have in common. Whether they do is not seen from one of them, but what they
/// are likely to.
pub(super) fn clone_identity(look: &Look<'_>) -> Result<Outcome> {
    let read = |path| -> Result<Option<String>> {
        Ok(look.cx.machine.read_text(RelPath::literal(path), SMALL)?.map(|text| text.trim().to_ascii_lowercase()))
    };
    let mut seen = Vec::new();
    let machine_id = read("etc/machine-id")?;
    match machine_id.as_deref() {
        None => {}
        Some("") => seen.push("/etc/machine-id is empty".to_owned()),
        Some(id) => seen.add_all(junk(id, &[]).map(|why| format!("/etc/machine-id {why}"))),
    }
    let copy = read("var/lib/dbus/machine-id")?;
    if let (Some(id), Some(copy)) = (&machine_id, &copy)
        && id != copy
    {
        seen.push("/var/lib/dbus/machine-id is another one than /etc/machine-id".to_owned());
    }
    if let Some(name) = read("proc/sys/kernel/hostname")?
        && (VENDOR_NAMES.contains(&name.as_str()) || name == "localhost" || name == "(none)")
    {
        seen.push(format!("the host name is '{name}', as it is on many machines"));
    }
    if let Some(uuid) = read("sys/class/dmi/id/product_uuid")? {
        seen.add_all(junk(&uuid, &[]).map(|why| format!("the product UUID {why}")));
    }
    if seen.is_empty() {
        return Ok(Outcome::pass("machine id and host name are this machine's own, as far as one can see"));
    }
    let advice = "give this machine a host name and, with 'systemd-machine-id-setup', an id of its own; seal images before copying";
    Ok(Outcome::warn(seen.join("; "), advice))
}

pub(super) fn clock(look: &Look<'_>) -> Result<Outcome> {
    let now = look.cx.clock.unix();
    let Some(floor) = look.cx.wanted.time_floor else { return Ok(Outcome::skip(rfc3339(now))) };
    let set = time::is_set(look.cx.machine, look.cx.clock);
    if now < floor {
        let nobody = if set == Some(false) { "; nothing has set it yet" } else { "" };
        let seen = format!("{}, but it cannot be before {}{nobody}", rfc3339(now), rfc3339(floor));
        return Ok(Outcome::fail(
            seen,
            "set the clock, or wait for its synchronisation, and run the same command again",
        ));
    }
    let runs_on = look.cx.wanted.board.as_ref().is_none_or(|board| board.rtc);
    if set == Some(false) && !runs_on {
        let seen =
            format!("{}, set by nothing, and this board has no clock that runs on while it is off", rfc3339(now));
        let advice = "run systemd-timesyncd or chrony with a time server that this site can reach";
        return Ok(Outcome::warn(seen, advice));
    }
    let by = if set == Some(true) { ", synchronised" } else { "" };
    Ok(Outcome::pass(format_args!("{}{by}", rfc3339(now))))
}

/// Copying images and joining take a while; a token that ends before is of no use.
const SHORT: u64 = 10 * 60;

pub(super) fn token(look: &Look<'_>) -> Result<Outcome> {
    let fetch = "fetch a new token with 'edgelay cloud token' or 'keadm gettoken' in the cloud";
    let token = match &look.cx.wanted.token {
        None => return Ok(Outcome::skip("no token given")),
        Some(Err(why)) => {
            let advice = why.hint_text().unwrap_or("copy the token again, whole and on one line");
            return Ok(Outcome::fail(why.to_string(), advice.to_owned()));
        }
        Some(Ok(token)) => token,
    };
    let end = match expiry(token) {
        Ok(None) => return Ok(Outcome::pass("does not end")),
        Ok(Some(end)) => end,
        Err(why) => return Ok(Outcome::fail(format_args!("the token is damaged: {why}"), fetch)),
    };
    // A clock that stands in the past must not make an old token look fresh.
    let now = look.cx.clock.unix().max(look.cx.wanted.time_floor.unwrap_or(0));
    let date = rfc3339(end.min(LAST_DATE));
    if end <= now {
        return Ok(Outcome::fail(format_args!("the token ended at {date}"), fetch));
    }
    let left = end - now;
    if left < SHORT {
        return Ok(Outcome::warn(format_args!("the token ends at {date}, in {} min", left / 60), fetch));
    }
    Ok(Outcome::pass(format_args!("ends at {date}, in {}", span(left))))
}

/// 9999-12-31T23:59:59Z: beyond it a date has no four digits.
pub(super) const LAST_DATE: u64 = 253_402_300_799;

fn span(seconds: u64) -> String {
    match seconds {
        0..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict::{Fail, Pass, Skip, Warn};
    use super::super::testing::{Bed, CANARY, NOW, token, told};
    use crate::error::{Kind, Lift, Result};
    use crate::ids::Token;

    fn parsed(text: &str) -> Option<Result<Token>> {
        Some(text.parse().lift(Kind::Config, || "the token".to_owned()))
    }

    #[test]
    fn what_clones_have_in_common() {
        let one = |bed: &Bed| bed.one("clone-identity", |_| {});
        let good = "machine id and host name are this machine's own, as far as one can see";
        let own = || {
            Bed::new().with(|tree| {
                tree.file("etc/machine-id", "5c2f0f0e8f1d4a0f9c4f6b1e2d3a4b5c\n")
                    .link("var/lib/dbus/machine-id", "/etc/machine-id")
                    .file("proc/sys/kernel/hostname", "edge-1\n")
                    .file("sys/class/dmi/id/product_uuid", "4C4C4544-0044-3010-8051-B9C04F4B3233\n")
            })
        };
        assert_eq!(one(&own()), told(Pass, good, ""));
        assert_eq!(one(&Bed::new()).0, Pass, "not every system has any of them");
        for (path, text, seen) in [
            ("etc/machine-id", "\n", "/etc/machine-id is empty; /var/lib/dbus"),
            ("etc/machine-id", "uninitialized\n", "/etc/machine-id is 'uninitialized', which"),
            ("proc/sys/kernel/hostname", "raspberrypi\n", "the host name is 'raspberrypi', as it is on many machines"),
            ("proc/sys/kernel/hostname", "localhost\n", "the host name is 'localhost', as it is on many machines"),
            (
                "sys/class/dmi/id/product_uuid",
                "03000200-0400-0500-0006-000700080009\n",
                "the product UUID is '03000200-0400-0500-0006-000700080009', which its vendor writes into every board",
            ),
        ] {
            let bed =
                own().with(|tree| tree.without("var/lib/dbus/machine-id").file("var/lib/dbus/machine-id", "other"));
            let bed = if path == "etc/machine-id" { bed } else { own() };
            let found = one(&bed.with(|tree| tree.file(path, text)));
            assert_eq!(found.0, Warn, "{path}");
            assert!(found.1.starts_with(seen), "{}", found.1);
        }
    }

    #[test]
    fn names() {
        let one = |name: &str| {
            let name = name.parse().map_err(|_| "the host name 'localhost' is every machine's name".to_owned());
            Bed::new().one("node-name", |w| w.node_name = Some(name))
        };
        assert_eq!(one("Edge-1"), told(Pass, "'edge-1'", ""));
        let advice = "give this node a name of its own";
        let seen = "'raspberrypi' is a name that many machines have; a second node of that name cannot join";
        assert_eq!(one("RaspberryPi"), told(Warn, seen, advice));
        assert_eq!(one(""), told(Fail, "the host name 'localhost' is every machine's name", advice));
        assert_eq!(Bed::new().one("node-name", |w| w.node_name = None), told(Skip, "not joining", ""));
    }

    #[test]
    fn clocks() {
        let mut bed = Bed::new();
        assert_eq!(bed.one("clock", |_| {}), told(Pass, "2026-02-02T02:40:00Z", ""));
        bed.now = 30;
        let seen = "1970-01-01T00:00:30Z, but it cannot be before 2026-02-02T02:39:59Z";
        let advice = "set the clock, or wait for its synchronisation, and run the same command again";
        assert_eq!(bed.one("clock", |_| {}), told(Fail, seen, advice));
        assert_eq!(bed.one("clock", |w| w.time_floor = None), told(Skip, "1970-01-01T00:00:30Z", ""));
    }

    #[test]
    fn tokens() {
        let one = |text: &str| Bed::new().one("token", |w| w.token = parsed(text));
        let fetch = "fetch a new token with 'edgelay cloud token' or 'keadm gettoken' in the cloud";
        for (exp, want) in [
            (NOW + 12 * 3600, told(Pass, "ends at 2026-02-02T14:40:00Z, in 12 h", "")),
            (NOW + 3600, told(Pass, "ends at 2026-02-02T03:40:00Z, in 60 min", "")),
            (NOW + 90 * 86_400, told(Pass, "ends at 2026-05-03T02:40:00Z, in 90 days", "")),
            (NOW + 599, told(Warn, "the token ends at 2026-02-02T02:49:59Z, in 9 min", fetch)),
            (NOW, told(Fail, "the token ended at 2026-02-02T02:40:00Z", fetch)),
            (0, told(Fail, "the token ended at 1970-01-01T00:00:00Z", fetch)),
        ] {
            assert_eq!(one(&token(exp)), want, "{exp}");
        }
        assert_eq!(one(&token(u64::MAX)).0, Pass);

        let endless = format!("{}.e30.e30.{CANARY}", "a".repeat(64));
        assert_eq!(one(&endless), told(Pass, "does not end", ""));
        let damaged = format!("{}.e30.AAAA.{CANARY}", "a".repeat(64));
        let seen = "the token is damaged: its claims are not a JSON object";
        assert_eq!(one(&damaged), told(Fail, seen, fetch));

        let copy = "copy the token again, whole and on one line";
        assert_eq!(one(""), told(Fail, "the token: is empty", copy));
        let seen = "the token: is not four parts joined by '.' (a CA hash and a JWT)";
        assert_eq!(one(&format!("{}.e30", "a".repeat(64))), told(Fail, seen, copy));
        assert_eq!(Bed::new().one("token", |w| w.token = None), told(Skip, "no token given", ""));
    }

    #[test]
    fn a_clock_in_the_past_does_not_freshen_a_token() {
        let mut bed = Bed::new();
        bed.now = 30;
        let old = bed.one("token", |w| w.token = parsed(&token(NOW - 3600)));
        assert_eq!(old.1, "the token ended at 2026-02-02T01:40:00Z");
    }

    #[test]
    fn no_finding_shows_the_token() {
        for text in
            [token(NOW + 30), token(NOW - 30), format!("{}.x", token(1)), format!("{}.e30.!.{CANARY}", "b".repeat(64))]
        {
            let findings = Bed::new().run(|w| w.token = parsed(&text));
            let shown =
                super::super::text(&findings) + &super::super::json(&findings).unwrap() + &format!("{findings:?}");
            for part in text.split('.').filter(|part| part.len() > 3) {
                assert!(!shown.contains(part), "{part} in {shown}");
            }
        }
    }
}
