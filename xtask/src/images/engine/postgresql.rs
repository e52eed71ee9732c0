//! `PostgreSQL` 17.

use super::Engine;

pub(super) const ENGINE: Engine = Engine {
    name: "postgresql",
    image: "portico.dev/postgresql",
    user: "postgres",
    packages: &["postgresql-17", "tzdata"],
    keep: &["usr/lib/postgresql/17/", "usr/share/postgresql/17/", "usr/share/zoneinfo/"],
    // Compiling queries needs LLVM, two thirds of the size; the server does without when it is not there. The programs
    // of the same name in /usr/bin are wrappers in Perl for several servers on one machine.
    leave_out: &[
        "usr/lib/postgresql/17/lib/bitcode/",
        "usr/lib/postgresql/17/lib/llvmjit",
        "usr/lib/postgresql/17/lib/pgxs/",
        "usr/share/postgresql/17/man/",
    ],
    folders: &["run/postgresql", "var/lib/postgresql", "var/lib/postgresql/data"],
    path: "PATH=/usr/lib/postgresql/17/bin:/usr/bin:/bin",
    addition: None,
};
