//! The configuration as text: a commented example with every option, and what holds now.

use super::{
    Config, Loaded,
    names::variable_of,
    options::{Need, Opt, SECTIONS, Section},
    value::{Field, Raw},
};

const HEAD: &str = "\
# Warder's configuration, with every option. One that begins with `#` shows its default, or an
# example where it says so: it can be left out. Unknown options are refused. No secret is ever an
# option: only the file that holds one. `warder config check` says what is wrong, all of it, with
# its line.
#
# A variable of the environment goes before the file, and an argument `--set OPTION=VALUE` before
# both. The variable is WARDER_ and the whole option in capitals, with _ for each dot:
# WARDER_LISTENER_TLS_CERT_FILE is listener.tls.cert_file. The NAME of a section is in small letters
# then, and has no - in it: WARDER_AUDIT_MAIN_TYPE is audit.main.type. A list has commas there.
";

/// Every option with its type, unit, range and default, as a file that can be used.
#[must_use]
pub fn generate() -> String {
    SECTIONS.iter().fold(HEAD.to_owned(), |text, section| text + "\n" + &shown(section))
}

fn shown(section: &Section) -> String {
    // A section that nobody needs is an example as a whole.
    let off = if section.is_extra() { "#" } else { "" };
    let about = section.about.lines().map(|line| format!("# {line}\n")).collect::<String>();
    let head = format!("{about}{off}[{}]\n", section.named(section.example));
    section.options.iter().fold(head, |text, option| text + &row(section, option, off))
}

fn row(section: &Section, option: &Opt, off: &str) -> String {
    let mut config = filled();
    let field = (option.field)(&mut config, section.example);
    if matches!(field, Field::Absent(_)) {
        return String::new();
    }
    let (kind, value, key) = (capital(&field.to_string()), field.raw(), option.key);
    let about = option.about;
    let (more, off) = match option.need {
        Need::Default => ("", "#"),
        Need::Optional { .. } => (" No default; for example:", "#"),
        Need::Required { .. } => (" Required.", off),
    };
    format!("# {about}\n# {kind}.{more}\n{off}{key} = {value}\n")
}

fn capital(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

/// The defaults, and the examples for what has none.
pub(super) fn filled() -> Config {
    let mut config = Config::default();
    for (section, option) in SECTIONS.iter().flat_map(|section| section.options.iter().map(move |o| (section, o))) {
        let Some(example) = option.need.example() else { continue };
        // A test reads every example.
        let _ = (option.field)(&mut config, section.example).set(&Raw::Text(example.to_owned()));
    }
    config
}

/// One option that holds.
#[derive(Clone, Debug)]
pub struct Effective {
    /// Its path.
    pub option: String,
    /// What holds.
    pub value: serde_json::Value,
    /// Who said so: a place, or `default`.
    pub source: String,
    /// The variable that would change it.
    pub variable: String,
}

/// Everything that holds. No option is a secret, so nothing is left out.
pub(super) fn effective(loaded: &Loaded) -> Vec<Effective> {
    let mut config = loaded.config.clone();
    let mut all = Vec::new();
    for section in SECTIONS {
        for name in present(section, &loaded.config) {
            for option in section.options {
                let path = section.option(&name, option);
                let source = loaded.given.get(&path);
                let field = (option.field)(&mut config, &name);
                if matches!(field, Field::Absent(_)) || (source.is_none() && option.need != Need::Default) {
                    continue;
                }
                let source = source.map_or_else(|| "default".to_owned(), ToString::to_string);
                let variable = variable_of(&path);
                all.push(Effective { option: path, value: field.raw().json(), source, variable });
            }
        }
    }
    all
}

fn present(section: &Section, config: &Config) -> Vec<String> {
    match section.path {
        "listener" => config.listeners.keys().filter(|name| name.is_empty()).cloned().collect(),
        "listener.*" => config.listeners.keys().filter(|name| !name.is_empty()).cloned().collect(),
        "audit.*" => config.audit.keys().cloned().collect(),
        "plugins.*" => config.plugins.keys().cloned().collect(),
        _ => vec![String::new()],
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{ForwardedConfig, Networks},
        *,
    };

    #[test]
    fn the_example_is_the_defaults_as_it_stands_and_with_every_option_uncommented() {
        let text = generate();
        let standing = Config::parse("example", &text).unwrap();
        let mut expected = filled();
        expected.plugins.clear();
        expected.listeners.retain(|name, _| name.is_empty());
        expected.listeners.values_mut().for_each(|listener| listener.tls.client_ca_file = None);
        expected.telemetry = crate::telemetry::TelemetryConfig::default();
        for listener in expected.listeners.values_mut() {
            listener.proxy_protocol = Networks::default();
            listener.forwarded = ForwardedConfig::default();
        }
        assert_eq!(standing, expected);

        let plain =
            |line: &str| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line).to_owned();
        let whole: String = text.lines().map(|line| plain(line) + "\n").collect();
        assert_eq!(Config::parse("example", &whole).unwrap(), filled());
        let meant = |section: &&'static Section| {
            let mut filled = filled();
            let meant = move |option: &&Opt| !matches!((option.field)(&mut filled, section.example), Field::Absent(_));
            section.options.iter().filter(meant).count()
        };
        let options: usize = SECTIONS.iter().map(|section| meant(&section)).sum();
        assert_eq!(whole.lines().filter(|line| !line.starts_with('#') && line.contains(" = ")).count(), options);
    }

    #[test]
    fn lines_of_the_example_fit_a_page() {
        let long: Vec<String> = generate().lines().filter(|line| line.len() > 100).map(str::to_owned).collect();
        assert!(long.is_empty(), "{long:#?}");
    }
}
