//! What the kernel says of a process.

use anyhow::Context as _;

/// Resident memory of a process in MiB.
pub(crate) fn resident_mib(pid: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let line =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")).with_context(|| format!("{path} has no VmRSS"))?;
    let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse().with_context(|| format!("{path}: {line}"))?;
    Ok(kib / 1024.0)
}
