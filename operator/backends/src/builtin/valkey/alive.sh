#!/bin/sh
# Alive when it answers, even if only that it is loading or that a password is needed.
# shellcheck source-path=SCRIPTDIR source=shared.sh
. /etc/portico/engine/shared.sh
case "$(client --insecure -h 127.0.0.1 ping 2>&1)" in
    *PONG* | *NOAUTH* | *LOADING* | *NOPERM*) exit 0 ;;
    *) exit 1 ;;
esac
