//! docs/config.md and docs/config-cloud.md, from the tables.

use super::cloud_keys::CLOUD_KEYS;
use super::keys::{KEYS, Key};
use super::value::Form;
use crate::gather::Grow;

const HEAD: &str = r#"# Configuration of an edge node

<!-- Made from the table in src/config/keys.rs: UPDATE_DOCS=1 cargo test --test it docs -->

`edgelay edge install --config FILE` reads one JSON file (`-` is the standard input). Every setting is also a flag
and an environment variable. A flag wins over the environment, the environment over the file, the file over the
default. `--show-config` tells each value and where it comes from, and does nothing else.

```json
{
  "schema": 1,
  "cloud": {"host": "192.0.2.10"},
  "token_file": "/etc/edgelay/token",
  "node": {"name": "edge-7", "labels": {"site": "hall-3"}}
}
```

* `schema` is the version of the file's shape, 1. A file without it is taken as version 1.
* Unknown keys, wrong types and double keys are refused with line and column. `null` is as good as absent.
* Every value that is given is checked, also one that another source overrides.
* In flags and variables lists and maps are joined by commas (`site=hall-3,row=4`); a list or map replaces the one
  from a lower source, they are not merged. Switches are `true` or `false`, also `on`, `off`, `yes`, `no`, `1`, `0`.
* An empty variable counts as absent. A variable that begins with `EDGELAY_` and looks like a mistyped setting is
  refused.

| key | flag | variable | default |
|---|---|---|---|
"#;

const CLOUD_HEAD: &str = r#"# Configuration of the cloud side

<!-- Made from the table in src/config/cloud_keys.rs: UPDATE_DOCS=1 cargo test --test it docs -->

`edgelay cloud install --config FILE` reads one JSON file. What [config.md](config.md) says of sources, their precedence,
lists, switches and faults holds here, too.

```json
{
  "schema": 1,
  "advertise_address": ["192.0.2.10"],
  "dns_names": ["cloud.example"]
}
```

| key | flag | variable | default |
|---|---|---|---|
"#;

/// docs/config.md, the edge node's.
pub fn render_doc() -> String {
    render(HEAD, KEYS)
}

/// docs/config-cloud.md, the cloud side's.
pub fn render_cloud_doc() -> String {
    render(CLOUD_HEAD, CLOUD_KEYS)
}

fn render(head: &str, keys: &[Key]) -> String {
    let mut out = String::from(head);
    for key in keys {
        let Key { path, flag, env, default, .. } = key;
        let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
        out.grow(format_args!("| `{path}` | `--{flag}` | `{env}` | {default} |\n"));
    }
    for key in keys {
        out.grow(format_args!("\n## `{}`\n\n", key.path));
        let kind = match key.form {
            Form::Text => "Text",
            Form::Number => "Number",
            Form::Switch => "Switch",
            Form::Duration => "Seconds as a number, or text such as `\"5m\"`",
            Form::List => "List of text",
            Form::Map => "Object of text",
        };
        out.push_str(&wrap(&format!("{kind}: {}.", key.help)));
        if !key.more.is_empty() {
            out.grow(format_args!("\n{}", wrap(key.more)));
        }
    }
    out
}

/// Lines of at most 116 columns.
fn wrap(text: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        if column > 0 && column + 1 + word.chars().count() > 116 {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += word.chars().count();
    }
    out.push('\n');
    out
}
