#!/bin/sh
# Ready when the operator's user can log in through TLS and is answered; a copy, when it was complete once.
#
# Beside that, the server is told of a renewed certificate, and a copy takes over the users of its primary.
set -u
umask 077
# shellcheck source-path=SCRIPTDIR source=shared.sh
. /etc/portico/engine/shared.sh

# What was read before the server was told is what counts as seen: a later change is another difference.
renew_certificate() {
    now=$(cat "$tls/tls.crt" "$tls/ca.crt")
    [ "$now" != "$(cat "$run/tls.seen")" ] || return 0
    said=$(ask config set tls-cert-file "$tls/tls.crt" tls-key-file "$tls/tls.key" tls-ca-cert-file "$tls/ca.crt")
    [ "$said" = OK ] && printf '%s\n' "$now" >"$run/tls.seen"
}

# The list as start.sh writes it has passwords, as the server writes it only digests of them.
forget_passwords() {
    if grep -q ' >' "$users"; then ask acl save >/dev/null; fi
}

# Users are not part of what is replicated. The operator tells a copy, too; this is for one that was away meanwhile.
follow_users() {
    theirs=$(administer --cacert "$tls/ca.crt" -h "$PORTICO_PRIMARY" acl list)
    ours=$(ask acl list)
    # Whatever is not a list of users is a reason to leave things as they are.
    case "$theirs" in *'user portico_admin '*) ;; *) return 0 ;; esac
    case "$ours" in *'user portico_admin '*) ;; *) return 0 ;; esac
    theirs=$(printf '%s\n' "$theirs" | others)
    [ "$theirs" != "$(printf '%s\n' "$ours" | others)" ] || return 0
    printf '%s\n%s\n' "$(printf '%s\n' "$ours" | own)" "$theirs" | write_users
    ask acl load >/dev/null
}

[ "$(ask ping)" = PONG ] || exit 1
renew_certificate
forget_passwords
[ "${PORTICO_ROLE-primary}" = replica ] || exit 0
follow_users
case "$(ask info replication)" in
    *master_link_status:up*) : >"$complete" ;;
esac
# One that lost its primary is ready, too: it answers with what it has until the primary is back.
[ -e "$complete" ]
