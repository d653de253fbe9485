//! keadm's `--set` grammar: which forms it takes, which it refuses and in which words, which it drops in silence.
//!
//! Commas part the pairs, unless inside braces or quotes; a pair without exactly one `=` is dropped. A path is one of
//! Go names (`Modules.Edged.NodeIP`) or of tags (`modules.eventBus.mqttMode`); fields of embedded structures have no
//! path of tags, and an index needs Go names. Values are guessed: integer, float, bool, `{list}`, `{map:…}`, else text;
//! the guess must fit the field's type.

use super::fields::{Field, table};
use super::yaml::Yaml;

/// Why a `--set` was not taken.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// An error in keadm's words: exit 1.
    Refused(String),
    /// The real one's reflection panics here: exit 2.
    Panic(String),
}

/// A guessed value.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Int(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    /// With the Go type of its elements.
    List(&'static str, Vec<String>),
    Map(&'static str, Vec<(String, Value)>),
}

/// Applies one `--set` argument to a configuration.
pub(crate) fn apply(config: &mut Yaml, set: &str) -> Result<(), Fault> {
    let fields = table();
    // every value is read before the first one is set
    let mut pairs = Vec::new();
    for pair in split(set) {
        if let [name, value] = pair.split('=').collect::<Vec<_>>()[..] {
            pairs.push((name.to_string(), guess(value)?));
        }
    }
    for (name, value) in pairs {
        let path = resolve(&fields, &name)?;
        match name.find(']') {
            None if !name.contains('[') => set_field(&fields, config, &path, value)?,
            Some(close) if close == name.len() - 1 => set_element(&fields, config, &path, value)?,
            _ => set_inside(&fields, config, &path, value)?,
        }
    }
    Ok(())
}

fn split(set: &str) -> Vec<String> {
    let (mut parts, mut part) = (Vec::new(), String::new());
    let (mut quoted, mut braced) = (false, false);
    for c in set.chars() {
        match c {
            ',' if !quoted && !braced => parts.push(std::mem::take(&mut part)),
            c if c.is_whitespace() && !quoted && !braced => {}
            _ => {
                match c {
                    '{' if !quoted => braced = true,
                    '}' if !quoted => braced = false,
                    '"' => quoted = !quoted,
                    _ => {}
                }
                part.push(c);
            }
        }
    }
    parts.push(part);
    parts.retain(|part| !part.is_empty());
    parts
}

fn guess(text: &str) -> Result<Value, Fault> {
    if let Some(inner) = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
        return if inner.contains(':') { guess_map(inner) } else { Ok(guess_list(inner)) };
    }
    if let Ok(number) = text.parse() {
        return Ok(Value::Int(number));
    }
    if let Ok(number) = text.parse() {
        return Ok(Value::Float(number));
    }
    match text {
        "t" | "T" | "true" | "TRUE" | "True" => return Ok(Value::Bool(true)),
        "f" | "F" | "false" | "FALSE" | "False" => return Ok(Value::Bool(false)),
        _ => {}
    }
    Ok(Value::Text(unquote(text)))
}

fn guess_list(inner: &str) -> Value {
    let items: Vec<&str> = inner.split(',').collect();
    let kind = match (items[0].parse::<i64>(), items[0].parse::<f64>()) {
        (Ok(_), _) => "int",
        (_, Ok(_)) => "float64",
        _ => "string",
    };
    Value::List(kind, items.into_iter().map(unquote).collect())
}

fn guess_map(inner: &str) -> Result<Value, Fault> {
    let mut pairs = Vec::new();
    let mut kind = "";
    for pair in inner.split(',') {
        let mut halves = pair.split(':');
        let key = halves.next().unwrap_or_default();
        let Some(value) = halves.next() else {
            return Err(Fault::Panic("runtime error: index out of range [1] with length 1".into()));
        };
        let value = guess(value)?;
        if !kind.is_empty() && kind != go_type(&value) {
            return Err(Fault::Panic(format!(
                "reflect.Value.SetMapIndex: value of type {} is not assignable to type {kind}",
                go_type(&value)
            )));
        }
        kind = go_type(&value);
        pairs.push((unquote(key), value));
    }
    Ok(Value::Map(kind, pairs))
}

