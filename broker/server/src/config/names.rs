//! Names of options: their paths in the file, their variables, and what a wrong one may have meant.

use super::options::{SECTIONS, Section};

/// What every variable begins with.
const PREFIX: &str = "WARDER_";

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// A section that somebody chose the name of.
    Name,
    /// No option and no section has it.
    Nothing,
    /// An option.
    Option,
    /// Options begin with it.
    Section,
}

/// Whether a name can be written without quotes, and is not too long.
pub(super) fn is_bare(name: &str) -> bool {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=64).contains(&name.len()) && name.bytes().all(bare)
}

/// Finds a path among those of the options.
pub(super) fn find(path: &str) -> Named {
    let asked: Vec<&str> = path.split('.').collect();
    let mut found = Named::Nothing;
    for (section, option) in options() {
        let whole = format!("{}.{option}", section.path);
        let parts: Vec<&str> = whole.split('.').collect();
        let begins = asked.iter().zip(&parts).all(|(asked, part)| fits(section, asked, part));
        if begins && asked.len() == parts.len() {
            return Named::Option;
        }
        if begins && asked.len() < parts.len() {
            let name = parts.get(asked.len() - 1) == Some(&"*");
            found = if name { Named::Name } else { Named::Section };
        }
    }
    found
}

fn fits(section: &Section, asked: &str, part: &str) -> bool {
    asked == part || (part == "*" && is_name(section, asked))
}

/// Whether a section may have this name: not where an option beside it begins so.
pub(super) fn is_name(section: &Section, name: &str) -> bool {
    let beside = SECTIONS.iter().filter(|other| section.path.strip_suffix(".*") == Some(other.path));
    let taken = beside.flat_map(|other| other.options).any(|option| option.key.split('.').next() == Some(name));
    is_bare(name) && !taken
}

/// Whether all that is below a path are names.
pub(super) fn only_names(path: &str) -> bool {
    children(path) == ["NAME"]
}

/// The section of an option's path, with its name.
pub(super) fn section(path: &str) -> Option<String> {
    let mut parts = path.split('.');
    let (first, second) = (parts.next()?, parts.next()?);
    let root = |section: &Section| section.path.split('.').next() == Some(first);
    let named = |section: &&Section| root(section) && section.has_names() && is_name(section, second);
    match SECTIONS.iter().find(named) {
        Some(section) => Some(section.named(second)),
        None => SECTIONS.iter().any(root).then(|| first.to_owned()),
    }
}

fn options() -> impl Iterator<Item = (&'static Section, &'static str)> {
    SECTIONS.iter().flat_map(|section| section.options.iter().map(move |option| (section, option.key)))
}

/// The variable of an option's path.
pub(super) fn variable_of(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "_").to_uppercase())
}

/// The option that a variable names; none when the variable is not ours.
///
/// # Errors
/// When it begins like an option and is none.
pub(super) fn variable(name: &str) -> Result<Option<String>, String> {
    let Some(rest) = name.strip_prefix(PREFIX) else { return Ok(None) };
    for (section, option) in options() {
        let (first, last) = match section.path.strip_suffix('*') {
            Some(first) => (first.to_owned(), format!(".{option}")),
            None => (format!("{}.{option}", section.path), String::new()),
        };
        let [first, last] = [first, last].map(|part| part.replace('.', "_").to_uppercase());
        let middle = rest.strip_prefix(&*first).and_then(|rest| rest.strip_suffix(&*last));
        match middle {
            Some("") if last.is_empty() => return Ok(Some(format!("{}.{option}", section.path))),
            Some(name) if !last.is_empty() && is_name(section, &name.to_lowercase()) => {
                return Ok(Some(format!("{}.{option}", section.named(&name.to_lowercase()))));
            }
            _ => {}
        }
    }
    let ours = |section: &&Section| {
        let word = section.path.trim_end_matches(".*").to_uppercase();
        rest.strip_prefix(&*word).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    };
    let all = options().filter(|(section, _)| !section.has_names());
    let all: Vec<String> = all.map(|(section, option)| variable_of(&format!("{}.{option}", section.path))).collect();
    let meant = nearest(name, all.iter().map(String::as_str));
    match (SECTIONS.iter().find(ours), meant) {
        (_, Some(meant)) => Err(format!("no option has this variable: did you mean {meant}?")),
        (Some(_), None) => Err("no option has this variable".to_owned()),
        (None, None) => Ok(None),
    }
}

/// Words for a path that nothing has.
pub(super) fn unknown(path: &str, what: &str) -> String {
    let meant = meant(path, what);
    let meant = meant.map_or_else(|| format!(": {}", known(path)), |meant| format!(": did you mean {meant}?"));
    format!("unknown {what} {path}{meant}")
}

