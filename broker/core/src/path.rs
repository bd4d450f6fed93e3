//! Paths, parsed once at the edge; inside there is no check on raw strings.

use std::{fmt, sync::Arc};

/// Longest path, in bytes.
pub const MAX_PATH_BYTES: usize = 1024;
/// Most segments in a path.
pub const MAX_SEGMENTS: usize = 32;

/// A canonical path such as `secret/data/database/postgres`: UTF-8, no leading slash, no empty,
/// `.` or `..` segment, no control or invisible character. One trailing slash marks a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Arc<str>);

/// Why a path was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Nothing there.
    #[error("path is empty")]
    Empty,
    /// A `//`, or a leading slash.
    #[error("path has an empty segment")]
    EmptySegment,
    /// `.` or `..`.
    #[error("path has a '.' or '..' segment")]
    DotSegment,
    /// A control or otherwise unprintable character.
    #[error("path has a control or unprintable character")]
    Unprintable,
    /// Over [`MAX_PATH_BYTES`].
    #[error("path is longer than {MAX_PATH_BYTES} bytes")]
    TooLong,
    /// Over [`MAX_SEGMENTS`].
    #[error("path has more than {MAX_SEGMENTS} segments")]
    TooDeep,
}

impl Path {
    /// Parses decoded text (percent-decoding is the edge's business).
    ///
    /// # Errors
    /// One variant per rule above.
    ///
    /// ```
    /// use warder_core::path::{Path, PathError};
    /// assert_eq!(Path::parse("a/../b"), Err(PathError::DotSegment));
    /// assert!(Path::parse("a/b/").unwrap().is_folder());
    /// ```
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.is_empty() {
            return Err(PathError::Empty);
        }
        if text.len() > MAX_PATH_BYTES {
            return Err(PathError::TooLong);
        }
        if text.chars().any(unprintable) {
            return Err(PathError::Unprintable);
        }
        let body = text.strip_suffix('/').unwrap_or(text);
        let mut count = 0;
        for segment in body.split('/') {
            count += 1;
            match segment {
                "" => return Err(PathError::EmptySegment),
                "." | ".." => return Err(PathError::DotSegment),
                _ if count > MAX_SEGMENTS => return Err(PathError::TooDeep),
                _ => {}
            }
        }
        Ok(Self(text.into()))
    }

    /// The folder that holds everything: listings of it start at the top.
    #[must_use]
    pub fn root() -> Self {
        Self("".into())
    }

    /// The text, with its trailing slash if it is a folder.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it ends in a slash, or is the root.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.0.is_empty() || self.0.ends_with('/')
    }

    /// The same path with one trailing slash.
    #[must_use]
    pub fn to_folder(&self) -> Self {
        if self.is_folder() { self.clone() } else { Self(format!("{}/", self.0).into()) }
    }
}

impl From<&Path> for Arc<str> {
    fn from(path: &Path) -> Self {
        path.0.clone()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Control, bidirectional-override, zero-width and unassigned-in-text characters: what a person
/// reading a log or a policy could not see.
fn unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF0}'..='\u{FFFB}' | '\u{FFFE}'..='\u{FFFF}'
            | '\u{E000}'..='\u{F8FF}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_each_bad_form_with_its_own_reason() {
        let deep = vec!["a"; 33].join("/");
        let long = "a".repeat(1025);
        for (text, error) in [
            ("", PathError::Empty),
            ("/a", PathError::EmptySegment),
            ("a//b", PathError::EmptySegment),
            ("a//", PathError::EmptySegment),
            ("/", PathError::EmptySegment),
            ("a/../b", PathError::DotSegment),
            ("./a", PathError::DotSegment),
            ("a\u{0}b", PathError::Unprintable),
            ("a\u{7f}", PathError::Unprintable),
            ("a\u{202e}b", PathError::Unprintable),
            (&*deep, PathError::TooDeep),
            (&*long, PathError::TooLong),
        ] {
            assert_eq!(Path::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn keeps_ordinary_names() {
        for text in ["a", "a/b", "a/b/", "..a/b..", "gr\u{fc}n/\u{1f512}", "a b/c+d/*"] {
            assert_eq!(Path::parse(text).map(|p| p.as_str().to_owned()), Ok(text.to_owned()));
        }
    }
}
