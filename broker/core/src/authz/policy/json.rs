//! JSON policies (RFC 8259): the same tree, read with places for errors.

use super::tree::{Cursor, Fault, MAX_DEPTH, Member, Node, Result, Value, quote};

pub(super) fn parse(text: &str) -> Result<Vec<Member>> {
    let mut parser = Parser { cursor: Cursor::new(text) };
    parser.blank();
    let Value::Object(members) = parser.value(MAX_DEPTH)?.value else {
        return parser.cursor.expected("an object");
    };
    parser.blank();
    if parser.cursor.peek().is_some() {
        return parser.cursor.expected("nothing after the closing \"}\"");
    }
    Ok(members)
}

struct Parser<'t> {
    cursor: Cursor<'t>,
}

impl Parser<'_> {
    fn value(&mut self, depth: usize) -> Result<Node> {
        let at = self.cursor.at();
        let value = match self.cursor.peek() {
            Some('"') => Value::Text(self.string()?),
            Some('{') => Value::Object(self.sequence('}', at, depth, Self::member)?),
            Some('[') => Value::List(self.sequence(']', at, depth, Self::value)?),
            Some(c) if c.is_ascii_digit() || c == '-' => self.number()?,
            Some(c) if c.is_ascii_alphabetic() => self.word()?,
            _ => return self.cursor.expected("a JSON value"),
        };
        Ok(Node { at, value })
    }

    /// The comma-separated parts up to `close`.
    fn sequence<T>(
        &mut self,
        close: char,
        opened: usize,
        depth: usize,
        part: fn(&mut Self, usize) -> Result<T>,
    ) -> Result<Vec<T>> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(Fault::new(opened, format!("nested deeper than {MAX_DEPTH} levels")));
        };
        self.cursor.bump();
        self.blank();
        let mut parts = Vec::new();
        if self.cursor.eat(close) {
            return Ok(parts);
        }
        loop {
            self.blank();
            parts.push(part(self, depth)?);
            self.blank();
            if self.cursor.eat(close) {
                return Ok(parts);
            }
            if !self.cursor.eat(',') {
                return self.cursor.expected(&format!("\",\" or \"{close}\""));
            }
        }
    }

    fn member(&mut self, depth: usize) -> Result<Member> {
        let at = self.cursor.at();
        if self.cursor.peek() != Some('"') {
            return self.cursor.expected("a quoted member name");
        }
        let name = self.string()?;
        self.blank();
        if !self.cursor.eat(':') {
            return self.cursor.expected(&format!("\":\" after {}", quote(&name)));
        }
        self.blank();
        Ok(Member { at, name, node: self.value(depth)? })
    }

    fn word(&mut self) -> Result<Value> {
        let at = self.cursor.at();
        match self.cursor.run(|c| c.is_ascii_alphanumeric()) {
            "true" => Ok(Value::Boolean(true)),
            "false" => Ok(Value::Boolean(false)),
            "null" => Ok(Value::Null),
            word => Err(Fault::new(at, format!("unknown word {}; strings need quotes", quote(word)))),
        }
    }

    fn number(&mut self) -> Result<Value> {
        let at = self.cursor.at();
        let word = self.cursor.run(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-'));
        match serde_json::from_str::<f64>(word) {
            Ok(number) => Ok(Value::Number(number)),
            Err(_) => Err(Fault::new(at, format!("{} is not a number", quote(word)))),
        }
    }

    fn string(&mut self) -> Result<String> {
        let opened = self.cursor.at();
        self.cursor.bump();
        let mut text = String::new();
        loop {
            let at = self.cursor.at();
            match self.cursor.bump() {
                None => return Err(Fault::new(opened, "this string is never closed")),
                Some('"') => return Ok(text),
                Some('\\') => text.push(self.escape(at)?),
                Some(c) if c < ' ' => return Err(Fault::new(at, "control characters in strings must be escaped")),
                Some(c) => text.push(c),
            }
        }
    }

    fn escape(&mut self, at: usize) -> Result<char> {
        match self.cursor.bump() {
            Some('b') => Ok('\u{8}'),
            Some('f') => Ok('\u{c}'),
            Some('n') => Ok('\n'),
            Some('r') => Ok('\r'),
            Some('t') => Ok('\t'),
            Some(c @ ('\\' | '"' | '/')) => Ok(c),
            Some('u') => self.unicode(at),
            _ => Err(Fault::new(at, "unknown escape; expected one of \\n \\r \\t \\b \\f \\/ \\\" \\\\ \\uNNNN")),
        }
    }

    fn unicode(&mut self, at: usize) -> Result<char> {
        let high = self.cursor.hex(4)?;
        if !(0xd800..0xdc00).contains(&high) {
            return char::from_u32(high).ok_or_else(|| Fault::new(at, "this escape is half of a surrogate pair"));
        }
        let low = if self.cursor.eat('\\') && self.cursor.eat('u') { self.cursor.hex(4)? } else { 0 };
        if !(0xdc00..0xe000).contains(&low) {
            return Err(Fault::new(at, "this escape is half of a surrogate pair"));
        }
        let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
        char::from_u32(code).ok_or_else(|| Fault::new(at, "this escape is no Unicode character"))
    }

    fn blank(&mut self) {
        self.cursor.run(|c| matches!(c, ' ' | '\t' | '\r' | '\n'));
    }
}
