//! Route patterns: `creds/{role}`, `data/{path...}`.

/// A parsed pattern. `{name}` captures one segment, a last `{name...}` captures the rest (at
/// least one segment), anything else stands for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    One(String),
    Rest(String),
}

/// A pattern that is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad route pattern {0:?}: segments are words, {{name}} or a last {{name...}}, each name once")]
pub struct PatternError(pub String);

impl Pattern {
    /// Parses a pattern; a trailing slash is part of it (listing routes have one).
    ///
    /// # Errors
    /// [`PatternError`] for empty segments, stray braces, a `{name...}` that is not last, or
    /// a name used twice.
    ///
    /// ```
    /// use warder_core::route::Pattern;
    /// let data = Pattern::parse("data/{path...}").unwrap();
    /// assert_eq!(data.captures("data/a/b").unwrap(), [("path".to_owned(), "a/b".to_owned())]);
    /// assert_eq!(data.captures("data"), None);
    /// ```
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let bad = || PatternError(text.to_owned());
        let mut parts = Vec::new();
        let mut names = Vec::new();
        let body = text.strip_suffix('/').unwrap_or(text);
        let segments: Vec<&str> = if body.is_empty() { Vec::new() } else { body.split('/').collect() };
        for (i, segment) in segments.iter().enumerate() {
            let part = Part::parse(segment).ok_or_else(bad)?;
            if matches!(part, Part::Rest(_)) && i + 1 != segments.len() {
                return Err(bad());
            }
            if let Part::One(name) | Part::Rest(name) = &part {
                if names.contains(name) {
                    return Err(bad());
                }
                names.push(name.clone());
            }
            parts.push(part);
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// The text it was parsed from.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Names of its captures, in order.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.parts
            .iter()
            .filter_map(|part| match part {
                Part::Literal(_) => None,
                Part::One(name) | Part::Rest(name) => Some(name.as_str()),
            })
            .collect()
    }

    /// What it matches, whatever its captures are called: two patterns of one shape collide.
    #[must_use]
    pub fn shape(&self) -> String {
        let words = self.parts.iter().map(|part| match part {
            Part::Literal(word) => word.as_str(),
            Part::One(_) => "{}",
            Part::Rest(_) => "{...}",
        });
        words.collect::<Vec<_>>().join("/")
    }

    /// The captures when `path` matches; one trailing slash of `path` is not compared.
    #[must_use]
    pub fn captures(&self, path: &str) -> Option<Vec<(String, String)>> {
        let mut rest = path.strip_suffix('/').unwrap_or(path);
        let mut captures = Vec::new();
        for part in &self.parts {
            if rest.is_empty() {
                return None;
            }
            let (segment, after) = rest.split_once('/').unwrap_or((rest, ""));
            match part {
                Part::Literal(word) if word == segment => {}
                Part::Literal(_) => return None,
                Part::One(name) => captures.push((name.clone(), segment.to_owned())),
                Part::Rest(name) => {
                    captures.push((name.clone(), rest.to_owned()));
                    return Some(captures);
                }
            }
            rest = after;
        }
        rest.is_empty().then_some(captures)
    }

    /// The path that has these captures; none when one is missing.
    #[must_use]
    pub fn fill(&self, captures: &[(String, String)]) -> Option<String> {
        let find = |name: &str| captures.iter().find(|(had, _)| had == name).map(|(_, value)| value.as_str());
        let mut segments = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            segments.push(match part {
                Part::Literal(word) => word.as_str(),
                Part::One(name) | Part::Rest(name) => find(name)?,
            });
        }
        Some(segments.join("/"))
    }
}

impl Part {
    fn parse(segment: &str) -> Option<Self> {
        let Some(inner) = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) else {
            let plain = !matches!(segment, "" | "." | "..") && !segment.contains(['{', '}']);
            return plain.then(|| Self::Literal(segment.to_owned()));
        };
        let (name, rest) = inner.strip_suffix("...").map_or((inner, false), |name| (name, true));
        let word = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        word.then(|| if rest { Self::Rest(name.to_owned()) } else { Self::One(name.to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matching_and_filling_agree() {
        for (pattern, path, ok) in [
            ("config", "config", true),
            ("config", "config/x", false),
            ("creds/{role}", "creds/a", true),
            ("creds/{role}", "creds/a/b", false),
            ("creds/{role}", "creds", false),
            ("{path...}", "a/b/c", true),
            ("roles/{role}/id/{n...}", "roles/a/id/b/c", true),
            ("metadata/{path...}", "metadata/a/", true),
        ] {
            let pattern = Pattern::parse(pattern).unwrap();
            let captures = pattern.captures(path);
            assert_eq!(captures.is_some(), ok, "{pattern:?} {path}");
            if let Some(captures) = captures {
                assert_eq!(pattern.fill(&captures).unwrap(), path.trim_end_matches('/'));
            }
        }
    }

    #[test]
    fn bad_patterns_are_refused() {
        for text in ["a//b", "{a", "a}", "{}", "{a...}/b", "{a}/{a}", "{...}", "/a", "a/../b", "./a"] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }
}
