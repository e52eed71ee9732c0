//! Hands a ruleset to `nft`, which applies all of it or nothing, in the network namespace of this process.

use std::process::Stdio;

use anyhow::Context as _;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Applies `ruleset`. An error quotes the lines of it that nft complains about.
pub(crate) async fn apply(ruleset: &str) -> anyhow::Result<()> {
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("cannot start nft: install the package nftables")?;
    let mut stdin = child.stdin.take().context("nft has no standard input")?;
    // nft reads all before it says anything, so writing first cannot block for ever.
    let written = stdin.write_all(ruleset.as_bytes()).await;
    drop(stdin);
    let output = child.wait_with_output().await?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{}", explain(&said, ruleset));
    written.context("nft did not read the whole ruleset")
}

/// nft's own words, each place that it names followed by the line that stands there.
fn explain(said: &str, ruleset: &str) -> String {
    let mut text = "nft refused the ruleset:".to_owned();
    for line in said.lines() {
        text.push_str("\n  ");
        text.push_str(line);
        if let Some(quoted) = line_number(line).and_then(|number| ruleset.lines().nth(number.checked_sub(1)?)) {
            text.push_str("\n    in: ");
            text.push_str(quoted.trim());
        }
    }
    text
}

/// The line in a message like `/dev/stdin:12:3-9: Error: …`.
fn line_number(message: &str) -> Option<usize> {
    let (_, rest) = message.split_once("/dev/stdin:")?;
    rest.split(':').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_quotes_the_line_it_is_about() {
        let text = explain("/dev/stdin:2:3-9: Error: syntax error\n", "table inet a {\n  nonsense here\n}\n");
        assert!(text.contains("in: nonsense here"), "{text}");
    }
}
