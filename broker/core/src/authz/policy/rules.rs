//! From the tree to rules: which keys there are, what they take, and what is refused.

use std::{collections::HashSet, time::Duration};

use super::{
    Capabilities, Constant, MAX_PATH_BYTES, MAX_RULES, MAX_SEGMENTS, NAMES, Parameters, Rule,
    tree::{Fault, Member, Node, Result, Value, quote},
};

const KEYS: &str = "capabilities, policy, allowed_parameters, denied_parameters, required_parameters, \
                    min_wrapping_ttl, max_wrapping_ttl, comment";

/// Known to Vault or OpenBao, but a rule that leans on them would be weaker here.
const NOT_ENFORCED: [&str; 5] =
    ["control_group", "expiration", "list_scan_response_keys_filter_path", "mfa_methods", "pagination_limit"];

pub(super) fn rules(members: Vec<Member>) -> Result<Vec<Rule>> {
    let (mut rules, mut segments) = (Vec::new(), 0);
    for member in members {
        match member.name.as_str() {
            "name" => _ = text(member.node)?,
            "path" => paths(member.node, &mut rules, &mut segments)?,
            name => {
                return Err(Fault::new(member.at, format!("unknown key {}; expected one of name, path", quote(name))));
            }
        }
    }
    Ok(rules)
}

/// `{"a": {..}, "b": {..}}`, or a list of such.
fn paths(node: Node, rules: &mut Vec<Rule>, segments: &mut usize) -> Result<()> {
    for member in blocks(node)? {
        if rules.len() >= MAX_RULES {
            return Err(Fault::new(member.at, format!("more than {MAX_RULES} path blocks")));
        }
        let path = pattern(member.at, &member.name)?;
        if path.contains('+') {
            *segments += path.split('/').count();
        }
        if *segments > MAX_SEGMENTS {
            return Err(Fault::new(member.at, format!("more than {MAX_SEGMENTS} segments in paths with a '+'")));
        }
        rules.push(rule(path, member)?);
    }
    Ok(())
}

/// The members of an object, or of all objects in a list (the list form of HCL's JSON).
fn blocks(node: Node) -> Result<Vec<Member>> {
    let mut members = Vec::new();
    let nodes = match node.value {
        Value::List(nodes) => nodes,
        value => vec![Node { at: node.at, value }],
    };
    for Node { at, value } in nodes {
        let Value::Object(more) = value else { return mismatch(at, "an object", &value) };
        members.extend(more);
    }
    Ok(members)
}

/// Where wildcards may be is Vault's rule: `*` means a prefix only at the end and `+` a segment
/// only alone between slashes; anywhere else both are plain characters.
fn pattern(at: usize, path: &str) -> Result<String> {
    let path = path.strip_prefix('/').unwrap_or(path);
    if path.len() > MAX_PATH_BYTES {
        return Err(Fault::new(at, format!("the path is longer than {MAX_PATH_BYTES} bytes")));
    }
    if path.contains("{{") || path.contains("}}") {
        return Err(Fault::new(at, "templates (\"{{..}}\") are not supported in paths"));
    }
    if path.contains("+*") {
        return Err(Fault::new(at, "\"+*\" is not a wildcard: write \"+/*\" or \"*\""));
    }
    Ok(path.to_owned())
}

fn rule(path: String, block: Member) -> Result<Rule> {
    let mut rule = Rule { path, ..Rule::default() };
    let mut seen = HashSet::new();
    for member in blocks(block.node)? {
        if !seen.insert(member.name.clone()) {
            return Err(Fault::new(member.at, format!("{} is given twice in this block", quote(&member.name))));
        }
        set(&mut rule, member)?;
    }
    match (rule.min_wrapping_ttl, rule.max_wrapping_ttl) {
        (Some(min), Some(max)) if max < min => {
            Err(Fault::new(block.at, "max_wrapping_ttl cannot be less than min_wrapping_ttl"))
        }
        _ => Ok(rule),
    }
}

