//! `MariaDB` 11.8.

use super::Engine;

pub(super) const ENGINE: Engine = Engine {
    name: "mariadb",
    image: "portico.dev/mariadb",
    user: "mysql",
    packages: &["mariadb-server", "mariadb-client", "tzdata"],
    keep: &[
        "usr/bin/mariadb",
        "usr/bin/my_print_defaults",
        "usr/bin/resolveip",
        "usr/lib/mysql/plugin/",
        "usr/sbin/mariadbd",
        "usr/share/mariadb/",
        "usr/share/mysql/",
        "usr/share/zoneinfo/",
    ],
    leave_out: &[
        // Perl.
        "usr/bin/mariadb-access",
        "usr/bin/mariadb-convert-table-format",
        "usr/bin/mariadb-dumpslow",
        "usr/bin/mariadb-find-rows",
        "usr/bin/mariadb-fix-extensions",
        "usr/bin/mariadb-hotcopy",
        "usr/bin/mariadb-report",
        "usr/bin/mariadb-setpermission",
        "usr/bin/mariadbd-multi",
        // For servers without an orchestrator, and for people. Each program is 5 MB.
        "usr/bin/mariadb-conv",
        "usr/bin/mariadb-import",
        "usr/bin/mariadb-plugin",
        "usr/bin/mariadb-secure-installation",
        "usr/bin/mariadb-service-convert",
        "usr/bin/mariadb-show",
        "usr/bin/mariadb-slap",
        "usr/bin/mariadb-waitpid",
        "usr/bin/mariadbd-safe",
        // Needs a setuid helper, a protocol of its own, or a cluster of another kind.
        "usr/lib/mysql/plugin/auth_pam",
        "usr/lib/mysql/plugin/ha_sphinx.so",
        "usr/lib/mysql/plugin/handlersocket.so",
        "usr/lib/mysql/plugin/wsrep_info.so",
        "usr/share/mariadb/mini-benchmark",
        "usr/share/mariadb/wsrep",
    ],
    folders: &["run/mysqld", "var/lib/mysql"],
    path: "PATH=/usr/sbin:/usr/bin:/bin",
    addition: None,
};
