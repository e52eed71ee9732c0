//! Harness of the end-to-end tests: they run against a real cluster with the operator installed by its chart, as a
//! user would: the API server, `kubectl`, `helm` and HTTP. Nothing of the operator's or the services' code is used.
//!
//! The tests are two programs. `platform` (4 tests at once) gives each test a namespace of its own. `operator` (one
//! test at a time) disturbs the operator itself. `cargo xtask e2e` starts a cluster and runs both; against a cluster
//! that runs already:
//!
//! ```sh
//! export KUBECONFIG=$(cargo xtask kubeconfig --cluster portico-test)
//! export PORTICO_AUDIT_LOG=/var/lib/portico/clusters/portico-test/logs/audit.log
//! cargo test -p portico-e2e --test platform -- --test-threads=4
//! cargo test -p portico-e2e --test operator -- --test-threads=1
//! ```
//!
//! Rules: a test waits for what it needs by a watch with a deadline ([`wait`]), never by sleeping; only where nothing
//! tells of a change (a network policy in force) it asks again within a deadline. What must *not* happen is watched for
//! a bounded time, with a reason. A failure says everything that is known about the namespace.
