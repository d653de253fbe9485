//! keadm's and EdgeCore's words, made into an error that says what to do.

use crate::error::{Error, Kind};
use crate::exec::shorten;
use crate::gather::Gather;

/// A text that was seen, its class, and what the user can do.
struct Known(&'static str, Kind, &'static str);

const NEW_TOKEN: &str = "get a new token with 'edgelay cloud token' or 'keadm gettoken' in the cloud and run again";

/// keadm's words where the cloud answers anything but "not found" when asked for the node.
const TAKEN: &str = "node already exists or internal error";

/// Texts of v1.22, the most telling first: EdgeCore's own reason comes before keadm's "timed out".
const KNOWN: &[Known] = &[
    Known("token is expired", Kind::Cluster, NEW_TOKEN),
    Known(
        "failed to validate CA certificate",
        Kind::Cluster,
        "the token belongs to another cloud: get it with 'edgelay cloud token' or 'keadm gettoken' from the cloud that cloud.host names",
    ),
    Known(
        "credentials are in the wrong format",
        Kind::Cluster,
        "the token file was cut or changed: get the token again with 'edgelay cloud token' or 'keadm gettoken' in the cloud",
    ),
    Known(
        "certificate has expired or is not yet valid",
        Kind::Later,
        "set this host's clock: it is not within the validity of the cloud's certificate",
    ),
    Known(
        "certificate is valid for",
        Kind::Cluster,
        "use an address for cloud.host that CloudCore advertises, or add this one to its advertiseAddress",
    ),
    Known(
        "doesn't contain any IP SANs",
        Kind::Cluster,
        "use an address for cloud.host that CloudCore advertises, or add this one to its advertiseAddress",
    ),
    Known("bad handshake", Kind::Cluster, "set cloud.websocket_port to CloudHub's WebSocket port, 10000 by default"),
    Known(
        TAKEN,
        Kind::Cluster,
        "look in the cloud with 'kubectl get node'. If there is a node of this name, of a machine that was here before: delete \
         it with 'kubectl delete node', set join.method to 'native', which takes it over, or choose another node.name. If \
         there is none, CloudCore could not ask its API: run again when that serves",
    ),
    Known(
        "expected cgroupsPath to be of format",
        Kind::Runtime,
        "containerd uses the systemd cgroup driver: set SystemdCgroup = false in its config, or containerd to 'managed'",
    ),
    Known(
        "failed to get sandbox image",
        Kind::Runtime,
        "the pause image that containerd's config names is not in its store: run 'edgelay edge stage' first",
    ),
    Known(
        "failed to pull image",
        Kind::Runtime,
        "the installation-package image is not in containerd's store: run 'edgelay edge stage' first",
    ),
    Known(
        "connection refused",
        Kind::Later,
        "check that CloudCore runs and that cloud.host and cloud.cert_port are right",
    ),
    Known("connection timed out", Kind::Later, "check the road to the cloud: cable, address, firewall"),
    Known("i/o timeout", Kind::Later, "check the road to the cloud: cable, address, firewall"),
    Known("no route to host", Kind::Later, "check the road to the cloud: cable, address, firewall"),
    Known("network is unreachable", Kind::Later, "check the road to the cloud: cable, address, default route"),
    Known("no such host", Kind::Later, "check that this host's name server knows cloud.host, or use an address"),
    Known("no space left on device", Kind::Host, "free space, or inodes, where it could not write, and run again"),
    Known("is not clean", Kind::Host, "move /etc/kubeedge away: it was not made by edgelay"),
    Known(
        "EdgeCore is already running",
        Kind::Host,
        "stop the EdgeCore that runs here and was not installed by edgelay",
    ),
    Known("no supported init system", Kind::Host, "keadm join needs systemd"),
    Known("not been booted with systemd", Kind::Host, "keadm join needs systemd as PID 1"),
    Known("command not found", Kind::Host, "install the program that keadm could not find"),
];

/// Marks of lines in which EdgeCore looks for somebody else than CloudHub, every few seconds and for as long as it runs:
/// the tunnel's server, an MQTT broker, its own kubelet. That one of them refuses it says nothing of the join.
const ASIDE: [&str; 3] = ["edgestream.go:", "] connect error:", "kubelet healthz"];

