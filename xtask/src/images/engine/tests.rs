//! Every engine is started from its root file system, as its own user, and used.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use portico_crds::common::names::EngineName;

use super::ENGINES;
use crate::shell;

/// Runs `inside` as the engine's user in its root file system, with the machine's devices and the image's environment,
/// in namespaces of its own where only loopback is up. `outside` runs meanwhile on the machine's file system, and knows
/// the other's process as `$server`. Gives what both print.
fn in_engine(name: &str, inside: &str, outside: &str) -> String {
    let prepare = r#"ip link set lo up
        mount --rbind /dev "$0/dev"; mount -t proc proc "$0/proc"; mount -t tmpfs -o mode=1777 tmp "$0/tmp"
        cd /; chroot --userspec=999:999 "$0" /usr/bin/env -i LANG=C.UTF-8 "$1" /bin/sh -ec "$2" & server=$!
        server=$server sh -ec "$3"
        wait "$server" || [ $? = 143 ]"#;
    let engine = ENGINES.iter().find(|engine| engine.name == name).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "--net", "sh", "-ec", prepare]);
    shell::capture(command.arg(engine.root().unwrap()).args([engine.path, inside, outside])).unwrap()
}

#[test]
fn there_is_an_image_for_every_engine_that_the_definitions_know() {
    let known = BTreeSet::from(EngineName::ALL.map(EngineName::as_str));
    assert_eq!(super::names().collect::<BTreeSet<_>>(), known);
    for engine in ENGINES {
        assert_eq!(engine.image, format!("portico.dev/{}", engine.name));
    }
}

#[test]
fn postgresql_initialises_and_answers_as_its_own_user() {
    let said = in_engine(
        "postgresql",
        "initdb --pgdata=/tmp/data --locale=C.UTF-8 --username=postgres --auth=trust >/dev/null
        initdb --pgdata=/tmp/builtin --locale-provider=builtin --builtin-locale=C.UTF-8 --encoding=UTF8 --locale=C \
            >/dev/null
        pg_ctl --pgdata=/tmp/data --options='-c listen_addresses= -k /tmp' --log=/tmp/log --wait start >/dev/null
        psql --host=/tmp --username=postgres --no-align --tuples-only --command=\"select lower('\u{c4}'),
            current_setting('server_version_num')::int / 10000, now() at time zone 'Europe/Zurich' is not null\"
        pg_isready --host=/tmp >/dev/null
        pg_ctl --pgdata=/tmp/data --mode=immediate stop >/dev/null
        id -u",
        "",
    );
    assert_eq!(said, "\u{e4}|17|t\n999\n");
}

#[test]
fn valkey_starts_and_answers_as_its_own_user() {
    let said = in_engine(
        "valkey",
        "valkey-server --port 0 --unixsocket /tmp/socket --dir /tmp --daemonize yes >/dev/null
        until [ -S /tmp/socket ]; do :; done
        valkey-cli -s /tmp/socket set key value
        valkey-cli -s /tmp/socket info server | grep -o 'valkey_version:8.1'
        id -u",
        "",
    );
    assert_eq!(said, "OK\nvalkey_version:8.1\n999\n");
}

