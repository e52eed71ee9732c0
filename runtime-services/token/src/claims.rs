//! What an access token says.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// The claims of an access token (RFC 9068 section 2.2). Times are seconds since 1970, UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// Who issued it: the URL of the auth service.
    pub iss: String,
    /// Who it speaks for: the id of the user. Together with `iss` it, and never an e-mail address, identifies them.
    pub sub: Uuid,
    /// Who it is for.
    #[serde(serialize_with = "one_as_string", deserialize_with = "one_or_many")]
    pub aud: Vec<String>,
    /// From this second on it is worth nothing.
    pub exp: i64,
    /// Before this second it is worth nothing.
    pub nbf: i64,
    /// When it was issued.
    pub iat: i64,
    /// The id of this token.
    pub jti: Uuid,
    /// The session that it belongs to: all tokens of one login share it, and end with it.
    pub sid: Uuid,
    /// What the user is.
    #[serde(default)]
    pub roles: Vec<String>,
    /// What the bearer may do, separated by blanks (RFC 6749 section 3.3). Absent means: what the roles allow.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope: String,
}

/// The form that every library reads: a list only where there is more than one.
fn one_as_string<S: Serializer>(audience: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    match audience {
        [one] => serializer.serialize_str(one),
        many => many.serialize(serializer),
    }
}

/// RFC 7519 section 4.1.3: a single string stands for a list of one.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Audience;
    impl<'de> de::Visitor<'de> for Audience {
        type Value = Vec<String>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a string or a list of strings")
        }
        fn visit_str<E: de::Error>(self, one: &str) -> Result<Self::Value, E> {
            Ok(vec![one.to_owned()])
        }
        fn visit_seq<A: de::SeqAccess<'de>>(self, mut many: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while let Some(one) = many.next_element()? {
                all.push(one);
            }
            Ok(all)
        }
    }
    deserializer.deserialize_any(Audience)
}
