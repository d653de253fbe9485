//! What the checks of steps said, for stdout: the plan of an installation, and the status of a node.

use crate::gather::{Gather, Grow};
use crate::json::Text;
use crate::plan::{Finding, Status};
use crate::report::one_line;

use super::command::Format;

/// What the findings are shown as: words for a step that is as it should be, and for one that is not. One of which
/// this host cannot tell is `not known` in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    done: &'static str,
    todo: &'static str,
}

/// `--dry-run`
pub const PLAN: View = View { done: "done", todo: "todo" };
/// `status`
pub const STATUS: View = View { done: "ok", todo: "drift" };

/// The word for [`Status::Unknown`]. It is no drift: a host whose cloud is silent is as it was installed.
const UNKNOWN: &str = "not known";

/// Version of the JSON form. Fields are only ever added.
const SCHEMA: u32 = 1;

/// The findings as text or JSON.
pub fn render(findings: &[Finding], view: View, format: Format) -> String {
    match format {
        Format::Text => text(findings, view),
        Format::Json => json(findings, view),
    }
}

fn text(findings: &[Finding], view: View) -> String {
    let width = findings.iter().map(|f| f.id.len()).max().unwrap_or_default();
    let words = findings.iter().map(|f| word(&f.status, view).0.len()).chain([view.done.len(), view.todo.len()]).max();
    let words = words.unwrap_or_default();
    let mut out = String::new();
    for Finding { id, summary, status } in findings {
        let (word, seen) = word(status, view);
        let seen = if seen.is_empty() { String::new() } else { format!(": {}", one_line(seen)) };
        out.grow(format_args!("{word:words$}  {id:width$}  {}{seen}\n", one_line(summary)));
    }
    out
}

/// The word for a status, and what was seen.
fn word(status: &Status, view: View) -> (&'static str, &str) {
    match status {
        Status::Done => (view.done, ""),
        Status::Todo(seen) => (view.todo, seen),
        Status::Unknown(seen) => (UNKNOWN, seen),
    }
}

fn json(findings: &[Finding], view: View) -> String {
    let steps: Vec<String> = findings
        .iter()
        .map(|Finding { id, summary, status }| {
            let (word, seen) = word(status, view);
            let (id, summary, word, seen) = (Text(id), Text(summary), Text(word), Text(seen));
            format!("{{\"step\":{id},\"summary\":{summary},\"status\":{word},\"seen\":{seen}}}")
        })
        .gather();
    let all = if findings.iter().all(|f| f.status.is_settled()) { view.done } else { view.todo };
    format!("{{\"schema\":{SCHEMA},\"status\":{},\"steps\":[{}]}}\n", Text(all), steps.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms() {
        let finding = |id, status| Finding { id, summary: format!("the {id}"), status };
        let findings =
            [finding("files", Status::Done), finding("edgecore", Status::Todo("not \"running\"\x1b".into()))];
        assert_eq!(
            render(&findings, STATUS, Format::Text),
            "ok     files     the files\ndrift  edgecore  the edgecore: not \"running\"?\n"
        );
        let json: serde_json::Value = serde_json::from_str(&render(&findings, STATUS, Format::Json)).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"schema": 1, "status": "drift", "steps": [
                {"step": "files", "summary": "the files", "status": "ok", "seen": ""},
                {"step": "edgecore", "summary": "the edgecore", "status": "drift", "seen": "not \"running\"\u{1b}"},
            ]})
        );
        let findings =
            [finding("files", Status::Done), finding("node-ready", Status::Unknown("metaServer is off".into()))];
        assert_eq!(
            render(&findings, STATUS, Format::Text),
            "ok         files       the files\nnot known  node-ready  the node-ready: metaServer is off\n"
        );
        assert!(render(&findings, STATUS, Format::Json).starts_with("{\"schema\":1,\"status\":\"ok\""));
        assert_eq!(render(&[], PLAN, Format::Json), "{\"schema\":1,\"status\":\"done\",\"steps\":[]}\n");
    }
}
