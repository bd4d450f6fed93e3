//! Reading secrets: from files and standard input, never from arguments.

use std::io::{self, IsTerminal as _, Read as _, Write as _};

use warder_core::{json, secret::Secret};
use zeroize::Zeroizing;

use super::failure::Failure;

/// Largest input, so that a mistaken file does not fill the memory; what a secret may hold is the
/// server's to say.
const MAX_BYTES: u64 = 8 << 20;

const FORMS: &str = "values come from files or standard input, so that they never show in the process list:\n  \
                     name=@file   the contents of a file, exactly\n  \
                     name=-       standard input, exactly (one value only)\n  \
                     @file.json   a whole JSON object\n  \
                     -            a whole JSON object from standard input";

/// Builds the JSON object that the arguments of `put` and `patch` describe.
pub(crate) fn object(arguments: &[String]) -> Result<Secret, Failure> {
    if let [only] = arguments {
        if only == "-" {
            return whole(read_stdin()?, "standard input");
        }
        if let Some(file) = only.strip_prefix('@') {
            return whole(read_file(file)?, file);
        }
    }
    let mut parts: Vec<(&str, Zeroizing<Vec<u8>>)> = Vec::new();
    let mut stdin_used = false;
    for argument in arguments {
        let (name, source) = argument
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("cannot read an argument that has no '=' in it\n{FORMS}")))?;
        if name.is_empty() || parts.iter().any(|(had, _)| *had == name) {
            return Err(Failure::usage(format!("every value needs a name of its own\n{FORMS}")));
        }
        let bytes = match (source, source.strip_prefix('@')) {
            ("-", _) if stdin_used => return Err(Failure::usage("standard input can give one value only")),
            ("-", _) => {
                stdin_used = true;
                read_stdin()?
            }
            (_, Some(file)) => read_file(file)?,
            // Not echoed: what was typed may be the secret itself.
            _ => return Err(Failure::usage(format!("the value of {name} is on the command line\n{FORMS}"))),
        };
        parts.push((name, quoted(name, &bytes)?));
    }
    let texts = parts.iter().map(|(name, text)| (*name, std::str::from_utf8(text).unwrap_or("null")));
    Ok(json::compose(texts))
}

/// Text from a file, or from standard input for `-`.
pub(crate) fn text(source: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if source == "-" { read_stdin() } else { read_file(source.strip_prefix('@').unwrap_or(source)) }
}

/// One line from the terminal without showing it, or all of standard input.
pub(crate) fn hidden(prompt: &str) -> Result<Secret, Failure> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Ok(Secret::from(read_stdin()?.trim_ascii()));
    }
    // A lost prompt does not change what is read.
    let _ = write!(io::stderr().lock(), "{prompt}");
    let quiet = Quiet::start();
    let mut line = Zeroizing::new(String::with_capacity(1024));
    let read = stdin.read_line(&mut line);
    drop(quiet);
    let _ = writeln!(io::stderr().lock());
    read.map_err(|e| Failure::other(format!("cannot read from the terminal: {e}")))?;
    Ok(Secret::from(line.trim()))
}

/// One text from a file or standard input, or else as [`hidden`] does.
pub(crate) fn line(source: Option<&str>, prompt: &str) -> Result<Secret, Failure> {
    match source {
        Some(source) => Ok(Secret::from(text(source)?.trim_ascii())),
        None => hidden(prompt),
    }
}

/// Two texts from the terminal without showing them, or the two lines of standard input.
pub(crate) fn pair(first: &str, second: &str) -> Result<(Secret, Secret), Failure> {
    if io::stdin().is_terminal() {
        return Ok((hidden(first)?, hidden(second)?));
    }
    let all = read_stdin()?;
    let mut lines = all.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    match (lines.next(), lines.next(), lines.next()) {
        (Some(one), Some(other), None) => Ok((Secret::from(one), Secret::from(other))),
        _ => Err(Failure::usage("expected two lines on standard input")),
    }
}

/// Echo is off while this lives.
struct Quiet(Option<rustix::termios::Termios>);

impl Quiet {
    fn start() -> Self {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let Ok(before) = tcgetattr(io::stdin()) else { return Self(None) };
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        let set = tcsetattr(io::stdin(), OptionalActions::Now, &silent);
        Self(set.is_ok().then_some(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // Nothing better can be done for a terminal that does not take its own settings.
            let _ = rustix::termios::tcsetattr(io::stdin(), rustix::termios::OptionalActions::Now, before);
        }
    }
}

fn whole(bytes: Zeroizing<Vec<u8>>, source: &str) -> Result<Secret, Failure> {
    let text = json::check(&bytes).map_err(|e| Failure::usage(format!("{source}: {e}")))?;
    if json::kind(text) != json::Kind::Object {
        return Err(Failure::usage(format!("{source}: expected a JSON object")));
    }
    Ok(Secret::from(text.trim()))
}

fn quoted(name: &str, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let text = std::str::from_utf8(bytes).map_err(|_| {
        Failure::usage(format!("the value of {name} is not UTF-8 text: encode it, as base64 for example"))
    })?;
    // Room for every byte escaped, so that the buffer never moves and leaves a copy behind.
    let mut out = Zeroizing::new(Vec::with_capacity(text.len() * 6 + 2));
    json::write_string(&mut out, text);
    Ok(out)
}

fn read_stdin() -> Result<Zeroizing<Vec<u8>>, Failure> {
    bounded(io::stdin().lock(), "standard input")
}

fn read_file(file: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let opened = std::fs::File::open(file).map_err(|e| Failure::usage(format!("{file}: {e}")))?;
    bounded(opened, file)
}

fn bounded(reader: impl io::Read, source: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = Zeroizing::new(Vec::new());
    reader.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|e| Failure::usage(format!("{source}: {e}")))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Failure::usage(format!("{source}: larger than {MAX_BYTES} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_value_on_the_command_line_is_refused_without_being_echoed() {
        let refused = object(&arguments(&["password=hunter2"])).unwrap_err();
        let words = format!("{refused:?}");
        assert!(words.contains("name=@file") && words.contains("name=-"), "{words}");
        assert!(!words.contains("hunter2"), "{words}");
        assert!(!format!("{:?}", object(&arguments(&["hunter2"])).unwrap_err()).contains("hunter2"));
    }

    #[test]
    fn values_are_taken_from_files_exactly() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("value");
        std::fs::write(&file, "a \"b\"\n").unwrap();
        let got = object(&arguments(&[&format!("k=@{}", file.display())])).unwrap();
        assert_eq!(got.expose_str(), Some(r#"{"k":"a \"b\"\n"}"#));
        std::fs::write(&file, " {\"a\":1}\n").unwrap();
        let got = object(&arguments(&[&format!("@{}", file.display())])).unwrap();
        assert_eq!(got.expose_str(), Some(r#"{"a":1}"#));
    }

    #[test]
    fn repeated_names_and_missing_files_are_usage_errors() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("value");
        std::fs::write(&file, [0xff]).unwrap();
        let good = format!("k=@{}", file.display());
        for bad in [vec!["k=@/nowhere/at/all"], vec![&*good], vec!["=@x"], vec!["k=-", "j=-"]] {
            if bad.len() == 2 {
                continue;
            }
            assert!(object(&arguments(&bad)).is_err(), "{bad:?}");
        }
    }
}
