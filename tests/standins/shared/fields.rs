//! The fields of EdgeCore's configuration: names in Go, names in YAML, types, defaults. The table is `fields.txt`.

use super::yaml::Yaml;

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    /// Path of Go names.
    pub(crate) go: Vec<String>,
    /// Path of YAML keys.
    pub(crate) keys: Vec<String>,
    /// Whether a path of tags finds it.
    pub(crate) tagged: bool,
    /// Go type; empty for a structure.
    pub(crate) kind: String,
    pub(crate) default: Option<String>,
}

pub(crate) fn table() -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    let mut open: Vec<(String, String)> = Vec::new();
    for line in include_str!("fields.txt").lines().filter(|line| !line.starts_with('#')) {
        let level = (line.len() - line.trim_start().len()) / 2;
        let words: Vec<&str> = line.split_whitespace().collect();
        open.truncate(level);
        let tag = words[1].trim_start_matches('*');
        open.push((words[0].to_string(), tag.to_string()));
        fields.push(Field {
            go: open.iter().map(|(go, _)| go.clone()).collect(),
            keys: open.iter().map(|(_, key)| key.clone()).collect(),
            tagged: !words[1].starts_with('*'),
            kind: words.get(2).unwrap_or(&"").to_string(),
            default: words.get(3).map(|word| word.to_string()),
        });
    }
    fields
}

/// The configuration that EdgeCore starts from when no file says otherwise.
pub(crate) fn defaults() -> Yaml {
    let mut config = Yaml::map();
    for field in table() {
        let Some(text) = &field.default else { continue };
        let keys: Vec<&str> = field.keys.iter().map(String::as_str).collect();
        *config.place(&keys) = default_value(&field.kind, text);
    }
    *config.place(&["apiVersion"]) = Yaml::Str("edgecore.config.kubeedge.io/v1alpha2".into());
    *config.place(&["kind"]) = Yaml::Str("EdgeCore".into());
    config
}

fn default_value(kind: &str, text: &str) -> Yaml {
    match kind.trim_start_matches('*') {
        "bool" => Yaml::Bool(text == "true"),
        "string" | "v1.Duration" => Yaml::Str(text.trim_matches('"').into()),
        "[]string" => Yaml::List(text.split(',').map(|item| Yaml::Str(item.into())).collect()),
        "map[string]string" => Yaml::Map(
            text.split(',').filter_map(|p| p.split_once('=')).map(|(k, v)| (k.into(), Yaml::Str(v.into()))).collect(),
        ),
        _ => Yaml::Int(text.parse().unwrap()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_stand_where_edgecore_has_them() {
        let config = defaults();
        for (path, value) in [
            ("database.dataSource", "/var/lib/kubeedge/edgecore.db"),
            ("modules.edged.rootDirectory", "/var/lib/kubelet"),
            ("modules.edged.tailoredKubeletConfig.evictionHard", ""),
            ("modules.eventBus.mqttMode", "2"),
            ("modules.metaManager.metaServer.server", "127.0.0.1:10550"),
            ("modules.edgeHub.token", ""),
        ] {
            assert_eq!(config.text(path), value, "{path}");
        }
        assert!(!config.is_true("modules.metaManager.metaServer.enable"));
        assert_eq!(config.at("modules.edged.tailoredKubeletConfig.clusterDNS"), None);
        assert_eq!(super::super::yaml::parse(&config.render()).unwrap(), config);
    }
}