fn set(rule: &mut Rule, Member { at, name, node }: Member) -> Result<()> {
    match name.as_str() {
        "allowed_parameters" => rule.allowed = parameters(node)?,
        "capabilities" => rule.capabilities = rule.capabilities | capabilities(node)?,
        "comment" => scalar(&node)?,
        "denied_parameters" => rule.denied = parameters(node)?,
        "max_wrapping_ttl" => rule.max_wrapping_ttl = duration(node)?,
        "min_wrapping_ttl" => rule.min_wrapping_ttl = duration(node)?,
        "policy" => rule.capabilities = rule.capabilities | legacy(node)?,
        "required_parameters" => rule.required = required(node)?,
        name if NOT_ENFORCED.contains(&name) => {
            let words = format!("{name} is not supported: it would not be enforced, so the rule would allow too much");
            return Err(Fault::new(at, words));
        }
        name => return Err(Fault::new(at, format!("unknown key {}; expected one of {KEYS}", quote(name)))),
    }
    Ok(())
}

fn capabilities(node: Node) -> Result<Capabilities> {
    let mut granted = Capabilities::default();
    for node in list(node)? {
        let at = node.at;
        let word = text(node)?;
        let Some(one) = Capabilities::named(&word) else {
            let words = format!("unknown capability {}; expected one of {}", quote(&word), NAMES.join(", "));
            return Err(Fault::new(at, words));
        };
        granted = granted | one;
    }
    Ok(granted)
}

fn legacy(node: Node) -> Result<Capabilities> {
    let at = node.at;
    let word = text(node)?;
    Capabilities::legacy(&word).ok_or_else(|| {
        Fault::new(at, format!("unknown policy {}; expected one of deny, read, sudo, write", quote(&word)))
    })
}

fn parameters(node: Node) -> Result<Parameters> {
    let mut parameters = Parameters::new();
    for member in blocks(node)? {
        let values = list(member.node)?.into_iter().map(constant).collect::<Result<_>>()?;
        if parameters.insert(member.name.to_lowercase(), values).is_some() {
            return Err(Fault::new(member.at, format!("parameter {} is given twice", quote(&member.name))));
        }
    }
    Ok(parameters)
}

fn required(node: Node) -> Result<Vec<String>> {
    list(node)?.into_iter().map(|node| Ok(text(node)?.to_lowercase())).collect()
}

fn constant(node: Node) -> Result<Constant> {
    Ok(match node.value {
        Value::Boolean(value) => Constant::Boolean(value),
        Value::List(nodes) => Constant::List(nodes.into_iter().map(constant).collect::<Result<_>>()?),
        Value::Null => return mismatch(node.at, "a value", &node.value),
        Value::Number(number) => Constant::Number(number),
        Value::Object(members) => Constant::Object(
            members.into_iter().map(|member| Ok((member.name, constant(member.node)?))).collect::<Result<_>>()?,
        ),
        Value::Text(text) => Constant::Text(text),
    })
}

/// Seconds as a number, or a duration in words. Zero or nothing means no limit, as in Vault.
fn duration(node: Node) -> Result<Option<Duration>> {
    const FORM: &str = "a duration such as 90, \"90s\", \"1h30m\" or \"2d\"";
    let parsed = match &node.value {
        Value::Number(seconds) => Duration::try_from_secs_f64(*seconds).ok(),
        Value::Text(text) if text.is_empty() => Some(Duration::ZERO),
        Value::Text(text) => crate::duration::parse(text).ok(),
        value => return mismatch(node.at, FORM, value),
    };
    match parsed {
        Some(duration) => Ok((!duration.is_zero()).then_some(duration)),
        None => Err(Fault::new(node.at, format!("expected {FORM}"))),
    }
}

fn list(node: Node) -> Result<Vec<Node>> {
    match node.value {
        Value::List(nodes) => Ok(nodes),
        value => mismatch(node.at, "a list", &value),
    }
}

fn text(node: Node) -> Result<String> {
    match node.value {
        Value::Text(text) => Ok(text),
        value => mismatch(node.at, "a string", &value),
    }
}

fn scalar(node: &Node) -> Result<()> {
    match &node.value {
        Value::Boolean(_) | Value::Number(_) | Value::Text(_) => Ok(()),
        value => mismatch(node.at, "a string", value),
    }
}

fn mismatch<T>(at: usize, expected: &str, found: &Value) -> Result<T> {
    Err(Fault::new(at, format!("expected {expected}, found {}", found.kind())))
}
