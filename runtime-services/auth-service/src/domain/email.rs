//! E-mail addresses as account names.
//!
//! ASCII only: two spellings of one address must always compare equal, in this program and in every database, and
//! only for ASCII do all of them agree on what lower case is.

use std::fmt;

/// The longest address that mail servers must take (RFC 5321 section 4.5.3.1, less the angle brackets).
const MAX_BYTES: usize = 254;
const MAX_LOCAL_BYTES: usize = 64;

/// An address that mail could be sent to. Its debug form shows nothing, as addresses are not for logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// Takes over an address, spelled as the user spells it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > MAX_BYTES {
            return Err("is longer than 254 bytes");
        }
        let (local, domain) = text.rsplit_once('@').ok_or("needs an @, as in name@example.org")?;
        if !is_local(local) {
            return Err("has characters before the @ that cannot be used, or too many of them");
        }
        if !is_domain(domain) {
            return Err("does not end in the name of a domain, as in name@example.org");
        }
        Ok(Self(text.to_owned()))
    }

    /// As the user spelled it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the @.
    pub fn local(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(local, _)| local)
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(..)")
    }
}

/// The dot-atom of RFC 5322 section 3.2.3, the form that every provider gives out.
fn is_local(local: &str) -> bool {
    let atom = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&c);
    local.len() <= MAX_LOCAL_BYTES && local.split('.').all(|part| !part.is_empty() && part.bytes().all(atom))
}

/// Host names of RFC 1123; internationalised ones in their ASCII form.
fn is_domain(domain: &str) -> bool {
    let label = |label: &str| {
        let inner = label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
        (1..=63).contains(&label.len()) && inner && !label.starts_with('-') && !label.ends_with('-')
    };
    domain.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in ["a@b", "Jane.Doe+tag@Example.org", "o'neil@mail.example.co.uk", "x@xn--bcher-kva.example"] {
            assert_eq!(Email::parse(good).unwrap().as_str(), good);
        }
        let long = format!("{}@example.org", "a".repeat(65));
        let longer = format!("a@{}", "b.".repeat(130));
        for bad in
            ["", "a", "@b", "a@", "a b@c", ".a@b", "a..b@c", "a@-b", "a@b_c", "a@b..c", "ü@b", "a@b\n", &long, &longer]
        {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn debug_output_shows_no_address() {
        let email = Email::parse("jane@example.org").unwrap();
        assert_eq!(email.local(), "jane");
        assert!(!format!("{email:?}").contains("jane"));
    }
}
