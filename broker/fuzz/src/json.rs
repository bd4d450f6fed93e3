//! JSON as spans: a document, a patch or value, a pointer and a depth.
//!
//! What `check` accepts, `serde_json` reads, and each operation does to the text what a plain
//! implementation does to the tree. Duplicate names, depth and numbers out of range apart, what
//! `serde_json` reads, `check` accepts.

use serde_json::{Map, Value};
use warder_core::{
    audit::fuzzing,
    json::{self, JsonError, Kind, Splice},
    request::Fields,
};

use crate::parts;

/// Feeds one input.
pub fn run(mut data: &[u8]) {
    let (document, patch) = (parts::bytes(&mut data), parts::bytes(&mut data));
    let (pointer, depth) = (parts::bytes(&mut data), parts::byte(&mut data));
    let (first, second) = (checked(document), checked(patch));
    let Some((text, tree)) = first else { return };
    taken_apart(text, &tree);
    hidden(text, &tree);
    assert_eq!(read(&json::shape(text, depth.into()).unwrap()), shape(&tree, depth.into()));
    if let Some((patch, patched)) = &second {
        let merged = json::merge_patch(text, patch).unwrap();
        let mut expected = tree.clone();
        merge(&mut expected, patched);
        assert_eq!(read(accepted(merged.expose())), expected, "{text} + {patch}");
    }
    if let Ok(pointer) = std::str::from_utf8(pointer) {
        point(text, &tree, pointer, second.as_ref());
    }
}

/// The text and its tree, when it is accepted; both readers must say the same of it.
fn checked(text: &[u8]) -> Option<(&str, Value)> {
    let tree = serde_json::from_slice::<Value>(text);
    match (json::check(text), tree) {
        (Ok(_), Err(error)) => panic!("accepted, but serde_json says {error}"),
        (Err(JsonError::Malformed { line, column }), Ok(_)) => panic!("refused at {line}:{column} only here"),
        (Err(error), _) => {
            assert!(!matches!(error, JsonError::Pointer | JsonError::Type { .. }), "{error}");
            None
        }
        (Ok(text), Ok(tree)) => Some((text, tree)),
    }
}

fn accepted(text: &[u8]) -> &str {
    json::check(text).expect("what is made of accepted text is accepted")
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).expect("what is accepted is read")
}

/// Members, elements, strings and fields put together again are the same tree, and then the same text.
fn taken_apart(text: &str, tree: &Value) {
    match json::kind(text) {
        Kind::Object => {
            let members = json::members(text).unwrap();
            let again = json::compose(members.iter().map(|(name, raw)| (&**name, *raw)));
            assert_eq!(read(accepted(again.expose())), *tree);
            let fields = Fields::from_json(text.as_bytes()).unwrap().to_json();
            assert!(fields.ct_eq(again.expose()), "fields are the members");
            assert!(Fields::from_json(fields.expose()).unwrap().to_json().ct_eq(fields.expose()), "a form is stable");
        }
        Kind::Array => {
            let elements = json::elements(text).unwrap();
            assert_eq!(Value::Array(elements.into_iter().map(read).collect()), *tree);
        }
        Kind::String => {
            let plain = json::string(text).unwrap();
            assert_eq!(Some(plain.as_str()), tree.as_str());
            assert_eq!(read(accepted(json::string_text(&plain).expose())), *tree);
        }
        Kind::Boolean => assert!(tree.is_boolean()),
        Kind::Null => assert!(tree.is_null()),
        Kind::Number => assert!(tree.is_number()),
    }
    let copied = json::leaves(text, &mut |out, leaf| out.extend_from_slice(leaf.as_bytes())).unwrap();
    assert_eq!(read(accepted(copied.as_bytes())), *tree);
}

/// The audit form has the tree's shape and names, and a digest for every leaf.
fn hidden(text: &str, tree: &Value) {
    let form = fuzzing::hidden(text.as_bytes());
    let form = read(accepted(&form));
    assert!(form.is_string() || same_shape(&form, tree), "{form}");
}

fn same_shape(form: &Value, tree: &Value) -> bool {
    match (form, tree) {
        (Value::Object(form), Value::Object(tree)) => {
            form.len() == tree.len()
                && tree.iter().all(|(name, tree)| form.get(name).is_some_and(|form| same_shape(form, tree)))
        }
        (Value::Array(form), Value::Array(tree)) => {
            form.len() == tree.len() && form.iter().zip(tree).all(|(form, tree)| same_shape(form, tree))
        }
        (Value::Null, Value::Null) => true,
        (Value::String(digest), Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            digest.len() == 76 && digest.starts_with("hmac-sha256:")
        }
        _ => false,
    }
}

fn point(text: &str, tree: &Value, pointer: &str, value: Option<&(&str, Value)>) {
    let Ok(found) = json::project(text, pointer) else {
        assert!(json::split_pointer(pointer).is_err());
        return;
    };
    assert_eq!(found.map(read).as_ref(), tree.pointer(pointer), "{pointer} of {text}");
    let Some((value, put)) = value else { return };
    let spliced = json::splice(text, &[Splice { pointer, text: value }]);
    let mut expected = tree.clone();
    match expected.pointer_mut(pointer) {
        Some(place) if place.is_null() => {
            *place = put.clone();
            assert_eq!(read(accepted_deep(spliced.unwrap().expose())), expected);
        }
        _ => assert_eq!(spliced.err(), Some(JsonError::Pointer), "{pointer} of {text}"),
    }
}

/// A value put into a document may make it deeper than any that is accepted.
fn accepted_deep(text: &[u8]) -> &str {
    assert!(matches!(json::check(text), Ok(_) | Err(JsonError::TooDeep)));
    std::str::from_utf8(text).unwrap()
}

/// RFC 7396, section 2.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else { return };
    for (name, change) in changes {
        if change.is_null() {
            members.remove(name);
        } else {
            merge(members.entry(name).or_insert(Value::Null), change);
        }
    }
}

fn shape(tree: &Value, depth: u32) -> Value {
    let depth = if depth == 0 { u32::MAX } else { depth };
    match tree {
        Value::Object(members) if !members.is_empty() => {
            let below = |value: &Value| if depth == 1 { Value::Null } else { shape(value, depth - 1) };
            Value::Object(members.iter().map(|(name, value)| (name.clone(), below(value))).collect())
        }
        _ => Value::Null,
    }
}
