//! `cargo xtask test`: every test there is, the cheap ones first. Stops at the first rung that breaks.

use std::time::{Duration, Instant};

use crate::cluster::provider::Provider;
use crate::{cargo, e2e, paths, setup, shell, tidy, ui};

/// A rung: what it is called, and the work.
struct Rung<'a> {
    title: &'static str,
    work: Box<dyn FnOnce() -> anyhow::Result<()> + 'a>,
}

fn rung<'a>(title: &'static str, work: impl FnOnce() -> anyhow::Result<()> + 'a) -> Rung<'a> {
    Rung { title, work: Box::new(work) }
}

/// Climbs the ladder; with `fast`, everything that needs no cluster.
pub(crate) fn run(cluster: &dyn Provider, fast: bool) -> anyhow::Result<()> {
    let mut rungs = fast_rungs();
    if !fast {
        rungs.push(rung("end-to-end tests on a fresh cluster", || e2e::run(cluster, false, &[])));
    }
    climb(rungs)
}

fn fast_rungs() -> Vec<Rung<'static>> {
    vec![
        rung("set up", setup::setup),
        rung("format", || cargo::run(&["fmt", "--all", "--", "--check"])),
        rung("tidy", tidy::command),
        rung("clippy", || cargo::run(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])),
        rung("tests without a cluster", || cargo::run(&["test", "--workspace", "--exclude", "portico-e2e"])),
        rung("chart", chart),
    ]
}

/// Runs each rung, and says at the end how long each took.
fn climb(rungs: Vec<Rung<'_>>) -> anyhow::Result<()> {
    let mut times: Vec<(&str, Duration)> = Vec::new();
    for Rung { title, work } in rungs {
        let start = Instant::now();
        ui::step(title, work).map_err(|error| error.context(format!("`{title}` failed")))?;
        times.push((title, start.elapsed()));
    }
    ui::say("all tests passed:");
    for (title, time) in times {
        ui::say(format_args!("  {:>12}  {title}", ui::seconds(time)));
    }
    Ok(())
}

/// The chart by Helm's own rules, and rendered with its defaults and with everything on.
fn chart() -> anyhow::Result<()> {
    let helm = paths::kubernetes_programs()?.join("helm");
    let run = |arguments: &[&str]| {
        shell::capture(shell::command(&helm, arguments).current_dir(paths::repository())).map(drop)
    };
    run(&["lint", "--strict", "charts/portico"])?;
    run(&["template", "portico", "charts/portico"])?;
    let everything =
        ["--set", "replicas=2,metrics.serviceMonitor.enabled=true", "--api-versions", "monitoring.coreos.com/v1"];
    run(&[&["template", "portico", "charts/portico"], everything.as_slice()].concat())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn the_first_broken_rung_is_named_and_ends_the_climb() {
        let done = RefCell::new(Vec::new());
        let good = |title: &'static str| {
            let done = &done;
            rung(title, move || {
                done.borrow_mut().push(title);
                Ok(())
            })
        };
        let rungs = vec![good("one"), rung("two", || anyhow::bail!("broken")), good("three")];
        let error = format!("{:#}", climb(rungs).unwrap_err());
        assert!(error.contains("`two` failed") && error.contains("broken"), "{error}");
        assert_eq!(*done.borrow(), ["one"]);
    }

    #[test]
    fn the_cheap_rungs_come_first() {
        let titles: Vec<_> = fast_rungs().iter().map(|rung| rung.title).collect();
        assert_eq!(titles, ["set up", "format", "tidy", "clippy", "tests without a cluster", "chart"]);
    }
}
