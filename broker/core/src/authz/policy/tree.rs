//! The tree that both notations become, and the cursor that both parsers read with.

use super::MAX_TEXT_BYTES;

/// Deepest nesting of blocks, objects and lists.
pub(super) const MAX_DEPTH: usize = 16;

/// A mistake at a byte offset of the text.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) words: String,
}

pub(super) type Result<T> = std::result::Result<T, Fault>;

/// A value and where it begins.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: usize,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Boolean(bool),
    List(Vec<Node>),
    Null,
    Number(f64),
    Object(Vec<Member>),
    Text(String),
}

/// `name = value`, `name { .. }` or `"name": value`.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) at: usize,
    pub(super) name: String,
    pub(super) node: Node,
}

impl Fault {
    pub(super) fn new(at: usize, words: impl Into<String>) -> Self {
        Self { at, words: words.into() }
    }
}

impl Value {
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Boolean(_) => "a boolean",
            Self::List(_) => "a list",
            Self::Null => "null",
            Self::Number(_) => "a number",
            Self::Object(_) => "an object",
            Self::Text(_) => "a string",
        }
    }
}

/// A place in the text, with one character of lookahead.
pub(super) struct Cursor<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        debug_assert!(text.len() <= MAX_TEXT_BYTES);
        Self { text, at: 0 }
    }

    pub(super) const fn at(&self) -> usize {
        self.at
    }

    pub(super) fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// Steps over `c` if it is next.
    pub(super) fn eat(&mut self, c: char) -> bool {
        let hit = self.peek() == Some(c);
        if hit {
            self.at += c.len_utf8();
        }
        hit
    }

    /// Takes the longest run of characters that satisfy `wanted`.
    pub(super) fn run(&mut self, wanted: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    pub(super) fn skip(&mut self, bytes: usize) {
        self.at = (self.at + bytes).min(self.text.len());
    }

    /// "expected .., found .." at the cursor.
    pub(super) fn expected<T>(&self, what: &str) -> Result<T> {
        let found = match self.peek() {
            None => "the end of the policy".to_owned(),
            Some('\n') => "the end of the line".to_owned(),
            Some(c) => format!("{c:?}"),
        };
        Err(Fault::new(self.at, format!("expected {what}, found {found}")))
    }

    /// `count` hexadecimal digits as a number.
    pub(super) fn hex(&mut self, count: usize) -> Result<u32> {
        let mut value = 0;
        for _ in 0..count {
            let Some(digit) = self.peek().and_then(|c| c.to_digit(16)) else {
                return self.expected("a hexadecimal digit");
            };
            self.bump();
            value = value << 4 | digit;
        }
        Ok(value)
    }
}

/// Words of the policy repeated in an error, kept short.
pub(super) fn quote(text: &str) -> String {
    const LONGEST: usize = 64;
    if text.chars().count() <= LONGEST {
        return format!("{text:?}");
    }
    format!("{:?}..", text.chars().take(LONGEST).collect::<String>())
}
