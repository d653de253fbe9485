//! The join file: what an edge needs, with a token of today. No token means no file; nothing is invented.

use std::net::IpAddr;
use std::path::PathBuf;

use super::cloudcore::FACT;
use super::release;
use crate::clock::rfc3339;
use crate::config::{CloudConfig, JoinFile, MAX_JOIN_FILE, join_file_value};
use crate::error::{Error, Kind, Result};
use crate::gather::Gather;
use crate::host::token_expiry;
use crate::ids::{RelPath, Token};
use crate::kubeedge::{CERTIFICATES, Chart, WEBSOCKET};
use crate::plan::{Cx, Status, Step};

/// Where it lies if nothing else is said.
pub const PATH: RelPath<'static> = RelPath::literal("var/lib/edgelay/join.json");
/// A file that ends sooner is written anew.
const LEFT: u64 = 3600;

/// The step.
#[derive(Debug)]
pub struct JoinFileStep {
    kubeconfig: PathBuf,
    chart: Chart,
    addresses: Vec<IpAddr>,
    edgemesh: bool,
}

impl JoinFileStep {
    /// For the CloudCore of `chart`, at the addresses of `config`.
    pub fn new(config: &CloudConfig, chart: Chart, edgemesh: bool) -> Self {
        JoinFileStep { kubeconfig: config.kubeconfig.clone(), chart, addresses: config.addresses.clone(), edgemesh }
    }

    /// The file's text, with a token that CloudCore made and whose CA is the one that it serves.
    pub fn text(&self, cx: &mut Cx<'_>) -> Result<String> {
        let hash = release::ca_hash(&self.kubeconfig, cx.exec)?.hex();
        let said = cx.exec.run(&self.chart.gettoken())?;
        let none = |why: String| Error::new(Kind::Cluster, format_args!("there is no token: {why}"));
        let no_token =
            |why: String| none(why).hint("look at 'k3s kubectl -n kubeedge logs deployment/cloudcore'; then run again");
        if said.code != 0 {
            return Err(no_token(said.last_words()));
        }
        let token: Token = said.stdout.parse().map_err(|e| no_token(format!("what keadm printed {e}")))?;
        cx.report.hide(&token);
        if token.ca_hash() != hash {
            return Err(no_token("CloudCore's token is for another CA than the one that it serves".to_owned()));
        }
        let ends = token_expiry(&token).map_err(|e| no_token(e.to_string()))?;
        // CloudCore's refresh ends for good when the API is away for a moment; only a restart brings it back.
        if ends.is_some_and(|ends| ends <= cx.clock.unix()) {
            return Err(none("the one that CloudCore has given out is expired".to_owned())
                .hint("restart it: 'k3s kubectl -n kubeedge delete pod -l kubeedge=cloudcore'; then run again"));
        }
        let file = JoinFile {
            addresses: &self.addresses,
            websocket_port: WEBSOCKET,
            cert_port: CERTIFICATES,
            token: &token,
            expires: &ends.map(rfc3339).unwrap_or_default(),
            edgemesh: self.edgemesh,
            kubeedge: &self.chart.version,
        };
        Ok(file.render())
    }

    fn lack(&self, cx: &Cx<'_>) -> Result<Option<String>> {
        let meta = cx.root.lstat(PATH)?;
        let Some(text) = cx.root.read(PATH, MAX_JOIN_FILE)? else {
            return Ok(Some(format!("'{PATH}' is missing")));
        };
        if meta.is_some_and(|meta| meta.mode != 0o600) {
            return Ok(Some(format!("'{PATH}' can be read by others")));
        }
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).gather();
        // Until CloudCore was started again the fact says so instead: that is for its own step to tell.
        let hash = cx.journal.fact(FACT).filter(|fact| !fact.contains(' ')).map(str::to_owned);
        let hash = hash.or_else(|| join_file_value(&text, "ca_hash")).unwrap_or_default();
        let wanted = [
            ("addresses", addresses.join(",")),
            ("websocket_port", WEBSOCKET.to_string()),
            ("cert_port", CERTIFICATES.to_string()),
            ("ca_hash", hash),
            ("edgemesh", self.edgemesh.to_string()),
            ("kubeedge", self.chart.version.clone()),
        ];
        for (key, want) in &wanted {
            let found = join_file_value(&text, key).unwrap_or_default();
            if found != *want {
                return Ok(Some(format!("'{PATH}' says {key} '{found}', wanted '{want}'")));
            }
        }
        let expires = join_file_value(&text, "expires").unwrap_or_default();
        // Times of this form are in the order of their texts.
        let soon = rfc3339(cx.clock.unix().saturating_add(LEFT));
        let ends = !expires.is_empty() && expires < soon;
        Ok(ends.then(|| format!("the token in '{PATH}' ends at {expires}")))
    }
}