/// The error for a join that ended badly. `said` are keadm's words, `log` EdgeCore's; secrets are masked already.
pub fn explain(said: &str, log: &str) -> Error {
    let lines: Vec<&str> = log.lines().filter(|line| !ASIDE.iter().any(|mark| line.contains(mark))).gather();
    let log = lines.join("\n");
    let log = log.as_str();
    let known = KNOWN.iter().find(|k| log.contains(k.0)).or_else(|| KNOWN.iter().find(|k| said.contains(k.0)));
    let telling = |text: &str, needle: &str| text.lines().rev().find(|l| l.contains(needle)).map(str::to_owned);
    // Where keadm was not asked, there is only EdgeCore to quote.
    let (who, words) = match said.trim().is_empty() {
        true => ("EdgeCore says", last_complaint(log)),
        false => ("keadm join", last_error(said)),
    };
    match known {
        Some(Known(needle, kind, hint)) => {
            let cause = telling(log, needle).or_else(|| telling(said, needle)).unwrap_or_else(|| words.clone());
            let cause = shorten(cause.trim().trim_start_matches("Error:").trim(), 400);
            let what = if words.contains(needle) || said.trim().is_empty() {
                format!("{who}: {cause}")
            } else {
                format!("{who}: {words}; EdgeCore says: {cause}")
            };
            Error::new(*kind, what).hint(*hint)
        }
        None => Error::new(Kind::Cluster, format_args!("{who}: {words}"))
            .hint("look at 'journalctl -u edgecore' and at /var/log/edgelay/install.log"),
    }
}

/// Whether keadm refused because the cloud may know the node already.
pub fn is_taken(error: &Error) -> bool {
    error.to_string().contains(TAKEN)
}

/// Causes in EdgeCore's own words that no waiting mends: it would start and fail with them for ever.
const FINAL: [&str; 6] = [
    "token is expired",
    "failed to validate CA certificate",
    "credentials are in the wrong format",
    "certificate has expired or is not yet valid",
    "certificate is valid for",
    "doesn't contain any IP SANs",
];
/// EdgeCore's line when it got no certificate.
const NO_CERTIFICATE: &str = "failed to apply the edge certs, err:";

/// The error that EdgeCore's `log` amounts to, if it is one that only a person can mend.
pub fn refusal(log: &str) -> Option<Error> {
    let cause = last_cause(log)?;
    // What CloudCore says of a token is final, whatever the words.
    let is_final = FINAL.iter().any(|words| cause.contains(words)) || cause.contains("code: 401");
    if !is_final {
        return None;
    }
    let known = KNOWN.iter().find(|known| cause.contains(known.0));
    let (kind, hint) = known.map_or((Kind::Cluster, NEW_TOKEN), |k| (k.1, k.2));
    Some(Error::new(kind, format_args!("EdgeCore gets no certificate: {}", shorten(cause, 400))).hint(hint))
}

fn last_cause(log: &str) -> Option<&str> {
    log.lines().rev().find_map(|line| line.split_once(NO_CERTIFICATE)).map(|(_, cause)| cause.trim())
}

/// What was seen of a join so far, for the error should it never come to an end.
pub fn without_words(log: &str) -> String {
    match last_cause(log) {
        Some(cause) => format!("EdgeCore gets no certificate: {}", shorten(cause, 400)),
        None => "no certificates yet, and EdgeCore does not say why".to_owned(),
    }
}

/// The last line of a log of klog's that a Go program died with, or else one that is an error; without any, what the service
/// manager says of its end.
fn last_complaint(log: &str) -> String {
    let is_of = |line: &&str, level: u8| {
        let mut bytes = line.bytes();
        bytes.next() == Some(level) && bytes.next().is_some_and(|b| b.is_ascii_digit())
    };
    let is_last = |line: &&str| line.starts_with("panic: ") || is_of(line, b'F');
    let lines = || log.lines().rev().map(str::trim);
    let ended = |line: &&str| ["Main process exited", "Failed to execute"].iter().any(|words| line.contains(words));
    let found =
        lines().find(is_last).or_else(|| lines().find(|line| is_of(line, b'E'))).or_else(|| lines().find(ended));
    let line = found.unwrap_or("nothing that would tell why");
    shorten(line, 400)
}

