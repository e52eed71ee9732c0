# shellcheck shell=sh
# What start.sh and ready.sh both need: where things are, and how a copy reaches its primary.
# shellcheck disable=SC2034 # used by those who read this file
config=/etc/portico/engine
secrets=/etc/portico/credentials
tls=/etc/portico/tls
# Memory: keys and passwords in it are gone with the pod.
run=/run/postgresql
# A folder of our own: the volume's root may belong to another user, and PostgreSQL wants 0700.
data=/data/postgresql
# In the data folder of a copy: the primary no longer has what it needs.
outdated=$data/portico.outdated
passfile=$run/primary.pass

# The connection to the primary as that user. Without the password, so that it can be an argument of a process.
primary() {
    printf '%s' "host=$PORTICO_PRIMARY port=5432 user=$1 passfile=$passfile sslmode=verify-full" \
        " sslrootcert=$tls/ca.crt connect_timeout=3 keepalives_idle=10 keepalives_interval=5 keepalives_count=3" \
        " application_name=$(uname -n)"
}

# Whether the primary can be followed from where a copy is (system identifier, timeline, last position in its log or
# nothing): "yes", "outdated" when the log is gone, "foreign" when it has another history. Silent if it does not answer.
followable() {
    timeout 2 psql --no-psqlrc -Atq "$(primary portico_admin) dbname=postgres" 2>/dev/null <<SQL
SELECT CASE
    WHEN s.system_identifier <> $1 OR c.timeline_id <> $2 THEN 'foreign'
    WHEN p.copy > pg_current_wal_flush_lsn() THEN 'foreign'
    WHEN p.copy < pg_current_wal_flush_lsn()
        AND NOT EXISTS (SELECT FROM pg_ls_waldir() AS w WHERE w.name = pg_walfile_name(p.copy + 1)) THEN 'outdated'
    ELSE 'yes' END
FROM pg_control_system() AS s, pg_control_checkpoint() AS c, (SELECT nullif('${3-}', '')::pg_lsn AS copy) AS p
SQL
}
