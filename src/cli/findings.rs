//! What the checks of steps said, for stdout: the plan of an installation, and the status of a node.

use crate::json::Text;
use crate::plan::{Finding, Status};
use crate::report::one_line;

use super::command::Format;

/// What the findings are shown as: words for a step that is as it should be, and for one that is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    done: &'static str,
    todo: &'static str,
}

/// `--dry-run`
pub const PLAN: View = View { done: "done", todo: "todo" };
/// `status`
pub const STATUS: View = View { done: "ok", todo: "drift" };

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
    let words = view.done.len().max(view.todo.len());
    let mut out = String::new();
    for Finding { id, summary, status } in findings {
        let (word, seen) = match status {
            Status::Done => (view.done, String::new()),
            Status::Todo(seen) => (view.todo, format!(": {}", one_line(seen))),
        };
        out.push_str(&format!("{word:words$}  {id:width$}  {}{seen}\n", one_line(summary)));
    }
    out
}

fn json(findings: &[Finding], view: View) -> String {
    let steps: Vec<String> = findings
        .iter()
        .map(|Finding { id, summary, status }| {
            let (word, seen) = match status {
                Status::Done => (view.done, ""),
                Status::Todo(seen) => (view.todo, seen.as_str()),
            };
            let (id, summary, word, seen) = (Text(id), Text(summary), Text(word), Text(seen));
            format!("{{\"step\":{id},\"summary\":{summary},\"status\":{word},\"seen\":{seen}}}")
        })
        .collect();
    let all = if findings.iter().all(|f| f.status == Status::Done) { view.done } else { view.todo };
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
        assert_eq!(render(&[], PLAN, Format::Json), "{\"schema\":1,\"status\":\"done\",\"steps\":[]}\n");
    }
}
