//! Which passwords are taken. Length and context decide, as NIST SP 800-63B-4 and OWASP ASVS 5.0 want it: no rules
//! about kinds of characters, nothing cut, nothing folded.

/// The least length, in characters.
pub const MIN_CHARACTERS: usize = 8;

/// The most bytes that bcrypt looks at. Longer passwords are refused, because cutting them would make other passwords
/// work as well.
pub const MAX_BYTES: usize = 72;

/// Shorter context words would refuse too many passwords that only happen to contain them.
const MIN_CONTEXT: usize = 4;

/// Checks a new password against the words that an attacker would try first for this user: the name of the service,
/// the part of the address before the @, names.
///
/// # Errors
/// What is wrong with it, without quoting it.
pub fn check<'a>(password: &str, context: impl IntoIterator<Item = &'a str>) -> Result<(), String> {
    let characters = password.chars().count();
    if characters < MIN_CHARACTERS {
        return Err(format!("has {characters} characters; at least {MIN_CHARACTERS} are needed"));
    }
    if password.len() > MAX_BYTES {
        return Err(format!("has {} bytes; at most {MAX_BYTES} can be used", password.len()));
    }
    if password.contains('\0') {
        return Err("has a NUL character, which cannot be used".to_owned());
    }
    let lower = password.to_lowercase();
    let mut words = std::iter::once("portico").chain(context).filter(|word| word.chars().count() >= MIN_CONTEXT);
    if words.any(|word| lower.contains(&word.to_lowercase())) {
        return Err("contains your e-mail address, your name or the name of this service".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_counted_in_characters_and_bounded_in_bytes() {
        assert!(check("1234567", []).is_err());
        check("12345678", []).unwrap();
        check("пароль-1", []).unwrap();
        check(&"a".repeat(64), []).unwrap();
        check(&"a".repeat(72), []).unwrap();
        assert!(check(&"a".repeat(73), []).unwrap_err().contains("73 bytes"));
        assert!(check(&"я".repeat(37), []).unwrap_err().contains("74 bytes"));
    }

    #[test]
    fn any_characters_will_do() {
        for good in ["aaaaaaaa", "only lower case letters", "        ", "🙂🙂🙂🙂🙂🙂🙂🙂", "p\u{301}assssss"]
        {
            check(good, ["jane"]).unwrap();
        }
        assert!(check("abc\0defgh", []).is_err());
    }

    #[test]
    fn context_words_are_refused_in_any_case() {
        for bad in ["jane.doe1", "xxJANE.DOExx", "Portico-2026", "mY-sMiTh-key"] {
            assert!(check(bad, ["jane.doe", "Smith"]).is_err(), "{bad}");
        }
        check("bobsleigh run", ["bob"]).unwrap();
    }

    #[test]
    fn the_message_does_not_quote_the_password() {
        assert!(!check("hunter2", []).unwrap_err().contains("hunter2"));
    }
}
