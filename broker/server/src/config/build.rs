//! Settings become a configuration: each option is read as its type, then what must fit together
//! is looked at. All mistakes are found, not the first.

use std::{collections::BTreeMap, path::Path};

use super::{
    Address, AuditKind, Config, Loaded,
    names::{self, is_name},
    options::{Need, Opt, SECTIONS, Section},
    section,
    source::{Mistake, Settings, Source},
    value::Field,
};

/// A configuration that is being put together.
struct Draft<'s> {
    config: Config,
    settings: &'s Settings,
    /// Of options that were read well: which setting won.
    given: BTreeMap<String, Source>,
    mistakes: Vec<Mistake>,
    /// Where there is no better place.
    whole: Source,
}

/// Reads all settings; `whole` is the place of what is missing altogether.
///
/// # Errors
/// Every mistake, by place.
pub(super) fn build(settings: &Settings, whole: Source) -> Result<Loaded, Vec<Mistake>> {
    let mistakes = settings.mistakes.clone();
    let mut draft = Draft { config: Config::default(), settings, given: BTreeMap::new(), mistakes, whole };
    for section in SECTIONS {
        for name in names_of(section, settings) {
            draft.section(section, &name);
        }
    }
    if SECTIONS.first().is_some_and(|first| names_of(first, settings).is_empty()) {
        draft.config.listeners.remove("");
    }
    draft.listeners();
    draft.sinks();
    draft.sizes();
    match draft.mistakes.is_empty() {
        true => Ok(Loaded { config: draft.config, given: draft.given }),
        false => {
            draft.mistakes.sort();
            draft.mistakes.dedup();
            Err(draft.mistakes)
        }
    }
}

/// The names of a section; one without a meaning for those that have none.
fn names_of(section: &Section, settings: &Settings) -> Vec<String> {
    let Some(root) = section.path.strip_suffix('*') else {
        let optional = SECTIONS.iter().find(|other| other.path.strip_suffix(".*") == Some(section.path));
        let replaced = optional.is_some_and(|other| !names_of(other, settings).is_empty());
        let given = settings.options.keys().any(|path| names::section(path).as_deref() == Some(section.path));
        let left_out = replaced && !given;
        return if left_out { Vec::new() } else { vec![String::new()] };
    };
    let below = settings.sections.keys().filter_map(|path| path.strip_prefix(root));
    below.filter(|name| !name.contains('.') && is_name(section, name)).map(str::to_owned).collect()
}

impl Draft<'_> {
    fn section(&mut self, section: &Section, name: &str) {
        // After a switch that was not understood nobody knows what should be there.
        let mut unsure = false;
        for option in section.options {
            let understood = self.option(section, name, option, unsure);
            unsure |= option.switch && !understood;
        }
    }

    /// Whether all settings of the option were understood.
    fn option(&mut self, section: &Section, name: &str, option: &Opt, unsure: bool) -> bool {
        let path = section.option(name, option);
        let settings = self.settings.options.get(&path).map(Vec::as_slice).unwrap_or_default();
        if let Field::Absent(why) = (option.field)(&mut self.config, name) {
            let words = format!("{path} has no meaning here: {why}");
            let all = settings.iter().filter(|_| !unsure);
            self.mistakes.extend(all.map(|(source, _)| Mistake { source: source.clone(), words: words.clone() }));
            return true;
        }
        if let (Need::Required { hint, .. }, true, false) = (option.need, settings.is_empty(), unsure) {
            let expected = (option.field)(&mut self.config, name).to_string();
            self.missing(&section.named(name), format!("{path} is missing: expected {expected}{hint}"));
            return false;
        }
        let before = self.mistakes.len();
        for (source, raw) in settings {
            match (option.field)(&mut self.config, name).set(raw) {
                Ok(()) => _ = self.given.insert(path.clone(), source.clone()),
                Err(words) => {
                    self.mistakes.push(Mistake { source: source.clone(), words: format!("{path}: {words}") });
                }
            }
        }
        self.mistakes.len() == before
    }

    fn missing(&mut self, section: &str, words: String) {
        let source = self.settings.sections.get(section).unwrap_or(&self.whole).clone();
        self.mistakes.push(Mistake { source, words });
    }

    /// Says it at the option, if it was given.
    fn unfit(&mut self, path: &str, words: String) {
        let source = self.given.get(path).unwrap_or(&self.whole).clone();
        self.mistakes.push(Mistake { source, words });
    }

    fn listeners(&mut self) {
        let mut seen = BTreeMap::<String, &str>::new();
        let mut found = Vec::new();
        for (name, listener) in &self.config.listeners {
            let free = matches!(listener.address, Address::Tcp(address) if address.port() == 0);
            let known = name.is_empty() || self.given.contains_key(&format!("{}.address", section(name)));
            let twin = if free || !known { None } else { seen.insert(listener.address.to_string(), name) };
            if let Some(twin) = twin {
                let [path, twin] = [name, twin].map(section);
                found.push((format!("{path}.address"), format!("{path} and {twin}: two listeners at one address")));
            }
        }
        found.into_iter().for_each(|(path, words)| self.unfit(&path, words));
    }

    fn sinks(&mut self) {
        if !self.settings.sections.keys().any(|section| section.starts_with("audit.")) {
            self.missing("audit", "no [audit.NAME] section: without an audit sink every request is refused".to_owned());
        }
        let (mut paths, mut console) = (BTreeMap::<&Path, &str>::new(), None);
        let mut found = Vec::new();
        for (name, sink) in &self.config.audit {
            let twin = match sink.kind {
                AuditKind::File if sink.path.as_os_str().is_empty() => None,
                AuditKind::File => paths.insert(&sink.path, name),
                AuditKind::Stdout => console.replace(name.as_str()),
            };
            let option = if sink.kind == AuditKind::File { "path" } else { "type" };
            if let Some(twin) = twin {
                let words = "two sinks would write to the same place, and their records mix";
                found.push((format!("audit.{name}.{option}"), format!("audit.{name} and audit.{twin}: {words}")));
            }
        }
        found.into_iter().for_each(|(path, words)| self.unfit(&path, words));
    }

    fn sizes(&mut self) {
        let Config { token, runtime, .. } = &self.config;
        let (ttl, memory) = (token.default_ttl > token.max_ttl, runtime.memory_bytes > runtime.plugin_memory_bytes);
        for (more, less, wrong) in
            [("tokens.default_ttl", "tokens.max_ttl", ttl), ("sandbox.memory", "sandbox.plugin_memory", memory)]
        {
            let at = if self.given.contains_key(more) { more } else { less };
            if wrong {
                self.unfit(at, format!("{more} is more than {less}"));
            }
        }
    }
}