/// What a wrong path may have meant: a name like it in its section, or one of the same name in another.
fn meant(path: &str, what: &str) -> Option<String> {
    let (parent, last) = path.rsplit_once('.').unwrap_or(("", path));
    let here = children(parent);
    if let Some(name) = nearest(last, here.iter().map(String::as_str)) {
        return Some(if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") });
    }
    let own = |key: &str| key.rsplit('.').next() == Some(last);
    let same: Vec<String> = options()
        .filter(|(section, key)| what == "option" && own(key) && section.path != "listener.*")
        .map(|(section, key)| format!("{}.{key}", section.named("NAME")))
        .collect();
    (!same.is_empty()).then(|| same.join(" or "))
}

/// The names directly below a path.
fn children(parent: &str) -> Vec<String> {
    let depth = if parent.is_empty() { 0 } else { parent.split('.').count() };
    let mut names: Vec<String> = Vec::new();
    for (section, option) in options() {
        let whole = format!("{}.{option}", section.path);
        let parts: Vec<&str> = whole.split('.').collect();
        let within = parent.is_empty() || parent.split('.').zip(&parts).all(|(asked, part)| fits(section, asked, part));
        match parts.get(depth) {
            Some(name) if within && parts.len() > depth => {
                let name = if *name == "*" { "NAME" } else { name };
                if !names.iter().any(|known| known == name) {
                    names.push(name.to_owned());
                }
            }
            _ => {}
        }
    }
    names
}

/// What a section has, for somebody who asked it for something else.
fn known(path: &str) -> String {
    let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
    let names = children(parent).join(", ");
    match parent {
        "" => format!("the sections are {names}"),
        parent => format!("{parent} has {names}"),
    }
}

/// The name that a typo turns into this one.
fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let far = |name: &str| strsim::damerau_levenshtein(&wrong.to_lowercase(), &name.to_lowercase());
    let near = names.map(|name| (far(name), name)).filter(|(far, name)| *far <= (name.len() / 4).clamp(1, 3));
    near.min_by_key(|(far, _)| *far).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_option_has_a_variable_of_its_own() {
        let mut seen = BTreeSet::new();
        for (section, option) in options() {
            let path = format!("{}.{option}", section.named("main"));
            assert_eq!(find(&path), Named::Option, "{path}");
            assert_eq!(variable(&variable_of(&path)), Ok(Some(path.clone())));
            assert!(seen.insert(variable_of(&path)), "{path}");
        }
    }

    #[test]
    fn the_clients_variables_are_left_to_them() {
        for name in ["WARDER_ADDR", "WARDER_TOKEN", "WARDER_CACERT", "WARDER_CLIENT_CERT", "WARDER_CLIENT_KEY"] {
            assert_eq!(variable(name), Ok(None), "{name}");
        }
        for name in ["WARDER_CONFIG", "WARDER_PORT_8200_TCP", "WARDER_SERVICE_HOST", "WARDER_TEST_SEED", "PATH"] {
            assert_eq!(variable(name), Ok(None), "{name}");
        }
    }

    #[test]
    fn a_variable_that_begins_like_an_option_must_be_one() {
        for (name, words) in [
            ("WARDER_LISTENER_ADRESS", "did you mean WARDER_LISTENER_ADDRESS?"),
            ("WARDER_LISTNER_ADDRESS", "did you mean WARDER_LISTENER_ADDRESS?"),
            ("WARDER_AUDIT_MAIN_PTH", "no option has this variable"),
            ("WARDER_AUDIT__TYPE", "no option has this variable"),
            ("WARDER_LOG", "no option has this variable"),
            ("WARDER_LIMITS_MAGIC", "no option has this variable"),
        ] {
            assert!(variable(name).is_err_and(|told| told.contains(words)), "{name}");
        }
    }

    #[test]
    fn a_typo_is_told_from_something_else() {
        for (path, words) in [
            ("listener.adress", "unknown option listener.adress: did you mean listener.address?"),
            ("address", "unknown option address: did you mean listener.address?"),
            ("listener.cert_file", "unknown option listener.cert_file: did you mean listener.tls.cert_file?"),
            ("file", "unknown option file: did you mean plugins.NAME.file?"),
            ("audit.main.pth", "unknown option audit.main.pth: did you mean audit.main.path?"),
            ("seal.key", "unknown option seal.key: seal has type"),
        ] {
            assert_eq!(unknown(path, "option"), words);
        }
        assert_eq!(unknown("seel", "section"), "unknown section seel: did you mean seal?");
        assert!(unknown("metrics", "section").contains("the sections are listener, storage, seal, audit, plugins,"));
    }
}
