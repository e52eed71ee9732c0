# What RabbitMQ and its tools are told by the environment: read by every script here with `.`, and by people:
#   kubectl exec POD -- sh -c '. /etc/portico/engine/env.sh; rabbitmqctl list_vhosts'

# Debian's programs in /usr/sbin write to a log file beside the root file system; these are what they call.
PATH=/usr/lib/rabbitmq/bin:$PATH
HOME=/run/portico
LANG=C.UTF-8
export PATH HOME LANG

# The name is part of the data: it must not depend on the pod's host name.
RABBITMQ_NODENAME=rabbit@localhost
RABBITMQ_MNESIA_BASE=/data/rabbitmq
RABBITMQ_MNESIA_DIR=/data/rabbitmq/node
RABBITMQ_CONFIG_FILE=/etc/portico/engine/rabbitmq.conf
RABBITMQ_ENABLED_PLUGINS_FILE=/etc/portico/engine/enabled_plugins
# What the image brings of its own must not count.
RABBITMQ_CONFIG_FILES=/run/portico/none
RABBITMQ_ADVANCED_CONFIG_FILE=/run/portico/none/advanced.config
RABBITMQ_CONF_ENV_FILE=/run/portico/none/rabbitmq-env.conf
RABBITMQ_GENERATED_CONFIG_DIR=/run/portico/config
RABBITMQ_SCHEMA_DIR=/run/portico/schema
RABBITMQ_LOG_BASE=/run/portico/log
RABBITMQ_LOGS=-
RABBITMQ_PID_FILE=/run/portico/rabbitmq.pid
export RABBITMQ_NODENAME RABBITMQ_MNESIA_BASE RABBITMQ_MNESIA_DIR RABBITMQ_CONFIG_FILE RABBITMQ_ENABLED_PLUGINS_FILE \
    RABBITMQ_CONFIG_FILES RABBITMQ_ADVANCED_CONFIG_FILE RABBITMQ_CONF_ENV_FILE RABBITMQ_GENERATED_CONFIG_DIR \
    RABBITMQ_SCHEMA_DIR RABBITMQ_LOG_BASE RABBITMQ_LOGS RABBITMQ_PID_FILE

# The port of the node's own protocol is fixed and open only inside the pod. So nobody has to be asked for it, and there
# is no epmd, which would listen for others.
node_address=127.0.0.1
node_port=25672
without_epmd="-start_epmd false -erl_epmd_port $node_port"
# The command line tools only call; without being told so they would listen on the node's port.
RABBITMQ_CTL_ERL_ARGS="$without_epmd -dist_listen false"
# A dump would be as large as the memory.
ERL_CRASH_DUMP_SECONDS=0
export RABBITMQ_CTL_ERL_ARGS ERL_CRASH_DUMP_SECONDS

# Asks the running node. A small C program of Erlang's: rabbitmqctl takes seconds of processor time.
ask() {
    call=$(command -v erl_call) || call=$(echo "$(dirname "$(readlink -f "$(command -v erl)")")"/../lib/erl_interface-*/bin/erl_call)
    "$call" -address "$node_address:$node_port" -timeout 4 "$@"
}
