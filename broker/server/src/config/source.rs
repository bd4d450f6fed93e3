//! Where settings come from: the file, the environment, the command line. Later ones win.
//!
//! Each source gives settings by their option's path, with the place to name in an error. What no
//! option has is a mistake here; what an option does not take is one in `build.rs`.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt,
    sync::Arc,
};

use toml::de::{DeTable, DeValue};

use super::{
    names::{self, Named},
    value::Raw,
};

/// The place of a setting; in the order in which mistakes are shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// In the file; line and column count from 1, columns in characters.
    File(Arc<str>, usize, usize),
    /// The whole file.
    Whole(Arc<str>),
    /// A variable of the environment.
    Environment(String),
    /// An argument.
    Argument(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file, line, column) => write!(f, "{file}:{line}:{column}"),
            Self::Whole(file) => f.write_str(file),
            Self::Environment(name) => f.write_str(name),
            Self::Argument(argument) => f.write_str(argument),
        }
    }
}

/// Something wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// Where.
    pub source: Source,
    /// What, and what was expected.
    pub words: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.words)
    }
}

/// All that was set, weakest source first.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// By path.
    pub(super) options: BTreeMap<String, Vec<(Source, Raw)>>,
    /// The places of sections, by path: for what is missing in them.
    pub(super) sections: BTreeMap<String, Source>,
    /// What is no setting.
    pub(super) mistakes: Vec<Mistake>,
}

impl Settings {
    fn set(&mut self, path: String, source: Source, raw: Raw) {
        if let Some(section) = names::section(&path) {
            self.sections.entry(section).or_insert_with(|| source.clone());
        }
        self.options.entry(path).or_default().push((source, raw));
    }

    fn wrong(&mut self, source: Source, words: impl Into<String>) {
        self.mistakes.push(Mistake { source, words: words.into() });
    }

    /// Takes what a file says.
    pub(super) fn file(&mut self, name: &str, text: &str) {
        let file = File { name: name.into(), text };
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            self.wrong(file.place(error.span().map_or(0, |span| span.start)), error.message());
        }
        self.table(&file, "", table.get_ref());
    }

    fn table(&mut self, file: &File<'_>, prefix: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let source = file.place(key.span().start);
            if !names::is_bare(key.get_ref()) {
                self.wrong(source, format!("name {:?}: expected 1 to 64 letters, digits, - and _", key.get_ref()));
                continue;
            }
            let path =
                if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
            match (names::find(&path), value.get_ref()) {
                (Named::Option, value) => self.set(path, source, raw(value)),
                (Named::Name | Named::Section, DeValue::Table(inner)) => {
                    self.sections.entry(path.clone()).or_insert(source);
                    self.table(file, &path, inner);
                }
                (Named::Name, _) if names::only_names(prefix) => {
                    self.wrong(source, format!("{path} is a section, [{path}], and no option"));
                }
                (Named::Section, _) => self.wrong(source, format!("{path} is a section, [{path}], and no option")),
                (Named::Nothing, DeValue::Table(_)) => self.wrong(source, names::unknown(&path, "section")),
                (Named::Name | Named::Nothing, _) => self.wrong(source, names::unknown(&path, "option")),
            }
        }
    }

    /// Takes those variables that name an option.
    pub(super) fn environment(&mut self, variables: impl Iterator<Item = (OsString, OsString)>) {
        let ours = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value));
        let mut variables: Vec<_> = variables.filter_map(ours).collect();
        variables.sort_unstable();
        for (name, value) in variables {
            let source = Source::Environment(name.clone());
            match (names::variable(&name), value.to_str()) {
                (Ok(Some(path)), Some(text)) => self.set(path, source, Raw::Word(text.to_owned())),
                (Ok(Some(_)), None) => self.wrong(source, "expected UTF-8"),
                (Ok(None), _) => {}
                (Err(words), _) => self.wrong(source, words),
            }
        }
    }

    /// Takes an argument's setting; `argument` is for the words of errors.
    pub(super) fn argument(&mut self, argument: &str, path: &str, value: &OsStr) {
        let source = Source::Argument(argument.to_owned());
        match (names::find(path), value.to_str()) {
            (Named::Option, Some(text)) => self.set(path.to_owned(), source, Raw::Word(text.to_owned())),
            (Named::Option, None) => self.wrong(source, "expected UTF-8"),
            _ => self.wrong(source, names::unknown(path, "option")),
        }
    }
}

struct File<'t> {
    name: Arc<str>,
    text: &'t str,
}

impl File<'_> {
    fn place(&self, at: usize) -> Source {
        let before = self.text.get(..at).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        Source::File(self.name.clone(), line, column)
    }
}

/// All of them, if each is a text.
fn texts<'v>(all: impl Iterator<Item = &'v DeValue<'v>>) -> Option<Vec<String>> {
    let text = |one: &DeValue<'_>| one.as_str().map(str::to_owned);
    all.map(text).collect()
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::Array(all) => texts(all.iter().map(|one| one.get_ref())).map_or(Raw::Odd("a list"), Raw::List),
        DeValue::Boolean(flag) => Raw::Boolean(*flag),
        DeValue::Datetime(_) => Raw::Odd("a date or a time of day"),
        DeValue::Float(_) => Raw::Odd("a number with a fraction, without quotes"),
        DeValue::Integer(number) => {
            u64::from_str_radix(number.as_str(), number.radix()).map_or(Raw::Odd("a number out of range"), Raw::Number)
        }
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Table(_) => Raw::Odd("a section"),
    }
}
