//! Durations as people write them in Kubernetes: `90s`, `15m`, `1h30m`.

use std::time::Duration;

/// A text that is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration; write whole hours, minutes and seconds, such as 15m or 1h30m")]
pub struct InvalidDuration(pub String);

/// Reads `<number><unit>` one or more times, units `h`, `m` and `s`. A subset of Go's `time.ParseDuration` without
/// signs, fractions and smaller units, because nothing here is shorter than a second.
///
/// # Errors
/// [`InvalidDuration`] when `text` is anything else or does not fit.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    seconds(text).map(Duration::from_secs).ok_or_else(|| InvalidDuration(text.to_owned()))
}

fn seconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let mut tail = tail.chars();
        let unit = match tail.next()? {
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        rest = tail.as_str();
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_people_write() {
        for (text, expected) in [("15m", 900), ("168h", 604_800), ("1h30m", 5400), ("90s", 90), ("0s", 0)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(expected)), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in ["", "15", "m", "1d", "-1m", "1.5h", "1m ", "1ms", "99999999999999999999h", "18446744073709551615h"]
        {
            assert_eq!(parse(text), Err(InvalidDuration(text.to_owned())), "{text}");
        }
    }

    proptest! {
        #[test]
        fn parts_add_up(h in 0u64..10_000, m in 0u64..10_000, s in 0u64..10_000) {
            prop_assert_eq!(parse(&format!("{h}h{m}m{s}s")).unwrap(), Duration::from_secs(h * 3600 + m * 60 + s));
        }

        #[test]
        fn never_panics(text in ".{0,40}") {
            let _ = parse(&text);
        }
    }
}
