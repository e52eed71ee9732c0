#!/bin/sh
# Ready when the node knows the administrator's password and takes a connection by TLS. Asked inside the node: a client
# in here would need a virtual machine of its own. The password goes through the standard input.
. /etc/portico/engine/env.sh
password=$(sed 's/[\\"]/\\&/g' /etc/portico/credentials/admin-password)
answer=$(
    ask -e <<ERLANG
{ok, _} = rabbit_access_control:check_user_pass_login(<<"portico_admin">>, <<"$password">>),
{ok, Socket} = ssl:connect("$node_address", 5671, [{verify, verify_none}], 3000),
ssl:close(Socket).
ERLANG
)
[ "$answer" = '{ok, ok}' ]
