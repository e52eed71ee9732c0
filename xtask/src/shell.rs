//! Running other programs. Every failure names the whole command line; nothing goes through a shell.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// A command with its arguments.
pub(crate) fn command<I, A>(program: impl AsRef<std::ffi::OsStr>, arguments: I) -> Command
where
    I: IntoIterator<Item = A>,
    A: AsRef<std::ffi::OsStr>,
{
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// Runs to the end; the program writes to our own output.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", line(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", line(command));
    }
    Ok(())
}

/// Runs to the end and hands back what the program printed. The error holds what it said on standard error.
pub(crate) fn capture(command: &mut Command) -> anyhow::Result<String> {
    command.stdin(Stdio::null());
    let output = command.output().with_context(|| format!("cannot start {}", line(command)))?;
    finish(command, &output)
}

/// Like [`capture`], with `input` on the program's standard input.
pub(crate) fn capture_with_input(command: &mut Command, input: &[u8]) -> anyhow::Result<String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {}", line(command)))?;
    let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(input));
    let output = child.wait_with_output()?;
    let text = finish(command, &output)?;
    written.with_context(|| format!("{} did not read its input", line(command)))?;
    Ok(text)
}

fn finish(command: &Command, output: &std::process::Output) -> anyhow::Result<String> {
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} ended with {}:\n{}", line(command), output.status, last_lines(&said, 20));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The last `count` lines of a text.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// The command as one would type it, for messages.
pub(crate) fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_what_it_said() {
        let error =
            capture(&mut command("sh", ["-c", "echo broken pipe of clay >&2; exit 3"])).unwrap_err().to_string();
        assert!(error.contains("sh -c") && error.contains("broken pipe of clay") && error.contains('3'), "{error}");
    }

    #[test]
    fn input_reaches_the_program() {
        assert_eq!(capture_with_input(&mut Command::new("cat"), b"text").unwrap(), "text");
    }

    #[test]
    fn last_lines_keeps_the_end() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a", 2), "a");
    }
}
