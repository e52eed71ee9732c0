//! The few requests of S3 that administering takes: what is in a bucket, and its removal.

use std::fmt::Write as _;

use bytes::Bytes;
use http::Method;
use tokio::time::Instant;

use super::accepted;
use crate::http::{Answer, segment};
use crate::sigv4::{Scope, SignedClient};
use crate::{AdminError, Clock, Endpoint, Login};

/// Objects that are listed and removed at once: few enough that a page takes a small part of a call's time, although
/// each removal waits for the disk.
const PAGE: usize = 100;

/// A client of the S3 port.
pub(super) struct S3(SignedClient);

impl S3 {
    pub(super) fn new(endpoint: &Endpoint, region: &str, clock: Clock) -> Result<Self, AdminError> {
        let scope = Scope { service: "s3", region: region.to_owned() };
        SignedClient::new(endpoint, endpoint.consumer_port, scope, clock).map(Self)
    }

    /// The first `limit` objects whose names come after `after`.
    pub(super) async fn list(
        &self,
        login: &Login,
        bucket: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>, AdminError> {
        let after = if after.is_empty() { String::new() } else { format!("&start-after={}", segment(after)) };
        let query = format!("list-type=2&encoding-type=url&max-keys={limit}{after}");
        let answer = self.send(login, Method::GET, &format!("/{}?{query}", segment(bucket)), Bytes::new()).await?;
        keys(&answer.body)
    }

    /// Removes the objects until none is left or `until` has come; whether none is left.
    pub(super) async fn empty(&self, login: &Login, bucket: &str, until: Instant) -> Result<bool, AdminError> {
        // From name to name, because Garage keeps removed ones for a while and would read them again.
        let mut after = String::new();
        while Instant::now() < until {
            let page = self.list(login, bucket, &after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(true) };
            after.clone_from(last);
            self.remove(login, bucket, &page).await?;
        }
        Ok(false)
    }

    async fn remove(&self, login: &Login, bucket: &str, names: &[String]) -> Result<(), AdminError> {
        let bucket = segment(bucket);
        // XML has no way to write some names.
        let (plain, odd): (Vec<&String>, Vec<&String>) = names.iter().partition(|name| writable(name));
        for name in odd {
            // Slashes stay: Garage signs paths with them.
            let path = name.split('/').map(segment).collect::<Vec<_>>().join("/");
            self.send(login, Method::DELETE, &format!("/{bucket}/{path}"), Bytes::new()).await?;
        }
        if plain.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = plain.into_iter().map(|name| escaped(name)).collect();
        let names = names.join("</Key></Object><Object><Key>");
        let body = format!("<Delete><Quiet>true</Quiet><Object><Key>{names}</Key></Object></Delete>");
        let answer = self.send(login, Method::POST, &format!("/{bucket}?delete"), body.into()).await?;
        let text = String::from_utf8_lossy(&answer.body);
        match element(&text, "Error") {
            Some(error) => Err(AdminError::Engine(format!("an object cannot be removed: {}", message(error)))),
            None => Ok(()),
        }
    }

    async fn send(&self, login: &Login, method: Method, path: &str, body: Bytes) -> Result<Answer, AdminError> {
        let answer = self.0.send(login, method, path, &[], body).await?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        // Errors come as XML, which nobody wants to read in a condition.
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        accepted(Answer { body: message(&text).to_owned().into(), ..answer })
    }
}

/// The names in a list that was asked for with `encoding-type=url`, so that they hold no character of XML.
fn keys(body: &[u8]) -> Result<Vec<String>, AdminError> {
    let unreadable = || AdminError::Engine("a list of objects that cannot be read".to_owned());
    let text = std::str::from_utf8(body).map_err(|_| unreadable())?;
    if !text.contains("<ListBucketResult") {
        return Err(unreadable());
    }
    let names = text.split("<Key>").skip(1).map(|rest| rest.split_once("</Key>").map(|(name, _)| name));
    names.map(|name| name.and_then(decoded).ok_or_else(unreadable)).collect()
}

/// Percent-decoded.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Whether XML 1.0 can hold the text.
fn writable(text: &str) -> bool {
    text.chars()
        .all(|char| !matches!(char, '\0'..='\x08' | '\x0B' | '\x0C' | '\x0E'..='\x1F' | '\u{FFFE}' | '\u{FFFF}'))
}

/// The text inside of an element. Line ends are spelt out: readers of XML change them otherwise.
fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, char| {
        match char {
            '<' | '>' | '&' | '"' | '\'' | '\t' | '\r' | '\n' => drop(write!(escaped, "&#{};", u32::from(char))),
            other => escaped.push(other),
        }
        escaped
    })
}

/// What is inside of the first element of that name.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(inside, _)| inside)
}

/// The words of an error.
fn message(text: &str) -> &str {
    element(text, "Message").unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_a_list() {
        let list =
            b"<?xml?><ListBucketResult><Name>b</Name><Contents><Key>a%2Fb%20%3Cc%3E</Key><Size>1</Size></Contents>\
                     <Contents><Key>%C3%A9%0A</Key></Contents></ListBucketResult>";
        assert_eq!(keys(list).unwrap(), ["a/b <c>", "\u{e9}\n"]);
        assert!(keys(b"<ListBucketResult xmlns=\"x\"></ListBucketResult>").unwrap().is_empty());
        assert!(keys(b"<html/>").is_err());
        assert!(keys(b"<ListBucketResult><Key>%zz</Key></ListBucketResult>").is_err());
        assert!(keys(b"<ListBucketResult><Key>%C").is_err());
    }

    #[test]
    fn names_are_written_so_that_xml_holds_them() {
        assert_eq!(escaped("a<&\r\n\"é"), "a&#60;&#38;&#13;&#10;&#34;é");
        assert!(writable("a\tb\u{1F600}"));
        assert!(!writable("a\u{1}"));
    }

    #[test]
    fn an_error_is_reduced_to_its_words() {
        let error = "<Error><Code>AccessDenied</Code><Message>No such key</Message></Error>";
        assert_eq!(message(error), "No such key");
        assert_eq!(message("plain"), "plain");
    }
}
