//! `cargo xtask up` and `cargo xtask down`: the whole platform on this machine, and nothing of it.

use std::time::{Duration, Instant};

use crate::cluster::ClusterName;
use crate::cluster::provider::Provider;
use crate::images::{self, Profile};
use crate::{forward, paths, platform, setup, ui};

/// What `up` applies.
const SAMPLE: &str = "manifests/samples/auth.yaml";
/// Longest wait until the sample answers through the port-forward, once it says that it is Ready.
const ANSWER_WITHIN: Duration = Duration::from_secs(90);

/// Everything, from nothing to a URL. Does only what is not done yet.
pub(crate) fn up(cluster: &dyn Provider, name: &ClusterName) -> anyhow::Result<()> {
    let start = Instant::now();
    setup::ensure()?;
    cluster.start()?;
    let images = ui::step("build the images", || images::platform_images(Profile::Dev))?;
    platform::install(cluster, &images)?;
    ui::step(format!("apply {SAMPLE} and wait until it is Ready"), || {
        platform::apply(cluster, SAMPLE)?;
        platform::wait_ready(cluster, "authservice/auth")
    })?;
    let url = ui::step("open a port to it", || {
        let url = forward::open(cluster, &name.to_string(), "auth")?;
        platform::wait_http(&format!("{url}/readyz"), ANSWER_WITHIN)?;
        Ok(url)
    })?;
    ui::say(format_args!("Portico is up after {}", ui::seconds(start.elapsed())));
    ui::result(instructions(cluster, &url)?);
    Ok(())
}

fn instructions(cluster: &dyn Provider, url: &str) -> anyhow::Result<String> {
    let (programs, kubeconfig) = (paths::kubernetes_programs()?, cluster.kubeconfig());
    Ok(format!(
        r#"
{url}

Register, and get tokens:
  curl -s {url}/api/v1/auth/register -H 'content-type: application/json' \
       -d '{{"email":"ada@example.org","password":"correct horse battery staple"}}'

Look further:
  export KUBECONFIG={} PATH=$PATH:{}
  kubectl get portico
  kubectl describe authservice auth

Remove everything again: cargo xtask down"#,
        kubeconfig.display(),
        programs.display()
    ))
}

/// Removes everything; with `keep_data`, all that a later `up` brings back stays.
pub(crate) fn down(cluster: &dyn Provider, name: &ClusterName, keep_data: bool) -> anyhow::Result<()> {
    forward::close(cluster)?;
    ui::step(format!("end cluster {name}"), || cluster.stop(keep_data))?;
    if keep_data {
        ui::say(format_args!("its data is in {}", cluster.folder().display()));
    }
    Ok(())
}