fn unquote(text: &str) -> String {
    let text = text.trim();
    for quote in ['\'', '"'] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote)) {
            return inner.into();
        }
    }
    text.into()
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Int(_) => "int",
        Value::Float(_) => "float64",
        Value::Bool(_) => "bool",
        Value::Text(_) => "string",
        Value::List("int", _) => "[]int",
        Value::List("float64", _) => "[]float64",
        Value::List(..) => "[]string",
        Value::Map("int", _) => "map[string]int",
        Value::Map("float64", _) => "map[string]float64",
        Value::Map("bool", _) => "map[string]bool",
        Value::Map(..) => "map[string]string",
    }
}

/// Turns a path of tags into one of Go names; what has no tag becomes an empty name, which nobody finds later.
fn resolve(fields: &[Field], name: &str) -> Result<String, Fault> {
    let segments: Vec<&str> = name.split('.').collect();
    if starts_upper(segments[0]) {
        return Ok(name.into());
    }
    let mut go: Vec<String> = Vec::new();
    for segment in &segments {
        let children = fields.iter().filter(|f| f.go.len() == go.len() + 1 && f.go.starts_with(&go));
        let mut children: Vec<&Field> = children.collect();
        if children.is_empty() {
            return Err(Fault::Panic("reflect: call of reflect.Value.NumField on string Value".into()));
        }
        children.retain(|f| match starts_upper(segment) {
            true => f.go.last().is_some_and(|last| last == segment),
            false => f.tagged && f.keys.last().is_some_and(|last| last == segment),
        });
        match children.first() {
            Some(field) => go.clone_from(&field.go),
            None if starts_upper(segment) => {
                return Err(Fault::Panic("reflect: call of reflect.Value.Interface on zero Value".into()));
            }
            None => break,
        }
    }
    go.resize(segments.len(), String::new());
    Ok(go.join("."))
}

fn starts_upper(segment: &str) -> bool {
    segment.starts_with(|c: char| c.is_uppercase())
}

/// Finds a field by its path of Go names.
fn find<'a>(fields: &'a [Field], path: &str) -> Result<&'a Field, Fault> {
    let segments: Vec<&str> = path.split('.').collect();
    let mut found = None;
    for depth in 1..=segments.len() {
        found = fields.iter().find(|f| f.go.iter().map(String::as_str).eq(segments[..depth].iter().copied()));
        let Some(field) = found else {
            let missing = segments[depth - 1];
            return Err(Fault::Refused(format!("{path}: No such field: {missing} in Config")));
        };
        if depth < segments.len() && !field.kind.is_empty() {
            let kind = &field.kind;
            return Err(Fault::Panic(format!("reflect: call of reflect.Value.FieldByName on {kind} Value")));
        }
    }
    found.ok_or_else(|| Fault::Refused(format!("{path}: No such field:  in Config")))
}

fn place<'a>(config: &'a mut Yaml, field: &Field) -> &'a mut Yaml {
    config.place(&field.keys.iter().map(String::as_str).collect::<Vec<_>>())
}

fn set_field(fields: &[Field], config: &mut Yaml, path: &str, value: Value) -> Result<(), Fault> {
    let field = find(fields, path)?;
    let value = convert(&field.kind, value)
        .map_err(|why| Fault::Refused(format!("{path}: Convert to target value failed, err: {why}")))?;
    *place(config, field) = value;
    Ok(())
}

/// `A.B[n]=value`
fn set_element(fields: &[Field], config: &mut Yaml, path: &str, value: Value) -> Result<(), Fault> {
    // a path that lost its index, or has a bad one, is looked up as an empty name
    let (path, index) = match path.split_once('[') {
        Some((path, index)) => match index.trim_end_matches(']').parse::<i64>() {
            Ok(index) => (path, index),
            Err(_) => ("", -1),
        },
        None => ("", -1),
    };
    let field = find(fields, path)?;
    let last = field.go.last().cloned().unwrap_or_default();
    let Some(element) = field.kind.strip_prefix("[]") else {
        return Err(Fault::Refused(format!("{last} is not an array,slice and map")));
    };
    let index = usize::try_from(index).map_err(|_| Fault::Refused(format!("index out of range for {last}")))?;
    let value = convert(element, value)
        .map_err(|why| Fault::Refused(format!("{path}: Convert to elem value failed, err: {why}")))?;
    *element_at(place(config, field), index, Yaml::Str(String::new())) = value;
    Ok(())
}

