//! `RabbitMQ` 4.0 on Erlang 27, with every plugin that comes with it.

use super::Engine;

pub(super) const ENGINE: Engine = Engine {
    name: "rabbitmq",
    image: "portico.dev/rabbitmq",
    user: "rabbitmq",
    packages: &["rabbitmq-server"],
    keep: &["usr/bin/epmd", "usr/bin/erl", "usr/bin/escript", "usr/lib/erlang/", "usr/lib/rabbitmq/"],
    leave_out: &[
        "usr/lib/rabbitmq/autocomplete/",
        // The programs of the same names in /usr/sbin, which become the user first. Those on PATH are the real ones.
        "usr/lib/rabbitmq/bin/rabbitmq-script-wrapper",
        "usr/lib/rabbitmq/bin/rabbitmq-server-wait",
    ],
    folders: &["etc/rabbitmq", "var/log/rabbitmq", "var/lib/rabbitmq"],
    path: "PATH=/usr/lib/rabbitmq/bin:/usr/bin:/bin",
    addition: None,
};
