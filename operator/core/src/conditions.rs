//! Conditions: setting one without moving its transition time for nothing, and the standard summary that kstatus,
//! `kubectl wait`, Argo CD and Flux read. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use portico_crds::common::{ConditionType, reasons};

/// The status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status3 {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Not known yet, or no longer.
    Unknown,
}

impl Status3 {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Status3 {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// Longest message that is written; Kubernetes allows 32768 bytes.
const MESSAGE_LIMIT: usize = 4096;

/// Sets one condition and keeps all others. `lastTransitionTime` moves only when the status changes.
pub fn set(
    conditions: &mut Vec<Condition>,
    type_: ConditionType,
    status: Status3,
    reason: &str,
    message: impl Into<String>,
    generation: Option<i64>,
    now: Timestamp,
) {
    let mut next = Condition {
        type_: type_.as_str().to_owned(),
        status: status.as_str().to_owned(),
        reason: reason.to_owned(),
        message: shortened(message.into()),
        observed_generation: generation,
        last_transition_time: Time(whole_seconds(now)),
    };
    match conditions.iter_mut().find(|condition| condition.type_ == next.type_) {
        Some(current) => {
            if current.status == next.status {
                next.last_transition_time = current.last_transition_time.clone();
            }
            *current = next;
        }
        None => conditions.push(next),
    }
}

/// The condition of a type, if there is one.
pub fn find(conditions: &[Condition], type_: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == type_.as_str())
}

/// Whether a condition is there and `True`.
pub fn is_true(conditions: &[Condition], type_: ConditionType) -> bool {
    find(conditions, type_).is_some_and(|condition| condition.status == Status3::True.as_str())
}

/// Where a resource stands as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Summary {
    /// All that the spec asks for is there and works.
    Ready {
        /// For people.
        message: String,
    },
    /// Something is being made or waited for, or failed and is tried again.
    Progressing {
        /// One word.
        reason: String,
        /// For people.
        message: String,
    },
    /// Only a person can mend it.
    Stalled {
        /// One word.
        reason: String,
        /// For people: what is wrong and what to do.
        message: String,
    },
}

/// Sets `Ready`, `Reconciling` and `Stalled` so that they agree with each other.
pub fn summarise(conditions: &mut Vec<Condition>, summary: &Summary, generation: Option<i64>, now: Timestamp) {
    use ConditionType::{Ready, Reconciling, Stalled};
    let mut set = |type_, holds: bool, reason: &str, message: &str| {
        set(conditions, type_, Status3::from(holds), reason, message, generation, now);
    };
    match summary {
        Summary::Ready { message } => {
            set(Ready, true, reasons::READY, message);
            set(Reconciling, false, reasons::RECONCILED, "");
            set(Stalled, false, reasons::HEALTHY, "");
        }
        Summary::Progressing { reason, message } => {
            set(Ready, false, reason, message);
            set(Reconciling, true, reason, message);
            set(Stalled, false, reasons::HEALTHY, "");
        }
        Summary::Stalled { reason, message } => {
            set(Ready, false, reason, message);
            set(Reconciling, false, reason, "Waiting for a person; see Stalled.");
            set(Stalled, true, reason, message);
        }
    }
}

/// Kubernetes writes whole seconds; anything finer would never compare equal with what is read back.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn shortened(mut message: String) -> String {
    if message.len() > MESSAGE_LIMIT {
        message.truncate(message.floor_char_boundary(MESSAGE_LIMIT - 3));
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn transition_time_moves_with_the_status_only() {
        let mut all = Vec::new();
        set(&mut all, ConditionType::Ready, Status3::False, "A", "a", Some(1), at(10));
        set(&mut all, ConditionType::Ready, Status3::False, "B", "b", Some(2), at(20));
        assert_eq!(all[0].last_transition_time.0, at(10));
        assert_eq!((all[0].reason.as_str(), all[0].message.as_str(), all[0].observed_generation), ("B", "b", Some(2)));
        set(&mut all, ConditionType::Ready, Status3::True, "B", "b", Some(2), at(30));
        assert_eq!(all[0].last_transition_time.0, at(30));
        assert_eq!(all.len(), 1);
    }

    #[test]
    fn times_survive_being_written_and_read() {
        let mut all = Vec::new();
        set(
            &mut all,
            ConditionType::Ready,
            Status3::True,
            "A",
            "",
            None,
            Timestamp::from_millisecond(1_234_567).unwrap(),
        );
        let read: Condition = serde_json::from_value(serde_json::to_value(&all[0]).unwrap()).unwrap();
        assert_eq!(read, all[0]);
    }

    #[test]
    fn summaries_agree_with_kstatus() {
        let words = |summary: &Summary| {
            let mut all = Vec::new();
            summarise(&mut all, summary, Some(3), at(1));
            [ConditionType::Ready, ConditionType::Reconciling, ConditionType::Stalled].map(|type_| is_true(&all, type_))
        };
        let (reason, message) = (String::from("R"), String::from("m"));
        assert_eq!(words(&Summary::Ready { message: message.clone() }), [true, false, false]);
        assert_eq!(
            words(&Summary::Progressing { reason: reason.clone(), message: message.clone() }),
            [false, true, false]
        );
        assert_eq!(words(&Summary::Stalled { reason, message }), [false, false, true]);
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let mut all = Vec::new();
        set(&mut all, ConditionType::Ready, Status3::True, "A", "ä".repeat(5000), None, at(1));
        assert!(all[0].message.len() <= MESSAGE_LIMIT && all[0].message.ends_with('…'));
    }
}
