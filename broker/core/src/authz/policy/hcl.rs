//! HCL 1 as far as policies use it: blocks with one label, attributes, objects, lists, strings,
//! numbers, booleans and comments (github.com/hashicorp/hcl, branch hcl1). Heredocs and
//! `${..}` have no use in a policy and are refused.

use super::tree::{Cursor, Fault, MAX_DEPTH, Member, Node, Result, Value, quote};

pub(super) fn parse(text: &str) -> Result<Vec<Member>> {
    let mut parser = Parser { cursor: Cursor::new(text) };
    parser.cursor.eat('\u{feff}');
    parser.body(None, MAX_DEPTH)
}

struct Parser<'t> {
    cursor: Cursor<'t>,
}

impl Parser<'_> {
    /// The members of a block up to its `}`, or of the whole text.
    fn body(&mut self, opened: Option<usize>, depth: usize) -> Result<Vec<Member>> {
        let mut members = Vec::new();
        loop {
            self.blank()?;
            match (self.cursor.peek(), opened) {
                (None, None) => return Ok(members),
                (None, Some(at)) => return Err(Fault::new(at, "this \"{\" is never closed")),
                (Some('}'), Some(_)) => {
                    self.cursor.bump();
                    return Ok(members);
                }
                _ => members.push(self.member(depth)?),
            }
            self.blank()?;
            self.cursor.eat(',');
        }
    }

    fn member(&mut self, depth: usize) -> Result<Member> {
        let at = self.cursor.at();
        let name = self.key("a key")?;
        self.blank()?;
        let node = match self.cursor.peek() {
            Some('=') => {
                self.cursor.bump();
                self.blank()?;
                self.value(depth)?
            }
            Some('{') => self.value(depth)?,
            Some(c) if c == '"' || starts_name(c) => self.labelled(depth)?,
            _ => return self.cursor.expected(&format!("\"=\" or \"{{\" after {}", quote(&name))),
        };
        Ok(Member { at, name, node })
    }

    /// `"label" { .. }`, as the object that has the label as its one member.
    fn labelled(&mut self, depth: usize) -> Result<Node> {
        let at = self.cursor.at();
        let name = self.key("a label")?;
        self.blank()?;
        if self.cursor.peek() != Some('{') {
            return self.cursor.expected(&format!("\"{{\" after the label {}", quote(&name)));
        }
        let node = self.value(deeper(at, depth)?)?;
        Ok(Node { at, value: Value::Object(vec![Member { at, name, node }]) })
    }

    fn key(&mut self, what: &str) -> Result<String> {
        match self.cursor.peek() {
            Some('"') => self.string(),
            Some(c) if starts_name(c) => Ok(self.cursor.run(in_name).to_owned()),
            _ => self.cursor.expected(what),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node> {
        let at = self.cursor.at();
        let value = match self.cursor.peek() {
            Some('"') => Value::Text(self.string()?),
            Some('{') => {
                self.cursor.bump();
                Value::Object(self.body(Some(at), deeper(at, depth)?)?)
            }
            Some('[') => {
                self.cursor.bump();
                Value::List(self.list(at, deeper(at, depth)?)?)
            }
            Some('<') if self.cursor.rest().starts_with("<<") => {
                return Err(Fault::new(at, "heredocs are not taken in policies: write a quoted string"));
            }
            Some(c) if c.is_ascii_digit() || c == '-' => Value::Number(self.number()?),
            Some(c) if starts_name(c) => Value::Boolean(self.boolean()?),
            _ => return self.cursor.expected("a value (a string, number, boolean, list or object)"),
        };
        Ok(Node { at, value })
    }

    fn list(&mut self, opened: usize, depth: usize) -> Result<Vec<Node>> {
        let mut nodes = Vec::new();
        loop {
            self.blank()?;
            match self.cursor.peek() {
                None => return Err(Fault::new(opened, "this \"[\" is never closed")),
                Some(']') => break,
                _ => nodes.push(self.value(depth)?),
            }
            self.blank()?;
            if !self.cursor.eat(',') && self.cursor.peek().is_some_and(|c| c != ']') {
                return self.cursor.expected("\",\" or \"]\"");
            }
        }
        self.cursor.bump();
        Ok(nodes)
    }

    fn boolean(&mut self) -> Result<bool> {
        let at = self.cursor.at();
        match self.cursor.run(in_name) {
            "true" => Ok(true),
            "false" => Ok(false),
            word => Err(Fault::new(at, format!("unknown word {}; strings need quotes", quote(word)))),
        }
    }

    fn number(&mut self) -> Result<f64> {
        let at = self.cursor.at();
        let word = self.cursor.run(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-'));
        let number = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
            Some(digits) => u32::from_str_radix(digits, 16).ok().map(f64::from),
            None if word.len() > 1 && word.starts_with('0') && word.bytes().all(|b| b.is_ascii_digit()) => {
                u32::from_str_radix(word, 8).ok().map(f64::from)
            }
            None => word.parse().ok().filter(|n: &f64| n.is_finite()),
        };
        number.ok_or_else(|| Fault::new(at, format!("{} is not a number", quote(word))))
    }

    fn string(&mut self) -> Result<String> {
        let opened = self.cursor.at();
        self.cursor.bump();
        let mut text = String::new();
        loop {
            let at = self.cursor.at();
            match self.cursor.bump() {
                None | Some('\n') => return Err(Fault::new(opened, "this string is not closed on its line")),
                Some('"') => return Ok(text),
                Some('\\') => text.push(self.escape(at)?),
                Some('$') if self.cursor.peek() == Some('{') => {
                    return Err(Fault::new(at, "\"${\" is not taken in policies: nothing is interpolated"));
                }
                Some(c) => text.push(c),
            }
        }
    }

    fn escape(&mut self, at: usize) -> Result<char> {
        let code = match self.cursor.bump() {
            Some('a') => return Ok('\u{7}'),
            Some('b') => return Ok('\u{8}'),
            Some('f') => return Ok('\u{c}'),
            Some('n') => return Ok('\n'),
            Some('r') => return Ok('\r'),
            Some('t') => return Ok('\t'),
            Some('v') => return Ok('\u{b}'),
            Some(c @ ('\\' | '"')) => return Ok(c),
            Some('x') => self.cursor.hex(2)?,
            Some('u') => self.cursor.hex(4)?,
            Some('U') => self.cursor.hex(8)?,
            _ => return Err(Fault::new(at, "unknown escape; expected one of \\n \\r \\t \\\" \\\\ \\xNN \\uNNNN")),
        };
        char::from_u32(code).ok_or_else(|| Fault::new(at, "this escape is no Unicode character"))
    }

    /// Steps over white space and comments.
    fn blank(&mut self) -> Result<()> {
        loop {
            self.cursor.run(|c| matches!(c, ' ' | '\t' | '\r' | '\n'));
            let rest = self.cursor.rest();
            if rest.starts_with('#') || rest.starts_with("//") {
                self.cursor.run(|c| c != '\n');
            } else if rest.starts_with("/*") {
                let Some(end) = rest.get(2..).and_then(|body| body.find("*/")) else {
                    return Err(Fault::new(self.cursor.at(), "this comment is never closed"));
                };
                self.cursor.skip(end + 4);
            } else {
                return Ok(());
            }
        }
    }
}

fn starts_name(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn in_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn deeper(at: usize, depth: usize) -> Result<usize> {
    depth.checked_sub(1).ok_or_else(|| Fault::new(at, format!("nested deeper than {MAX_DEPTH} levels")))
}
