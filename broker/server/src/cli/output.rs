//! Writing answers: tables for people, JSON and YAML for programs.

use std::io::{self, Write as _};

use serde_json::Value;

use super::failure::Failure;

/// How answers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Indented JSON.
    Json,
    /// Columns for people.
    #[default]
    Table,
    /// YAML.
    Yaml,
}

/// Writes an answer.
pub(crate) fn show(format: Format, value: &Value) -> Result<(), Failure> {
    show_as(format, value, table)
}

/// Writes an answer that has a table of its own for people.
pub(crate) fn show_as(format: Format, value: &Value, table: impl Fn(&Value) -> String) -> Result<(), Failure> {
    let mut text = match format {
        Format::Json => serde_json::to_string_pretty(value).map_err(|e| Failure::other(e.to_string()))?,
        Format::Table => table(value),
        Format::Yaml => yaml(value),
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    bytes(text.as_bytes())
}

/// Writes bytes as they are.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        // The reader has seen enough (`| head`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|e| Failure::other(format!("cannot write to standard output: {e}"))),
    }
}

/// Says on stderr what was done, when there is no answer to write.
pub(crate) fn done(words: &str) {
    // Losing this line changes nothing.
    let _ = writeln!(io::stderr().lock(), "{words}");
}

/// Rows under a header, in columns as wide as they need to be.
pub(crate) fn columns<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut all = vec![header.map(str::to_owned)];
    all.extend(rows.into_iter().map(|row| row.map(|text| printable(&text))));
    let wide = |at: usize| all.iter().filter_map(|row| row.get(at)).map(|text| text.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(wide).collect();
    lines(all.iter().map(|row| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(text, width)| format!("{text:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    }))
}

/// Text without what would move a terminal's cursor or break a row; `--output json` is exact.
pub(crate) fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(shown).collect()
}

/// A list of names as lines; anything else as rows of name and value, nested names dotted.
pub(crate) fn table(value: &Value) -> String {
    if let Some(keys) = value.get("keys").and_then(Value::as_array) {
        let names = keys.iter().filter_map(Value::as_str);
        let next = value.get("next").and_then(Value::as_str);
        let more = next.map(|next| format!("(more after {})", printable(next)));
        return lines(names.map(printable).chain(more));
    }
    let mut rows = Vec::new();
    flatten("", value, &mut rows);
    let rows: Vec<_> = rows.into_iter().map(|(name, text)| (printable(&name), printable(&text))).collect();
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    lines(rows.into_iter().map(|(name, text)| if name.is_empty() { text } else { format!("{name:width$}  {text}") }))
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| line + "\n").collect()
}

fn flatten(name: &str, value: &Value, rows: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) if members.is_empty() => rows.push((name.to_owned(), "-".to_owned())),
        Value::Object(members) => {
            for (inner, value) in members {
                let name = if name.is_empty() { inner.clone() } else { format!("{name}.{inner}") };
                flatten(&name, value, rows);
            }
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            for (i, item) in items.iter().enumerate() {
                flatten(&format!("{name}.{i}"), item, rows);
            }
        }
        Value::Array(items) => rows.push((name.to_owned(), items.iter().map(plain).collect::<Vec<_>>().join(", "))),
        other => rows.push((name.to_owned(), plain(other))),
    }
}

/// A scalar as people write it.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Block style; scalars are JSON, which YAML 1.2 contains, and so are names that need quotes.
fn yaml(value: &Value) -> String {
    let mut out = String::new();
    block(value, 0, &mut out);
    out
}

fn block(value: &Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, inner) in members {
                out.push_str(&format!("{indent}{}:", key(name)));
                nested(inner, depth, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                out.push_str(&format!("{indent}-"));
                nested(item, depth, out);
            }
        }
        scalar => out.push_str(&format!("{indent}{scalar}\n")),
    }
}

fn key(name: &str) -> String {
    // Words that some reader of YAML takes for a boolean, a null or a number.
    const TAKEN: [&str; 11] = ["true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf"];
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let plain = starts && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if plain && !TAKEN.contains(&name.to_ascii_lowercase().as_str()) {
        return name.to_owned();
    }
    Value::from(name).to_string()
}

fn nested(value: &Value, depth: usize, out: &mut String) {
    let empty = value.as_object().is_some_and(serde_json::Map::is_empty) || value.as_array().is_some_and(Vec::is_empty);
    if (value.is_object() || value.is_array()) && !empty {
        out.push('\n');
        block(value, depth + 1, out);
    } else {
        out.push_str(&format!(" {value}\n"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables_align_and_dot_nested_names() {
        let value = json!({"path": "a", "data": {"user": "x", "ports": [1, 2]}, "metadata": {}});
        let rows: Vec<String> = table(&value).lines().map(str::to_owned).collect();
        assert!(rows.contains(&"data.ports  1, 2".to_owned()), "{rows:?}");
        assert!(rows.contains(&"path        a".to_owned()), "{rows:?}");
        assert_eq!(table(&json!({"keys": ["a", "b/"], "next": "b/"})), "a\nb/\n(more after b/)\n");
    }

    #[test]
    fn yaml_quotes_what_must_be_quoted() {
        let value = json!({"a": {"b": [1, {"c": "no: \"x\""}], "e": []}, "f": null, "No": 1, "x/": 2, "1": 3});
        let lines = [
            "\"1\": 3",
            "\"No\": 1",
            "a:",
            "  b:",
            "    - 1",
            "    -",
            "      c: \"no: \\\"x\\\"\"",
            "  e: []",
            "f: null",
            "\"x/\": 2",
        ];
        // Members stand in the order of the map, which is not what is shown here.
        let (mut got, mut expected): (Vec<String>, _) = (yaml(&value).lines().map(str::to_owned).collect(), lines);
        got.sort();
        expected.sort_unstable();
        assert_eq!(got, expected);
    }

    #[test]
    fn columns_are_aligned_and_cannot_move_the_cursor() {
        let rows = [["a/".to_owned(), "x\u{1b}[2J".to_owned()], ["long/".to_owned(), "y".to_owned()]];
        assert_eq!(columns(["PATH", "WORDS"], rows), "PATH   WORDS\na/     x\\u{1b}[2J\nlong/  y\n");
        assert_eq!(table(&json!({"k": "a\nb"})), "k  a\\nb\n");
    }
}