fn element_at(list: &mut Yaml, index: usize, empty: Yaml) -> &mut Yaml {
    if !matches!(list, Yaml::List(_)) {
        *list = Yaml::List(Vec::new());
    }
    let Yaml::List(items) = list else { unreachable!("made a list above") };
    while items.len() <= index {
        items.push(empty.clone());
    }
    &mut items[index]
}

/// `A.B[n].C=value`: of the fields known here, only taints have something inside.
fn set_inside(fields: &[Field], config: &mut Yaml, path: &str, value: Value) -> Result<(), Fault> {
    let refused = |why: String| Err(Fault::Refused(why));
    let names: Vec<&str> = path.split(['.', '[', ']']).filter(|name| !name.is_empty()).collect();
    let depth = names.iter().position(|name| name.parse::<usize>().is_ok()).unwrap_or(names.len());
    let Ok(field) = find(fields, &names[..depth].join(".")) else {
        let after = names.get(depth).or(names.last()).unwrap_or(&"");
        return refused(format!("field {after} is neither a struct nor a slice nor a pointer"));
    };
    let [index, target] = names[depth..] else {
        return refused(format!(
            "{path}: Convert to target value failed, err: {}",
            mismatch(&value, structure(&field.go))
        ));
    };
    if field.kind != "[]v1.Taint" {
        return refused(format!("field {index} is not a struct"));
    }
    let key = match target {
        "Key" => "key",
        "Value" => "value",
        "Effect" => "effect",
        _ => return refused(format!("field {target} not found")),
    };
    let value = convert("string", value)
        .map_err(|why| Fault::Refused(format!("{path}: Convert to target value failed, err: {why}")))?;
    let mut empty = Yaml::map();
    *empty.place(&["key"]) = Yaml::Str(String::new());
    *empty.place(&["effect"]) = Yaml::Str(String::new());
    *element_at(place(config, field), index.parse().unwrap_or(0), empty).place(&[key]) = value;
    Ok(())
}

/// The Go type of a structure, of which only this one can be hit by a path that lost its end.
fn structure(go: &[String]) -> &'static str {
    match go.last().map(String::as_str) {
        Some("TailoredKubeletConfig") => "*v1alpha2.TailoredKubeletConfiguration",
        _ => "a structure",
    }
}

fn mismatch(value: &Value, kind: &str) -> String {
    format!("Provided value type {} does not match target type {kind}", go_type(value))
}