impl Step for JoinFileStep {
    fn id(&self) -> &'static str {
        "join-file"
    }

    fn summary(&self) -> String {
        format!("what edges need to join lies in '{PATH}'")
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        Ok(self.lack(cx)?.map_or(Status::Done, Status::Todo))
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        let text = self.text(cx)?;
        cx.put(PATH, 0o600, text.as_bytes()).map(|_| ())
    }

    fn undo(&self, cx: &mut Cx<'_>) -> Result<()> {
        cx.take_back_file(PATH.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::Script;
    use crate::plan::tests::with_cx;

    #[test]
    fn what_cloudcore_still_lacks_is_not_told_of_the_file() {
        let config = CloudConfig::default();
        let step = JoinFileStep::new(&config, Chart::new(&config, "v1.22.0".into()), false);
        with_cx(|cx| {
            let file = r#"{"addresses": [], "websocket_port": 10000, "cert_port": 10002, "ca_hash": "aa", "edgemesh": false, "kubeedge": "v1.22.0"}"#;
            cx.put(PATH, 0o600, file.as_bytes()).unwrap();
            for (fact, want) in
                [("aa", None), ("to be started again", None), ("bb", Some("says ca_hash 'aa', wanted 'bb'"))]
            {
                cx.journal.remember(FACT, fact).unwrap();
                let want = want.map(|what| format!("'{PATH}' {what}"));
                assert_eq!(step.lack(cx).unwrap(), want);
            }
        });
    }

    #[test]
    fn no_token_means_no_file_and_nothing_is_invented() {
        const CA: &str = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"; // of "foo"
        const SIGNATURE: &str = "c2lnbmF0dXJlLW9mLTQzLWxldHRlcnM";
        // {"exp":9999999999}, {"exp":0}
        let token = |ca: &str, claims: &str| format!("{ca}.aGVhZA.{claims}.{SIGNATURE}\n");
        let (good, late) = (token(CA, "eyJleHAiOjk5OTk5OTk5OTl9"), token(CA, "eyJleHAiOjB9"));
        let other = token(&"a".repeat(64), "eyJleHAiOjk5OTk5OTk5OTl9");
        let logs = "look at 'k3s kubectl -n kubeedge logs deployment/cloudcore'; then run again";
        let restart = "restart it: 'k3s kubectl -n kubeedge delete pod -l kubeedge=cloudcore'; then run again";
        for (code, said, want) in [
            (0, good.as_str(), None),
            (1, "secrets \"tokensecret\" not found", Some(("secrets \"tokensecret\" not found", logs))),
            (0, "", Some(("what keadm printed is empty", logs))),
            (0, "no.token", Some(("what keadm printed is not four parts joined by '.' (a CA hash and a JWT)", logs))),
            (0, &other, Some(("CloudCore's token is for another CA than the one that it serves", logs))),
            (0, &late, Some(("the one that CloudCore has given out is expired", restart))),
        ] {
            let config = CloudConfig { kubeconfig: "/k".into(), ..CloudConfig::default() };
            let step = JoinFileStep::new(&config, Chart::new(&config, "v1.22.0".into()), false);
            let kubectl = "k3s kubectl --kubeconfig=/k get";
            let stored = format!(
                "{kubectl} secret casecret --namespace=kubeedge --ignore-not-found '--output=jsonpath={{.data.cadata}}'"
            );
            let served =
                format!("{kubectl} --raw=/api/v1/namespaces/kubeedge/services/https:cloudcore:10002/proxy/ca.crt");
            let mut script = Script::default().expect(&stored, 0, "Zm9v").expect(&served, 0, "foo");
            script = script.expect("keadm gettoken --kube-config=/k", code, said);
            with_cx(|cx| {
                let Cx { root, clock, report, .. } = *cx;
                let mut cx = Cx { exec: &mut script, root, clock, report, journal: cx.journal, blobs: None };
                let done = step.apply(&mut cx);
                let file = root.read(PATH, MAX_JOIN_FILE).unwrap();
                let Some((why, hint)) = want else {
                    done.unwrap();
                    assert_eq!(join_file_value(&file.unwrap(), "token").as_deref(), Some(good.trim()));
                    return;
                };
                let e = done.unwrap_err();
                assert_eq!(e.to_string(), format!("there is no token: {why}"));
                assert_eq!((e.kind(), e.hint_text(), file), (Kind::Cluster, Some(hint), None));
                assert!(!format!("{e:?}").contains(SIGNATURE));
            });
        }
    }
}
