//! Kubernetes quantities (`10Gi`, `500m`, `1e3`), as far as they have to be compared.

use std::cmp::Ordering;

/// A text that is not a quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a quantity; write a number with an optional unit, such as 10Gi or 500m")]
pub struct InvalidQuantity(pub String);

/// An amount, exact to a billionth, that remembers how it was written.
#[derive(Clone, Debug)]
pub struct Quantity {
    text: String,
    nanos: i128,
}

/// Billionths in one.
const NANO: i128 = 1_000_000_000;

impl Quantity {
    /// Reads a quantity as the API server does: a decimal number and a unit (`n u m k M G T P E`, `Ki … Ei`) or a
    /// decimal exponent.
    ///
    /// # Errors
    /// [`InvalidQuantity`] when `text` is anything else, or too large to be meant.
    pub fn parse(text: &str) -> Result<Self, InvalidQuantity> {
        nanos(text).map(|nanos| Self { text: text.to_owned(), nanos }).ok_or_else(|| InvalidQuantity(text.to_owned()))
    }

    /// The whole part; 0 when it is negative.
    pub fn whole(&self) -> u64 {
        u64::try_from(self.nanos / NANO).unwrap_or(0)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

fn nanos(text: &str) -> Option<i128> {
    let split = text.find(|c: char| !(c.is_ascii_digit() || ".+-".contains(c))).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let (multiplier, divisor) = scale(unit)?;
    decimal(number)?.checked_mul(multiplier)?.checked_div(divisor)
}

/// The number in billionths.
fn decimal(number: &str) -> Option<i128> {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let only_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !only_digits(whole) || !only_digits(fraction) {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction: i128 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Some(sign * whole.checked_mul(NANO)?.checked_add(fraction)?)
}

/// Multiplier and divisor of a unit.
fn scale(unit: &str) -> Option<(i128, i128)> {
    Some(match unit {
        "" => (1, 1),
        "n" => (1, NANO),
        "u" => (1, 1_000_000),
        "m" => (1, 1000),
        "k" => (1000, 1),
        "M" => (1_000_000, 1),
        "G" => (NANO, 1),
        "T" => (NANO * 1000, 1),
        "P" => (NANO * 1_000_000, 1),
        "E" => (NANO * NANO, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        _ => exponent(unit)?,
    })
}

fn exponent(unit: &str) -> Option<(i128, i128)> {
    let power: i32 = unit.strip_prefix(['e', 'E'])?.parse().ok()?;
    let factor = 10i128.checked_pow(power.unsigned_abs())?;
    Some(if power < 0 { (1, factor) } else { (factor, 1) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quantity(text: &str) -> Quantity {
        Quantity::parse(text).unwrap()
    }

    #[test]
    fn units_are_those_of_kubernetes() {
        for (left, right) in
            [("1Ki", "1024"), ("1k", "1000"), ("1.5Gi", "1536Mi"), ("500m", "0.5"), ("1e3", "1k"), ("2E0", "2")]
        {
            assert_eq!(quantity(left), quantity(right), "{left} and {right}");
        }
        assert!(quantity("1Gi") > quantity("1G"));
        assert_eq!(quantity("1.50Gi").as_str(), "1.50Gi");
    }

    #[test]
    fn refuses_what_is_not_a_quantity() {
        for text in ["", "Gi", "1gb", "1 Gi", "one", "1.2.3", "1Kib", "--1", "1e99", "1e"] {
            assert_eq!(Quantity::parse(text), Err(InvalidQuantity(text.to_owned())), "{text}");
        }
    }

    proptest! {
        #[test]
        fn order_is_that_of_the_numbers(a in 0u32.., b in 0u32..) {
            prop_assert_eq!(quantity(&format!("{a}Mi")).cmp(&quantity(&format!("{b}Mi"))), a.cmp(&b));
        }

        #[test]
        fn never_panics(text in ".{0,40}") {
            let _ = Quantity::parse(&text);
        }
    }
}
