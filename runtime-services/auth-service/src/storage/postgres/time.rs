//! `timestamptz` as the time type that the rest of the program uses.

use jiff::Timestamp;
use sqlx::{
    Decode, Encode, Postgres, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgTypeInfo, PgValueFormat, PgValueRef, types::Oid},
};

/// PostgreSQL counts microseconds from the start of the year 2000.
const EPOCH_MICROSECONDS: i64 = 946_684_800_000_000;

/// The object id of `timestamptz`, the same in every server (`pg_type.dat`).
const TIMESTAMPTZ: Oid = Oid(1184);

/// A moment in a row or an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SqlTime(pub(super) Timestamp);

impl Type<Postgres> for SqlTime {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ)
    }
}

impl Encode<'_, Postgres> for SqlTime {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Postgres>::encode(self.0.as_microsecond() - EPOCH_MICROSECONDS, buffer)
    }

    fn size_hint(&self) -> usize {
        size_of::<i64>()
    }
}

impl<'r> Decode<'r, Postgres> for SqlTime {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        if value.format() != PgValueFormat::Binary {
            return Err("a time came as text, which only unprepared statements do".into());
        }
        let microseconds = <i64 as Decode<Postgres>>::decode(value)?;
        let since_1970 = microseconds.checked_add(EPOCH_MICROSECONDS).ok_or("a time beyond all calendars")?;
        Ok(Self(Timestamp::from_microsecond(since_1970)?))
    }
}