#[test]
fn mariadb_initialises_knows_time_zones_and_can_be_copied() {
    let said = in_engine(
        "mariadb",
        "mariadb-install-db --no-defaults --datadir=/tmp/data --auth-root-authentication-method=normal \
            --skip-test-db >/dev/null
        start() { mariadbd --no-defaults --datadir=/tmp/data --socket=/tmp/socket --log-error=/tmp/log $1 & }
        start --skip-networking
        until mariadb-admin --no-defaults --socket=/tmp/socket --user=root ping >/dev/null 2>&1; do :; done
        sql() { mariadb --no-defaults --socket=/tmp/socket --user=root --batch --skip-column-names \"$@\"; }
        mariadb-tzinfo-to-sql /usr/share/zoneinfo 2>/dev/null | sql mysql
        sql --execute=\"select substring_index(version(), '.', 2),
            convert_tz('2026-07-01 12:00', 'UTC', 'Europe/Zurich')\"
        sql --execute='create database d; create table d.t (c text) engine=InnoDB; insert into d.t values (\"text\")'
        mariadb-dump --no-defaults --socket=/tmp/socket --user=root --single-transaction d | grep -o \"('text')\"
        mariadb-upgrade --no-defaults --socket=/tmp/socket --user=root --force >/dev/null
        mariadb-admin --no-defaults --socket=/tmp/socket --user=root shutdown
        wait
        id -u",
        "",
    );
    assert_eq!(said, "11.8\t2026-07-01 14:00:00\n('text')\n999\n");
}

#[test]
fn rabbitmq_starts_with_its_management() {
    let said = in_engine(
        "rabbitmq",
        "export HOME=/tmp RABBITMQ_NODENAME=rabbit@localhost RABBITMQ_MNESIA_BASE=/tmp/data RABBITMQ_LOG_BASE=/tmp \
            RABBITMQ_ENABLED_PLUGINS_FILE=/tmp/plugins
        echo '[rabbitmq_management].' >/tmp/plugins
        rabbitmq-server >/tmp/out 2>&1 &
        until [ -f /tmp/.erlang.cookie ]; do :; done
        rabbitmqctl --quiet --timeout 60 await_startup
        rabbitmq-diagnostics --quiet check_port_listener 15672 | grep -o 'is running'
        rabbitmqctl --quiet eval 'rabbit_misc:version().' | grep -o '4[.]0'
        rabbitmqctl --quiet shutdown >/dev/null
        wait
        id -u",
        "",
    );
    assert_eq!(said, "is running\n4.0\n999\n");
}

#[test]
fn garage_sets_itself_up_and_makes_buckets() {
    let said = in_engine(
        "garage",
        r#"cat >/tmp/garage.toml <<END
metadata_dir = "/tmp/meta"
data_dir = "/tmp/data"
db_engine = "lmdb"
replication_factor = 1
rpc_bind_addr = "127.0.0.1:3901"
rpc_secret = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
[s3_api]
s3_region = "garage"
api_bind_addr = "127.0.0.1:3900"
[admin]
api_bind_addr = "127.0.0.1:3903"
END
        export GARAGE_CONFIG_FILE=/tmp/garage.toml RUST_LOG=error
        garage --version | cut -d ' ' -f 2
        garage server --single-node >/tmp/log 2>&1 & server=$!
        until garage bucket create pictures >/dev/null 2>&1; do :; done
        garage bucket list | grep -o pictures
        kill "$server"
        wait "$server"
        id -u"#,
        "",
    );
    assert_eq!(said, "cargo:2.5.0\npictures\n999\n");
}

#[test]
fn dynamodb_starts_and_keeps_items() {
    let said = in_engine(
        "dynamodb",
        "id -u
        cd /home/dynamodblocal
        exec java -Djava.library.path=DynamoDBLocal_lib -cp 'DynamoDBLocal.jar:DynamoDBLocal_lib/*' \
            software.amazon.dynamodb.services.local.main.ServerRunner \
            -disableTelemetry -sharedDb -dbPath /tmp -port 8000 >/tmp/log 2>&1",
        r#"authorization='AWS4-HMAC-SHA256 Credential=a/b/c/dynamodb/aws4_request, SignedHeaders=d, Signature=e'
        call() {
            curl --silent --show-error --fail --max-time 30 --retry 60 --retry-connrefused --retry-delay 1 \
                --header "X-Amz-Target: DynamoDB_20120810.$1" --header 'Content-Type: application/x-amz-json-1.0' \
                --header "Authorization: $authorization" \
                --data "$2" http://127.0.0.1:8000
        }
        call CreateTable '{"TableName":"items","BillingMode":"PAY_PER_REQUEST","KeySchema":[{"AttributeName":"k",
            "KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}]}' >/dev/null
        call PutItem '{"TableName":"items","Item":{"k":{"S":"a"}}}'
        call ExecuteStatement '{"Statement":"SELECT * FROM items"}'
        kill "$server""#,
    );
    assert_eq!(said, "999\n{}{\"Items\":[{\"k\":{\"S\":\"a\"}}]}");
}

#[test]
fn nothing_in_an_engine_can_become_root_or_install_anything() {
    let suspicious = [
        ["-perm", "/6000"],
        ["-name", "apt*"],
        ["-name", "dpkg*"],
        ["-name", "perl*"],
        ["-name", "python*"],
        ["-path", "*/share/man/*"],
    ];
    for engine in ENGINES {
        let root = engine.root().unwrap();
        let tests = suspicious.iter().flat_map(|[test, value]| ["-o", test, value]).skip(1);
        let mut find = Command::new("find");
        find.arg(&root).args(["-xdev", "-path", "*/share/doc", "-prune", "-o", "("]).args(tests).args([")", "-print"]);
        assert_eq!(shell::capture(&mut find).unwrap(), "", "{}", engine.name);
        assert!(runs_tools(&root), "{}", engine.name);
    }
}

/// Whether the tools that the operator's scripts count on are there, with their libraries.
fn runs_tools(root: &Path) -> bool {
    let script = "for tool in cat sed grep getent mktemp; do $tool --version || exit 1; done";
    let mut chroot = Command::new("chroot");
    let alone = ["/usr/bin/env", "-i", "PATH=/usr/bin", "/usr/bin/sh", "-c", script];
    chroot.arg("--userspec=999:999").arg(root).args(alone);
    shell::capture(&mut chroot).is_ok()
}
