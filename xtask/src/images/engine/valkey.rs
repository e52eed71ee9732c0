//! Valkey 8.1.

use super::Engine;

pub(super) const ENGINE: Engine = Engine {
    name: "valkey",
    image: "portico.dev/valkey",
    user: "valkey",
    packages: &["valkey-server", "valkey-tools"],
    keep: &["usr/bin/valkey-"],
    leave_out: &["usr/bin/valkey-benchmark"],
    folders: &["data"],
    path: "PATH=/usr/bin:/bin",
    addition: None,
};
