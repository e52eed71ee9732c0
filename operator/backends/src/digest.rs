//! Hashes that roll pods: equal exactly when what they describe is equal.

use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// 128 bits of SHA-256 over named parts, in hexadecimal. Every part is preceded by its length, so that moving bytes
/// from one part to the next changes the hash.
pub fn digest<'a>(parts: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut hash = Sha256::new();
    for (name, value) in parts {
        for bytes in [name.as_bytes(), value] {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        }
    }
    hash.finalize().iter().take(16).fold(String::with_capacity(32), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(digest([("a", b"bc".as_slice())]), digest([("ab", b"c".as_slice())]));
        assert_ne!(digest([("a", b"b".as_slice())]), digest([("a", b"c".as_slice())]));
        assert_eq!(digest([("a", b"b".as_slice())]), digest([("a", b"b".as_slice())]));
        assert_eq!(digest([]).len(), 32);
    }
}
