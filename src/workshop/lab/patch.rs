//! JSON Patch (RFC 6902), the three operations that a config needs: add, replace, remove.
//!
//! A change written this way can be read aloud, copied, and applied to another config by other tools. A path that is not there is
//! an error: a change that changes nothing must not look like one that did.

use serde_json::Value;

use crate::error::{Error, Result};

/// Applies the operations in order.
pub fn apply(document: &mut Value, patch: &Value) -> Result<()> {
    patch.as_array().into_iter().flatten().try_for_each(|operation| one(document, operation))
}

fn one(document: &mut Value, operation: &Value) -> Result<()> {
    let path = operation["path"].as_str().unwrap_or_default();
    let wrong = || Error::new(format!("the patch has no place {path}"));
    let (parent, key) = path.rsplit_once('/').ok_or_else(wrong)?;
    let value = operation["value"].clone();
    let key = key.replace("~1", "/").replace("~0", "~");
    match (operation["op"].as_str(), document.pointer_mut(parent).ok_or_else(wrong)?) {
        (Some("add"), Value::Array(list)) if key == "-" => list.push(value),
        (Some("add"), Value::Object(members)) => drop(members.insert(key, value)),
        (Some("replace"), place) => match place {
            Value::Object(members) => *members.get_mut(&key).ok_or_else(wrong)? = value,
            Value::Array(list) => *key.parse().ok().and_then(|n: usize| list.get_mut(n)).ok_or_else(wrong)? = value,
            _ => return Err(wrong()),
        },
        (Some("remove"), Value::Object(members)) => drop(members.remove(&key).ok_or_else(wrong)?),
        (Some("remove"), Value::Array(list)) => {
            let index = key.parse().ok().filter(|n: &usize| *n < list.len()).ok_or_else(wrong)?;
            list.remove(index);
        }
        _ => return Err(wrong()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_what_it_names() {
        let mut config = json!({"a": {"b": [1, 2]}, "c": true});
        let patch = json!([
            {"op": "add", "path": "/a/b/-", "value": 3},
            {"op": "replace", "path": "/a/b/0", "value": 0},
            {"op": "remove", "path": "/a/b/1"},
            {"op": "replace", "path": "/c", "value": false},
            {"op": "add", "path": "/d", "value": {}},
        ]);
        apply(&mut config, &patch).expect("a good patch");
        assert_eq!(config, json!({"a": {"b": [0, 3]}, "c": false, "d": {}}));
    }

    #[test]
    fn a_place_that_is_not_there_is_an_error() {
        for operation in [
            json!({"op": "remove", "path": "/x"}),
            json!({"op": "replace", "path": "/x", "value": 1}),
            json!({"op": "remove", "path": "/a/7"}),
            json!({"op": "add", "path": "/x/y", "value": 1}),
        ] {
            let mut config = json!({"a": []});
            let error = apply(&mut config, &json!([operation])).expect_err("no such place");
            assert!(error.to_string().contains("/"), "{error}");
            assert_eq!(config, json!({"a": []}));
        }
    }
}
