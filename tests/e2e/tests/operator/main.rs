//! End-to-end tests: see the harness, portico-e2e.
