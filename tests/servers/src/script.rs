//! For servers that are started by the script of their builtin pod, with other paths and ports.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

const TIMEOUT: Duration = Duration::from_secs(2);

/// `text` with every `(from, to)` replaced.
///
/// # Errors
/// When a `from` is not in it: then the script has changed and the test would no longer run what it should.
pub(crate) fn relocate(text: &str, changes: &[(&str, &str)]) -> Result<String> {
    changes.iter().try_fold(text.to_owned(), |text, (from, to)| {
        if !text.contains(from) {
            bail!("the file of the builtin pod holds no {from:?} any more: change its test server too");
        }
        Ok(text.replace(from, to))
    })
}

/// Writes files into `folder`, which is made.
pub(crate) fn write(folder: &Path, files: &[(&str, &str)]) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    for (name, text) in files {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}

/// The HTTP status of `path`, if anything answers.
pub(crate) fn status(address: SocketAddr, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).ok()?;
    stream.set_read_timeout(Some(TIMEOUT)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut line = [0; 12];
    stream.read_exact(&mut line).ok()?;
    std::str::from_utf8(&line).ok()?.strip_prefix("HTTP/1.1 ")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_cannot_be_replaced() {
        assert_eq!(relocate("a /data b /data", &[("/data", "/tmp")]).unwrap(), "a /tmp b /tmp");
        let error = relocate("a", &[("/data", "/tmp")]).unwrap_err().to_string();
        assert!(error.contains("holds no \"/data\""), "{error}");
    }
}
