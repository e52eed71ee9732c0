//! Generated passwords. They are never logged: `Debug` hides them, and only [`Password::expose`] gives them out.

use std::fmt;

use crate::rng::{Rng, RngError};

/// 62 characters that need no quoting in a URI, a shell, SQL or a configuration file.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// 43 characters of 62 carry 256.03 bits.
const LENGTH: usize = 43;

/// A generated password of 256 bits in letters and digits.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Draws a new password.
    pub fn generate(rng: &dyn Rng) -> Result<Self, RngError> {
        let mut password = String::with_capacity(LENGTH);
        let mut bytes = [0_u8; 64];
        while password.len() < LENGTH {
            rng.fill(&mut bytes)?;
            // 248 is the greatest multiple of 62 in a byte: what lies above would make the first letters likelier.
            let fair = bytes.iter().filter(|byte| **byte < 248).map(|byte| usize::from(*byte) % ALPHABET.len());
            password.extend(
                fair.take(LENGTH - password.len()).filter_map(|index| ALPHABET.get(index)).map(|c| char::from(*c)),
            );
        }
        Ok(Self(password))
    }

    /// Draws 64 hexadecimal digits, for engines that take nothing else.
    pub fn generate_hex(rng: &dyn Rng) -> Result<Self, RngError> {
        use std::fmt::Write as _;
        let mut bytes = [0_u8; 32];
        rng.fill(&mut bytes)?;
        Ok(Self(bytes.iter().fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })))
    }

    /// The password itself, for the object that holds it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{SeededRng, SystemRng};

    #[test]
    fn has_256_bits_of_plain_characters_and_hides_in_debug() {
        let password = Password::generate(&SystemRng).unwrap();
        assert_eq!(password.expose().len(), 43);
        assert!(password.expose().bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert!(!format!("{password:?}").contains(password.expose()));
    }

    #[test]
    fn two_draws_differ_and_a_seed_repeats() {
        let rng = SeededRng::new(7);
        let (first, second) = (Password::generate(&rng).unwrap(), Password::generate(&rng).unwrap());
        assert_ne!(first, second);
        assert_eq!(first, Password::generate(&SeededRng::new(7)).unwrap());
    }
}
