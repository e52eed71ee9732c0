//! A real API server, and the operator's own client on it with its requests counted.

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use portico_operator_core::client;
use portico_operator_core::lease::LeaseGuard;
use portico_operator_core::metrics::Metrics;
use portico_test_servers::kubernetes::ApiServer;

pub(crate) async fn client(metrics: &Metrics, guard: Option<LeaseGuard>) -> Client {
    let path = ApiServer::shared().await.kubeconfig();
    let kubeconfig = Kubeconfig::read_from(path).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    client::build(config, metrics.clone(), guard).unwrap()
}

/// How many requests that write were answered so far.
pub(crate) fn writes(metrics: &Metrics) -> u64 {
    let text = metrics.encode().unwrap();
    let requests = text.lines().filter(|line| line.starts_with("rest_client_requests_total"));
    let writing = requests.filter(|line| !line.contains(r#"method="GET""#));
    writing.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}
