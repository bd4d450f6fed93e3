//! What a plugin's field may hold, as a schema: exactly what `route::lift` of the core takes.

use serde_json::{Value, json};

use super::mounts::Field;

/// A duration as text.
pub(super) const SPAN: &str = "([0-9]{1,9}|([0-9]{1,9}(ms|s|m|h|d))+)";

/// The schema of a field in a body.
pub(super) fn in_body(field: &Field) -> Value {
    let mut schema = kind(&field.kind, &field.words);
    schema["description"] = json!(field.doc);
    if let Some(default) = &field.default {
        schema["default"] = default.clone();
    }
    if field.sensitive {
        schema["x-warder-sensitive"] = json!(true);
    }
    schema
}

/// The schema of a field in a query: what its text may be.
pub(super) fn in_query(field: &Field) -> Value {
    let pattern = match &*field.kind {
        "boolean" => "^(true|True|TRUE|t|T|1|false|False|FALSE|f|F|0|)$".to_owned(),
        "duration" => format!("^-?{SPAN}?$"),
        "integer" => "^-?[0-9]{1,18}$".to_owned(),
        "choice" => return json!({ "type": "string", "enum": field.words, "description": field.doc }),
        _ => return json!({ "type": "string", "description": field.doc }),
    };
    json!({ "type": "string", "pattern": pattern, "description": field.doc })
}

fn kind(kind: &str, words: &[String]) -> Value {
    let scalar = json!({ "type": ["string", "number", "boolean"] });
    match kind {
        "boolean" => {
            json!({ "enum": [true, false, null, "true", "True", "TRUE", "t", "T", "1", "false", "False", "FALSE", "f", "F", "0", ""] })
        }
        "choice" => {
            let words = words.iter().map(|word| json!(word)).chain([Value::Null]).collect::<Vec<_>>();
            json!({ "enum": words })
        }
        "duration" => json!({
            "type": ["integer", "string", "null"],
            "minimum": i64::MIN,
            "maximum": i64::MAX,
            "pattern": format!("^-?{SPAN}?$"),
        }),
        "integer" => json!({
            "type": ["integer", "string", "null"],
            "minimum": i64::MIN,
            "maximum": i64::MAX,
            "pattern": "^-?[0-9]{1,18}$",
        }),
        "text" => json!({ "type": ["string", "number", "boolean", "null"] }),
        "text-list" => json!({ "type": ["array", "string", "number", "null"], "items": scalar }),
        "text-map" => json!({ "type": ["object", "null"], "additionalProperties": scalar }),
        _ => json!({}),
    }
}
