//! Headers of a tar file (POSIX.1-1988 ustar), as far as snapshots need them.

/// A header, and what all parts are padded to.
pub(super) const BLOCK: usize = 512;

/// The header of a regular file.
pub(super) fn header(name: &str, size: u64, seconds: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    put(&mut block, 0, name.as_bytes());
    put(&mut block, 100, b"0000600\0");
    put(&mut block, 108, b"0000000\0");
    put(&mut block, 116, b"0000000\0");
    put(&mut block, 124, format!("{size:011o}\0").as_bytes());
    put(&mut block, 136, format!("{seconds:011o}\0").as_bytes());
    put(&mut block, 156, b"0");
    put(&mut block, 257, b"ustar\x0000");
    let sum = checksum(&block);
    put(&mut block, 148, format!("{sum:06o}\0 ").as_bytes());
    block
}

/// Name and size; none when [`header`] would not have written it, to the last byte.
pub(super) fn parse(block: &[u8; BLOCK]) -> Option<(String, u64)> {
    let name = std::str::from_utf8(block.get(..100)?.split(|byte| *byte == 0).next()?).ok()?;
    let (size, seconds) = (octal(block.get(124..136)?)?, octal(block.get(136..148)?)?);
    (header(name, size, seconds) == *block).then(|| (name.to_owned(), size))
}

/// Bytes that follow a file of this size.
pub(super) fn padding(size: u64) -> usize {
    let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
    if over == 0 { 0 } else { BLOCK - over }
}

fn put(block: &mut [u8; BLOCK], at: usize, bytes: &[u8]) {
    if let Some(place) = block.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// Of all bytes, those of the sum itself taken for spaces.
fn checksum(block: &[u8; BLOCK]) -> u32 {
    block.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) }).sum()
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    u64::from_str_radix(text, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_what_it_was_made_of_and_every_changed_byte_is_seen() {
        let block = header("state.bin", 4711, 1_700_000_000);
        assert_eq!(parse(&block), Some(("state.bin".to_owned(), 4711)));
        for at in 0..BLOCK {
            let mut changed = block;
            changed[at] ^= 1;
            assert_ne!(parse(&changed), Some(("state.bin".to_owned(), 4711)), "byte {at}");
        }
        assert_eq!((padding(0), padding(1), padding(512), padding(513)), (0, 511, 0, 511));
    }
}
