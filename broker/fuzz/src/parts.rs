//! One input as several.

/// The next part of an input: all up to the next 0xff, or the rest.
pub(crate) fn bytes<'a>(data: &mut &'a [u8]) -> &'a [u8] {
    let end = data.iter().position(|byte| *byte == 0xff);
    let (part, rest) = data.split_at(end.unwrap_or(data.len()));
    *data = rest.get(1..).unwrap_or_default();
    part
}

/// The next part as text; none when it is not UTF-8.
pub(crate) fn text<'a>(data: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(bytes(data)).ok()
}

/// The next byte; zero at the end.
pub(crate) fn byte(data: &mut &[u8]) -> u8 {
    let Some((first, rest)) = data.split_first() else { return 0 };
    *data = rest;
    *first
}
