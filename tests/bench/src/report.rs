//! Results: samples with a name and a unit, printed as a table and saved whole.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

/// Everything one run measured.
#[derive(Serialize)]
pub(crate) struct Report {
    what: &'static str,
    at: String,
    machine: Machine,
    figures: Vec<Figure>,
}

/// What the run was made on; figures of different machines are not comparable.
#[derive(Serialize)]
struct Machine {
    cores: usize,
    cpu: String,
    kernel: String,
}

/// One measured quantity with all its samples.
#[derive(Serialize)]
struct Figure {
    name: String,
    unit: &'static str,
    samples: Vec<f64>,
}

impl Report {
    pub(crate) fn new(what: &'static str) -> anyhow::Result<Self> {
        let cpu_info = std::fs::read_to_string("/proc/cpuinfo").context("reading /proc/cpuinfo")?;
        let cpu = cpu_info.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("unknown").to_owned();
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").context("reading the kernel's release")?;
        #[expect(clippy::disallowed_methods, reason = "the date of a measurement is the wall clock's")]
        let at = jiff::Timestamp::now().to_string();
        let cores = std::thread::available_parallelism()?.get();
        let machine = Machine { cores, cpu, kernel: kernel.trim().to_owned() };
        Ok(Self { what, at, machine, figures: Vec::new() })
    }

    /// Adds a figure. An empty sample list is a bug of the measurement and is refused.
    pub(crate) fn add(&mut self, name: impl Into<String>, unit: &'static str, samples: Vec<f64>) -> anyhow::Result<()> {
        let name = name.into();
        anyhow::ensure!(!samples.is_empty(), "nothing was measured for “{name}”");
        self.figures.push(Figure { name, unit, samples });
        Ok(())
    }

    pub(crate) fn print(&self) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "\n{} — {} × {}, Linux {}",
            self.what, self.machine.cores, self.machine.cpu, self.machine.kernel
        )?;
        writeln!(out, "{:<58} {:>10} {:>10} {:>10} {:>8}", "figure", "median", "min", "max", "samples")?;
        for figure in &self.figures {
            let mut sorted = figure.samples.clone();
            sorted.sort_by(f64::total_cmp);
            writeln!(
                out,
                "{:<58} {:>10.2} {:>10.2} {:>10.2} {:>8}",
                format!("{} ({})", figure.name, figure.unit),
                percentile(&sorted, 0.5),
                percentile(&sorted, 0.0),
                percentile(&sorted, 1.0),
                sorted.len()
            )?;
        }
        Ok(())
    }

    pub(crate) fn save(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        let path = folder.join(format!("{}.json", self.what));
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(&path, text + "\n").with_context(|| format!("writing {}", path.display()))?;
        writeln!(std::io::stdout(), "raw results: {}", path.display())?;
        Ok(())
    }
}

/// The value below which the share `rank` (0 to 1) of sorted samples lies; 0 for no samples.
pub(crate) fn percentile(sorted: &[f64], rank: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index within a sample list, far below 2^52"
    )]
    let index = (last as f64 * rank).round() as usize;
    sorted.get(index).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles_of_a_known_list() {
        let sorted: Vec<f64> = (1..=101).map(f64::from).collect();
        assert!((percentile(&sorted, 0.5) - 51.0).abs() < f64::EPSILON);
        assert!((percentile(&sorted, 0.99) - 100.0).abs() < f64::EPSILON);
        assert!((percentile(&sorted, 1.0) - 101.0).abs() < f64::EPSILON);
    }
}
