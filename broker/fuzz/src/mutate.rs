//! Small blind mutations of corpus inputs, so that plain tests see a little of what fuzzing sees.

/// Words that parsers look for.
const WORDS: [&[u8]; 20] = [
    b"\xff",
    b"\"",
    b"\\u0000",
    b"\\ud800",
    b"{}",
    b"[]",
    b"null",
    b"//",
    b"..",
    b"%2F",
    b"%00",
    b"*",
    b"+",
    b"-1",
    b"18446744073709551615",
    b"\xe2\x80\xae",
    b"\0",
    b"\n",
    b"}",
    b"9e999",
];

/// A changed copy of one of `inputs`, at most `longest` bytes; `next` draws a number below its argument.
pub fn mutated(inputs: &[Vec<u8>], longest: usize, next: &mut dyn FnMut(usize) -> usize) -> Vec<u8> {
    let mut data = pick(inputs, next).to_vec();
    for _ in 0..=next(4) {
        change(&mut data, inputs, next);
    }
    data.truncate(longest);
    data
}

fn pick<'a>(inputs: &'a [Vec<u8>], next: &mut dyn FnMut(usize) -> usize) -> &'a [u8] {
    if inputs.is_empty() { &[] } else { &inputs[next(inputs.len())] }
}

fn change(data: &mut Vec<u8>, inputs: &[Vec<u8>], next: &mut dyn FnMut(usize) -> usize) {
    let at = next(data.len() + 1);
    match next(7) {
        0 => insert(data, at, WORDS[next(WORDS.len())]),
        1 => insert(data, at, pick(inputs, next)),
        2 => drop(data.drain(at..(at + 1 + next(8)).min(data.len()).max(at))),
        3 => {
            let end = (at + 1 + next(32)).min(data.len());
            let again = data[at..end].to_vec();
            insert(data, at, &again);
        }
        4 => data.truncate(at),
        choice => {
            if let Some(byte) = data.get_mut(at) {
                *byte = if choice == 5 { *byte ^ (1 << next(8)) } else { next(256) as u8 };
            }
        }
    }
}

fn insert(data: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let longest = &bytes[..bytes.len().min(4096)];
    drop(data.splice(at..at, longest.iter().copied()));
}
