//! A shell in a pod that stays open, so that many small questions cost one `kubectl exec`.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::cluster::program;

/// For one script.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The line that ends the output of a script.
const END: &str = "-- end of script --";

/// A shell in a pod. Dropped, it ends.
pub struct Shell {
    /// Ended when dropped.
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Shell {
    /// Starts `/bin/sh` in the first container of a pod.
    ///
    /// # Errors
    /// `kubectl` is missing.
    pub fn open(namespace: &str, pod: &str) -> anyhow::Result<Self> {
        let mut child = Command::new(program("kubectl")?)
            .args(["exec", "--stdin", "--quiet", "--namespace", namespace, pod, "--", "/bin/sh"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting kubectl exec")?;
        let input = child.stdin.take().context("no standard input")?;
        let output = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        Ok(Self { _child: child, input, output })
    }

    /// Runs a script and returns the lines that it prints.
    ///
    /// # Errors
    /// The shell ends or does not answer in time.
    pub async fn run(&mut self, script: &str) -> anyhow::Result<Vec<String>> {
        let exchange = async {
            self.input.write_all(format!("{script}\necho '{END}'\n").as_bytes()).await?;
            self.input.flush().await?;
            let mut lines = Vec::new();
            while let Some(line) = self.output.next_line().await? {
                if line == END {
                    return Ok(lines);
                }
                lines.push(line);
            }
            bail!("the shell ended; before that it said {lines:?}")
        };
        tokio::time::timeout(TIMEOUT, exchange).await.context("the shell did not answer in time")?
    }
}
