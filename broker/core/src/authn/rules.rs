//! Who may ask for which token: pure rules, in the order in which they refuse.

use super::{CreateToken, entry::Entry, refusal::Refusal, text};

const MAX_POLICIES: usize = 256;
const MAX_NAME_BYTES: usize = 256;
const MAX_META: usize = 64;
const MAX_META_BYTES: usize = 1024;

pub(super) fn bounded(ask: &CreateToken) -> Result<(), Refusal> {
    let long = |text: &str, limit: usize| text.len() > limit;
    let too_much = |field, limit| Err(Refusal::TooMuch { field, limit });
    if ask.policies.len() > MAX_POLICIES || ask.policies.iter().any(|name| long(name, MAX_NAME_BYTES)) {
        return too_much("policies", "at most 256 names of at most 256 bytes");
    }
    if long(&ask.display_name, MAX_NAME_BYTES) {
        return too_much("display_name", "at most 256 bytes");
    }
    if ask.meta.len() > MAX_META || ask.meta.iter().any(|(k, v)| long(k, MAX_META_BYTES) || long(v, MAX_META_BYTES)) {
        return too_much("meta", "at most 64 members of at most 1024 bytes");
    }
    Ok(())
}

/// What needs sudo, and what nobody may ask.
pub(super) fn entitled(ask: &CreateToken, privileged: bool) -> Result<(), Refusal> {
    if !ask.entity_alias.is_empty() {
        return Err(Refusal::EntityAlias);
    }
    if privileged {
        return ask.id.as_ref().map_or(Ok(()), text::custom);
    }
    let wishes = [
        ("specify token id", ask.id.is_some()),
        ("create orphan token", ask.no_parent),
        ("create periodic token", !ask.period.is_zero()),
    ];
    wishes.into_iter().find(|(_, wished)| *wished).map_or(Ok(()), |(wish, _)| Err(Refusal::NeedsSudo(wish)))
}

pub(super) fn policies(parent: &Entry, ask: &CreateToken, privileged: bool) -> Result<Vec<String>, Refusal> {
    let has = |names: &[String], name: &str| names.iter().any(|had| had == name);
    // A list of empty names is a list: it asks for nothing, not for all that the parent has.
    let mut names = if ask.policies.is_empty() { parent.policies.clone() } else { sanitized(&ask.policies) };
    if !privileged && !names.iter().all(|name| has(&parent.policies, name)) {
        return Err(Refusal::PolicySubset);
    }
    if has(&names, "response-wrapping") || has(&names, "control-group") {
        return Err(Refusal::InternalPolicy);
    }
    if has(&names, "root") {
        return if parent.is_root() { Ok(vec!["root".to_owned()]) } else { Err(Refusal::RootFromRoot) };
    }
    if ask.no_default_policy {
        names.retain(|name| name != "default");
    } else if privileged || has(&parent.policies, "default") {
        names.push("default".to_owned());
    }
    Ok(sanitized(&names))
}

/// Lower case, trimmed, sorted, each once.
fn sanitized(names: &[String]) -> Vec<String> {
    let mut names: Vec<String> =
        names.iter().map(|name| name.trim().to_lowercase()).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

pub(super) fn fit_for_batch(ask: &CreateToken, policies: &[String]) -> Result<(), Refusal> {
    if policies.iter().any(|name| name == "root") {
        return Err(Refusal::BatchRoot);
    }
    let wishes = [
        ("id", ask.id.is_some()),
        ("num_uses", ask.num_uses > 0),
        ("period", !ask.period.is_zero()),
        ("explicit_max_ttl", !ask.explicit_max_ttl.is_zero()),
    ];
    wishes.into_iter().find(|(_, wished)| *wished).map_or(Ok(()), |(field, _)| Err(Refusal::BatchField(field)))
}

/// `token`, or `token-` and the wish with everything but letters, digits and `-` replaced.
pub(super) fn display_name(wish: &str) -> String {
    if wish.is_empty() {
        return "token".to_owned();
    }
    let safe: String = wish.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!("token-{safe}").trim_end_matches('-').to_owned()
}
