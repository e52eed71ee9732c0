//! Tells errors of TLS from those of the network, which libraries hand out in the same wrapping.

use std::{error::Error, io, sync::Arc};

/// What is wrong, if it was TLS that failed: a certificate that is not believed, for one.
pub(crate) fn failure<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    error.downcast_ref().or_else(|| failure(inside(error)?))
}

/// What an error was made of. That of an `io::Error`, and that in an `Arc`, are not their sources but their values.
fn inside<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    if let Some(wrapping) = error.downcast_ref::<io::Error>() {
        return Some(wrapping.get_ref()? as _);
    }
    match error.downcast_ref::<Arc<dyn Error + Send + Sync>>() {
        Some(shared) => Some(shared.as_ref() as _),
        None => error.source(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_tls_is_found_in_its_wrapping() {
        let wrapped = |inner: rustls::Error| io::Error::new(io::ErrorKind::InvalidData, inner);
        assert_eq!(failure(&wrapped(rustls::Error::DecryptError)), Some(&rustls::Error::DecryptError));
        assert_eq!(
            failure(&io::Error::other(wrapped(rustls::Error::DecryptError))),
            Some(&rustls::Error::DecryptError)
        );
        let redis = redis::RedisError::from(wrapped(rustls::Error::DecryptError));
        assert_eq!(failure(&redis), Some(&rustls::Error::DecryptError));
        assert_eq!(failure(&io::Error::from(io::ErrorKind::ConnectionRefused)), None);
    }
}
