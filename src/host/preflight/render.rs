//! Findings as text for people and as JSON for programs.

use serde::Serialize;

use super::{Finding, Verdict};
use crate::error::Result;
use crate::gather::Grow;
use crate::report::one_line;

/// One line per finding with its advice below, and a summary. Ends with a line break.
pub fn text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|f| f.check.len()).max().unwrap_or(0);
    let mut out = String::new();
    for finding in findings {
        let (word, seen) = (finding.verdict.word(), one_line(&finding.seen));
        out.grow(format_args!("{word}  {:width$}  {seen}\n", finding.check));
        if let Some(advice) = &finding.advice {
            out.grow(format_args!("      {:width$}  -> {}\n", "", one_line(advice)));
        }
    }
    let count = Count::of(findings);
    out.grow(format_args!(
        "preflight: {} passed, {} warned, {} failed, {} skipped\n",
        count.pass, count.warn, count.fail, count.skip
    ));
    if count.fail > 0 {
        out.push_str("hint: go on in spite of a failure with --ignore-check NAME[,NAME]\n");
    }
    out
}

#[derive(Debug, Default, Serialize)]
struct Count {
    pass: usize,
    warn: usize,
    fail: usize,
    skip: usize,
}

impl Count {
    fn of(findings: &[Finding]) -> Self {
        let of = |verdict| findings.iter().filter(|f| f.verdict == verdict).count();
        Count { pass: of(Verdict::Pass), warn: of(Verdict::Warn), fail: of(Verdict::Fail), skip: of(Verdict::Skip) }
    }
}

/// Version of the JSON form. Fields are only ever added.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Report<'a> {
    schema: u32,
    /// The worst of all.
    verdict: Verdict,
    count: Count,
    findings: &'a [Finding],
}

/// One JSON object (schema 1) with a line break at its end.
pub fn json(findings: &[Finding]) -> Result<String> {
    let worst = findings.iter().map(|f| f.verdict).max().unwrap_or(Verdict::Skip);
    let verdict = if worst == Verdict::Skip { Verdict::Pass } else { worst };
    let report = Report { schema: SCHEMA, verdict, count: Count::of(findings), findings };
    crate::json::to_line(&report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Vec<Finding> {
        let finding = |check, verdict, seen: &str, advice: Option<&str>| Finding {
            check,
            verdict,
            seen: seen.into(),
            advice: advice.map(str::to_owned),
        };
        vec![
            finding("root", Verdict::Pass, "running as root", None),
            finding("disk-space", Verdict::Warn, "tight", Some("keep 20 % free")),
            finding("ports", Verdict::Fail, "held by \"\u{1b}[2J\"", Some("stop it")),
            finding("token", Verdict::Skip, "no token given", None),
        ]
    }

    #[test]
    fn text_block() {
        let want = "\
pass  root        running as root
warn  disk-space  tight
                  -> keep 20 % free
fail  ports       held by \"?[2J\"
                  -> stop it
skip  token       no token given
preflight: 1 passed, 1 warned, 1 failed, 1 skipped
hint: go on in spite of a failure with --ignore-check NAME[,NAME]
";
        assert_eq!(text(&findings()), want);
        assert_eq!(text(&[]), "preflight: 0 passed, 0 warned, 0 failed, 0 skipped\n");
    }

    #[test]
    fn json_object() {
        let want = concat!(
            r#"{"schema":1,"verdict":"fail","count":{"pass":1,"warn":1,"fail":1,"skip":1},"findings":["#,
            r#"{"check":"root","verdict":"pass","seen":"running as root","advice":null},"#,
            r#"{"check":"disk-space","verdict":"warn","seen":"tight","advice":"keep 20 % free"},"#,
            r#"{"check":"ports","verdict":"fail","seen":"held by \"\u001B[2J\"","advice":"stop it"},"#,
            r#"{"check":"token","verdict":"skip","seen":"no token given","advice":null}]}"#,
            "\n"
        );
        assert_eq!(json(&findings()).unwrap(), want);
        let none = r#"{"schema":1,"verdict":"pass","count":{"pass":0,"warn":0,"fail":0,"skip":0},"findings":[]}"#;
        assert_eq!(json(&[]).unwrap(), format!("{none}\n"));
    }
}