/// Fits a guessed value to a Go type.
fn convert(kind: &str, value: Value) -> Result<Yaml, String> {
    let why = mismatch(&value, kind);
    match (kind, value) {
        ("string" | "*string" | "v1.Duration", Value::Text(text)) => Ok(Yaml::Str(text)),
        ("bool" | "*bool", Value::Bool(b)) => Ok(Yaml::Bool(b)),
        // plain int32, int64 and uint8 are what keadm cannot set; pointers to them and other kinds of int it can
        ("int" | "*int32" | "*int64" | "v1alpha2.MqttMode", Value::Int(n)) => Ok(Yaml::Int(n)),
        ("[]string", Value::List("string", items)) => Ok(Yaml::List(items.into_iter().map(Yaml::Str).collect())),
        ("map[string]string", Value::Map("string", pairs)) | ("map[string]bool", Value::Map("bool", pairs)) => {
            let value = |v| match v {
                Value::Bool(b) => Yaml::Bool(b),
                Value::Text(text) => Yaml::Str(text),
                _ => Yaml::Null,
            };
            Ok(Yaml::Map(pairs.into_iter().map(|(k, v)| (k, value(v))).collect()))
        }
        (kind, Value::Map(from, _)) if kind.starts_with("map[string]") => {
            let from = if from == "int" || from == "float64" { "number" } else { from };
            Err(format!("json: cannot unmarshal {from} into Go value of type {}", &kind["map[string]".len()..]))
        }
        _ => Err(why),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::defaults;
    use super::*;

    const EDGED: &str = "modules.edged.tailoredKubeletConfig.";

    fn after(set: &str) -> Result<Yaml, Fault> {
        let mut config = defaults();
        apply(&mut config, set).map(|()| config)
    }

    #[test]
    fn forms_that_keadm_takes() {
        for (set, path, value) in [
            ("modules.edged.tailoredKubeletConfig.clusterDNS={169.254.96.16}", "clusterDNS", "- 169.254.96.16\n"),
            ("Modules.Edged.TailoredKubeletConfig.ClusterDNS[0]=169.254.96.16", "clusterDNS", "- 169.254.96.16\n"),
            ("modules.edged.tailoredKubeletConfig.clusterDomain=cluster.local", "clusterDomain", "cluster.local\n"),
            (
                "modules.edged.tailoredKubeletConfig.imageGCHighThresholdPercent=100",
                "imageGCHighThresholdPercent",
                "100\n",
            ),
            ("modules.edged.tailoredKubeletConfig.syncFrequency=2m", "syncFrequency", "2m\n"),
            (
                "modules.edged.tailoredKubeletConfig.featureGates={DisableCSIVolumePlugin:true}",
                "featureGates",
                "DisableCSIVolumePlugin: true\n",
            ),
            (
                "modules.edged.tailoredKubeletConfig.evictionHard={memory.available:100Mi}",
                "evictionHard",
                "memory.available: 100Mi\n",
            ),
            (
                "Modules.Edged.TailoredKubeletConfig.RegisterWithTaints[0].Key=edge,\
                 Modules.Edged.TailoredKubeletConfig.RegisterWithTaints[0].Effect=NoSchedule",
                "registerWithTaints",
                "- effect: NoSchedule\n  key: edge\n",
            ),
        ] {
            let config = after(set).unwrap();
            assert_eq!(config.at(&format!("{EDGED}{path}")).unwrap().render(), value, "{set}");
        }
        let both = "Modules.Edged.NodeIP=10.1.1.1,modules.metaManager.metaServer.enable=true";
        let config = after(&format!("{both},modules.eventBus.mqttMode=0,Modules.Edged.RootDirectory=/data")).unwrap();
        assert_eq!(config.text("modules.edged.nodeIP"), "10.1.1.1");
        assert_eq!(config.text("modules.edged.rootDirectory"), "/data");
        assert_eq!(config.text("modules.eventBus.mqttMode"), "0");
        assert!(config.is_true("modules.metaManager.metaServer.enable"));
        let gates = after("featureGates={requireAuthorization:true}").unwrap();
        assert!(gates.is_true("featureGates.requireAuthorization"));
    }

    #[test]
    fn forms_that_keadm_refuses() {
        for (set, why) in [
            ("modules.edged.tailoredKubeletConfig.clusterDNS[0]=169.254.96.16", ": No such field:  in Config"),
            (
                "modules.edged.tailoredKubeletConfig.clusterDNS=169.254.96.16",
                "Modules.Edged.TailoredKubeletConfig.ClusterDNS: Convert to target value failed, err: Provided value type \
                 string does not match target type []string",
            ),
            (
                "modules.edged.tailoredKubeletConfig.registerWithTaints[0].key=edge",
                "Modules.Edged.TailoredKubeletConfig..: Convert to target value failed, err: Provided value type string \
                 does not match target type *v1alpha2.TailoredKubeletConfiguration",
            ),
            ("modules.edged.rootDirectory=/x", "Modules.Edged.: No such field:  in Config"),
            ("modules.edged.networkPluginName=cni", "Modules.Edged.: No such field:  in Config"),
            (
                "Modules.Edged.NetworkPluginName=cni",
                "Modules.Edged.NetworkPluginName: No such field: NetworkPluginName in Config",
            ),
            ("edged.rootDirectory=/x", ".: No such field:  in Config"),
            (
                "modules.edged.tailoredKubeletConfig.maxPods=20",
                "Modules.Edged.TailoredKubeletConfig.MaxPods: Convert to target value failed, err: Provided value type int \
                 does not match target type int32",
            ),
            (
                "Modules.Edged.HostnameOverride=12",
                "Modules.Edged.HostnameOverride: Convert to target value failed, err: Provided value type int does not match \
                 target type string",
            ),
            (
                "modules.eventBus.enable=1",
                "Modules.EventBus.Enable: Convert to target value failed, err: Provided value type int does not match target \
                 type bool",
            ),
        ] {
            assert_eq!(after(set), Err(Fault::Refused(why.into())), "{set}");
        }
    }

    #[test]
    fn forms_that_vanish_and_forms_that_crash() {
        assert_eq!(after("modules.eventBus.enable"), Ok(defaults()));
        assert_eq!(after("Modules.Edged.HostnameOverride=a=b"), Ok(defaults()));
        assert!(matches!(after("featureGates={a:true,b:1}"), Err(Fault::Panic(_))));
        assert!(matches!(after("featureGates={a:true,b}"), Err(Fault::Panic(_))));
    }
}