/// keadm's last line that begins with `Error:`, or its last line.
fn last_error(said: &str) -> String {
    // After an error comes the usage, which says nothing of it.
    let said = said.split_once("\nUsage:").map_or(said, |(before, _)| before);
    let lines = || said.lines().rev().map(str::trim).filter(|l| !l.is_empty());
    let line = lines().find(|l| l.starts_with("Error:")).or_else(|| lines().next()).unwrap_or("it said nothing");
    shorten(line.trim_start_matches("Error:").trim(), 400)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As v1.22.0 writes them, with nobody at the tunnel's port and at the broker's.
    const OTHERS: &str = "\
W1130 07:32:47.441738     877 edged.go:648] failed to get kubelet healthz syncloop, err: Get \"http://localhost:10350/healthz/syncloop\": dial tcp 127.0.0.1:10350: connect: connection refused
E1130 07:27:37.287024     443 edgestream.go:147] dial wss://10.77.0.2:10004/v1/kubeedge/connect error dial tcp 10.77.0.2:10004: connect: connection refused
E1130 07:27:37.287036     443 edgestream.go:114] TLSClientConnect error dial tcp 10.77.0.2:10004: i/o timeout
E1130 07:27:38.287036     443 common.go:101] connect error: network Error : dial tcp 127.0.0.1:1883: connect: connection refused
W1130 07:27:45.295449     443 edgehub.go:138] connection is broken, will reconnect after 30s";

    #[test]
    fn the_cause_is_told_not_the_symptom() {
        let timeout = "I1123 join.go:1] 9. Run EdgeCore daemon\nError: timed out waiting for the condition\n";
        for (said, log, kind, part, hint) in [
            (
                timeout,
                "panic: failed to apply the edge certs, err: failed to get edge certificate from the cloudcore, \
                 error: failed to call http, code: 401, message: token validation failure, err: token has invalid \
                 claims: token is expired",
                Kind::Cluster,
                "timed out waiting for the condition; EdgeCore says: panic",
                "new token",
            ),
            (timeout, "", Kind::Cluster, "keadm join: timed out waiting for the condition", "journalctl"),
            (
                "Error: node already exists or internal error occurred, cannot register again",
                "",
                Kind::Cluster,
                "keadm join: node already exists",
                "If there is none, CloudCore could not ask its API",
            ),
            (
                "Error: error making request: Get \"https://10.0.0.1:10002/node/a\": dial tcp 10.0.0.1:10002: connect: connection refused",
                "",
                Kind::Later,
                "connection refused",
                "CloudCore runs",
            ),
            (" \n", "", Kind::Cluster, "EdgeCore says: nothing that would tell why", "journalctl"),
            (
                "",
                "edgecore.service: Main process exited, code=killed, status=11/SEGV\nedgecore.service: Failed with result 'signal'.",
                Kind::Cluster,
                "EdgeCore says: edgecore.service: Main process exited, code=killed, status=11/SEGV",
                "journalctl",
            ),
            (
                "",
                "I1130 07:32:47.441738     877 server.go:102] Version: v1.22.9\nF1130 07:32:47.442     877 server.go:1] no\nExited",
                Kind::Cluster,
                "EdgeCore says: F1130 07:32:47.442     877 server.go:1] no",
                "journalctl",
            ),
            ("", "x: no such host", Kind::Later, "EdgeCore says: x: no such host", "name server"),
            (
                "Error: create edge config file failed: write /etc/kubeedge/config/edgecore.yaml: no space left on device",
                "",
                Kind::Host,
                "create edge config file failed",
                "free space",
            ),
            (timeout, OTHERS, Kind::Cluster, "keadm join: timed out waiting for the condition", "journalctl"),
            (
                "what went wrong\nUsage:\n  keadm join [flags]\n",
                "",
                Kind::Cluster,
                "keadm join: what went wrong",
                "journalctl",
            ),
        ] {
            let e = explain(said, log);
            assert_eq!(e.kind(), kind, "{e}");
            assert!(e.to_string().contains(part), "{e}");
            assert!(e.hint_text().unwrap().contains(hint), "{e:?}");
        }
    }

    #[test]
    fn what_no_waiting_mends_is_told_from_what_it_may() {
        let line =
            |cause: &str| format!("panic: failed to apply the edge certs, err: {cause}\n\ngoroutine 1 [running]:\n");
        let get = "failed to get edge certificate from the cloudcore, error: ";
        for (cause, hint) in [
            (
                format!(
                    "{get}failed to call http, code: 401, message: token validation failure, err: token has invalid claims: token is expired"
                ),
                Some("new token"),
            ),
            (
                format!(
                    "{get}failed to call http, code: 401, message: token validation failure, err: token signature is invalid"
                ),
                Some("new token"),
            ),
            ("failed to validate CA certificate. tokenCAhash: a, CAhash: b".to_owned(), Some("another cloud")),
            ("token x credentials are in the wrong format".to_owned(), Some("cut or changed")),
            (format!("{get}x509: certificate is valid for 10.9.9.9, not 127.0.0.1"), Some("advertise")),
            (format!("{get}failed to call http, code: 500, message: x"), None),
            (
                "failed to get CA certificate, err: Get \"https://a:10002/ca.crt\": dial tcp: connection refused"
                    .to_owned(),
                None,
            ),
        ] {
            let found = refusal(&line(&cause));
            let found = found.as_ref().and_then(Error::hint_text);
            assert_eq!(found.is_some(), hint.is_some(), "{cause}");
            assert!(found.unwrap_or_default().contains(hint.unwrap_or_default()), "{found:?}");
        }
        assert!(refusal("").is_none() && refusal("token is expired, says somebody else").is_none());
        assert_eq!(without_words(&line("x")), "EdgeCore gets no certificate: x");
    }
}
