//! The values of KubeEdge's chart, and helm's `--set` on them. A path that the chart does not have is refused here,
//! where the real one takes it without a word: such a value has no effect.

use serde_json::{Map, Value};

/// Maps that take any key.
const FREE: [&str; 8] =
    ["labels", "annotations", "affinity", "tolerations", "nodeSelector", "resources", "strategy", "securityContext"];

pub(crate) fn defaults() -> Value {
    serde_json::from_str(include_str!("values.json")).unwrap_or_default()
}

/// `a.b=x,c[0]=y`
pub(crate) fn set(values: &mut Value, text: &str) -> Result<(), String> {
    for pair in text.split(',') {
        let fault = || format!("failed parsing --set data: key \"{pair}\" has no value");
        let (path, value) = pair.split_once('=').ok_or_else(fault)?;
        let mut at = &mut *values;
        let mut free = false;
        for part in path.split('.') {
            let (name, index) = match part.split_once('[') {
                Some((name, rest)) => (name, rest.trim_end_matches(']').parse::<usize>().ok()),
                None => (part, None),
            };
            let known = at.as_object().is_some_and(|map| map.contains_key(name));
            if !known && !free {
                return Err(format!("stand-in: the chart has no value '{path}'"));
            }
            free |= FREE.contains(&name);
            at = match at {
                Value::Object(map) => map.entry(name).or_insert(Value::Object(Map::new())),
                _ => return Err(format!("stand-in: the chart has no value '{path}'")),
            };
            if let Some(index) = index {
                let Value::Array(list) = at else { return Err(format!("stand-in: '{path}' is no list")) };
                if index > list.len() {
                    return Err(format!("stand-in: '{path}' leaves a gap"));
                }
                if index == list.len() {
                    list.push(Value::Null);
                }
                at = &mut list[index];
            }
        }
        *at = match value {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => value.parse::<i64>().map_or_else(|_| Value::String(value.into()), Value::from),
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_set_where_the_chart_has_them() {
        let mut values = defaults();
        set(&mut values, "cloudCore.modules.dynamicController.enable=true,cloudCore.modules.cloudHub.nodeLimit=7")
            .unwrap();
        set(&mut values, "cloudCore.modules.cloudHub.advertiseAddress[0]=10.0.0.1").unwrap();
        set(&mut values, "cloudCore.modules.cloudHub.advertiseAddress[1]=10.0.0.2").unwrap();
        set(&mut values, "cloudCore.strategy.type=Recreate").unwrap();
        let modules = &values["cloudCore"]["modules"];
        assert_eq!(modules["dynamicController"]["enable"], true);
        assert_eq!(modules["cloudHub"]["nodeLimit"], 7);
        assert_eq!(modules["cloudHub"]["advertiseAddress"], serde_json::json!(["10.0.0.1", "10.0.0.2"]));
        assert_eq!(values["cloudCore"]["strategy"]["type"], "Recreate");
        for bad in ["cloudcore.x=1", "cloudCore.modules.dynamiccontroller.enable=true", "mosquitto.enabled=false", "x"]
        {
            assert!(set(&mut values, bad).is_err(), "{bad}");
        }
    }
}
