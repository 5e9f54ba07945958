#!/usr/bin/env bash
#
# stack.sh - a throwaway PostgreSQL 15, Kafka (KRaft) and Kafka Connect with Debezium, on free
# loopback ports, in one folder. A command and a library:
#
#   stack.sh up DIR [pg] [kafka] [connect]     start (default: all three), wait until ready
#            [zookeeper]                       which then has Kafka's metadata, instead of KRaft
#   stack.sh stop|start|restart|kill DIR SERVER    one of them; it keeps its port and its data
#   stack.sh down DIR                          stop what was started, remove DIR
#   stack.sh status DIR
#
#   . tests/stack/stack.sh; stack_trap; stack_up "$(mktemp -d)"; stack_database values_db; ...
#
# DIR/env has what clients need (PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE BOOTSTRAP CONNECT_URL),
# DIR/SERVER.log what the server said. A process is only ever ended by its pid and start time as
# noted in DIR/SERVER.pid. In a script that sources this file the servers also die with the shell
# that started them (so start none in a subshell), whatever ends it; set STACK_TETHER= to prevent.
# The functions may be used under `set -e`. STACK_PASSWORD is the password of the example's role (password).

STACK_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
STACK_JARS=${STACK_JARS:-$STACK_ROOT/build/jars}
STACK_TETHER=${STACK_TETHER-1}
STACK_WAIT=${STACK_WAIT:-180} # seconds a server may take to become ready
# Of Java's servers: tests are over before its better compiler has earned its time. See tests/bench/lib.sh.
STACK_JAVA=${STACK_JAVA:--XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx384m}
STACK=${STACK:-}             # the current stack's folder
stack_pgbin=/usr/lib/postgresql/15/bin

stack_note()
{
	echo "stack: $*" >&2
}

stack_now_ms()
{
	local now=${EPOCHREALTIME/[.,]/}
	echo "${now%???}"
}

# progress TEXT: a line that is rewritten on a terminal; elsewhere printed after half a second, then
# every two. progress_end TEXT replaces it.
progress_text='' progress_since=0 progress_printed=0
progress()
{
	local now=${EPOCHREALTIME/[.,]/}
	if [[ $1 != "$progress_text" ]]; then
		progress_text=$1 progress_since=$now progress_printed=$((now - 1500000))
	fi
	if [[ -t 2 ]]; then
		((now - progress_printed >= 50000)) || return 0
		printf '\r\e[K%s ... %d.%d s' "$1" $(((now - progress_since) / 1000000)) \
		    $(((now - progress_since) / 100000 % 10)) >&2
	else
		((now - progress_printed >= 2000000)) || return 0
		printf '%s ... %d s\n' "$1" $(((now - progress_since) / 1000000)) >&2
	fi
	progress_printed=$now
}

progress_end()
{
	[[ ! -t 2 ]] || printf '\r\e[K' >&2
	[[ -z ${1-} ]] || printf '%s\n' "$1" >&2
	progress_text=''
}

# ---- processes -------------------------------------------------------------------------------

# The start time of a process, in clock ticks since boot: with the pid it names one process ever.
stack_started_at()
{
	local line fields
	{ read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
	read -ra fields <<<"${line##*) }"
	[[ ${fields[0]} != [ZX] ]] || return 1
	echo "${fields[19]}"
}

# stack_pid SERVER: its pid, if it is the process that we started.
stack_pid()
{
	local pid start
	{ read -r pid start <"$STACK/$1.pid"; } 2>/dev/null || return 1
	[[ $(stack_started_at "$pid") == "$start" ]] || return 1
	echo "$pid"
}

# stack_spawn SERVER COMMAND...: in a session of its own, so that a terminal's signals reach only
# the script, which then ends the servers in order.
stack_spawn()
{
	local server=$1 pid as=(setsid) tether=KILL
	shift
	if [[ $server == pg && $EUID -eq 0 ]]; then
		as+=(setpriv --reuid=postgres --regid=postgres --init-groups)
	fi
	[[ $server != pg ]] || tether=QUIT # so that it frees its shared memory
	[[ -z $STACK_TETHER ]] || as+=(setpriv --pdeathsig "$tether")
	"${as[@]}" "$@" >>"$STACK/$server.log" 2>&1 </dev/null &
	pid=$!
	echo "$pid $(stack_started_at "$pid")" >"$STACK/$server.pid"
	disown "$pid"
}

# stack_gone SERVER SECONDS: wait for its end.
stack_gone()
{
	local end=$((SECONDS + $2))
	while stack_pid "$1" >/dev/null; do
		((SECONDS <= end)) || return 1
		sleep 0.02
	done
}

# stack_kill SERVER [SIGNAL]: send it, KILL unless said otherwise, and wait for the end.
stack_kill()
{
	local pid
	pid=$(stack_pid "$1") || return 0
	kill -"${2:-KILL}" "$pid" 2>/dev/null || return 0
	stack_gone "$1" 30
}

# stack_stop SERVER: cleanly; its data stays.
stack_stop()
{
	case $1 in
	pg) stack_kill pg INT ;;
	*) stack_kill "$1" TERM ;;
	esac || stack_kill "$1" KILL
}

stack_restart()
{
	stack_stop "$1" && stack_start "$1"
}

# ---- the servers' configuration --------------------------------------------------------------

stack_port_free()
{
	! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Ten ports below the range that the kernel gives to outgoing connections. Two stacks that choose
# the same at the same moment are told apart by bind(): stack_up tries again.
stack_choose_ports()
{
	local base i
	while :; do
		base=$((20000 + RANDOM % 1200 * 10))
		for i in 0 1 2 3; do
			stack_port_free $((base + i)) || continue 2
		done
		break
	done
	cat >"$STACK/env" <<-END
		export PGHOST=127.0.0.1
		export PGPORT=$base
		export PGUSER=user
		export PGPASSWORD=${STACK_PASSWORD:-password}
		export PGDATABASE=values_db
		export BOOTSTRAP=127.0.0.1:$((base + 1))
		export CONTROLLER=127.0.0.1:$((base + 2))
		export CONNECT_URL=http://127.0.0.1:$((base + 3))
	END
}

# stack_choose_port: in $port, a free one for a server that no stack has: below that range too, among those
# of the ten that stacks leave.
stack_choose_port()
{
	while port=$((20005 + RANDOM % 1200 * 10 + RANDOM % 5)) && ! stack_port_free "$port"; do :; done
}

stack_configure_pg()
{
	local as=()
	mkdir -p "$STACK/pg"
	if ((EUID == 0)); then
		as=(setpriv --reuid=postgres --regid=postgres --init-groups)
		chown postgres "$STACK/pg" || return
	fi
	echo postgres >"$STACK/password"
	(cd "$STACK/pg" && "${as[@]}" "$stack_pgbin/initdb" -D data -U postgres \
	    -A scram-sha-256 --pwfile="$STACK/password" --no-sync --no-instructions -E UTF8 \
	    --locale=C) >"$STACK/initdb.log" 2>&1 || {
		stack_note "initdb failed:"
		tail -5 "$STACK/initdb.log" >&2
		return 1
	}
	# Safe without fsync: a killed server loses nothing, only a crashed machine would.
	cat >>"$STACK/pg/data/postgresql.conf" <<-END
		listen_addresses = '127.0.0.1'
		port = $PGPORT
		unix_socket_directories = ''
		wal_level = logical
		max_replication_slots = 100
		max_wal_senders = 100
		shared_buffers = 64MB
		fsync = off
		track_commit_timestamp = on
		log_line_prefix = '%m [%p] %u@%d %a: '
	END
}

# stack_configure_kafka MODE: its metadata in kraft or zookeeper, at the same address.
stack_configure_kafka()
{
	mkdir -p "$STACK/kafka"
	"stack_configure_$1" >"$STACK/kafka.properties"
	cat >>"$STACK/kafka.properties" <<-END
		log.dirs=$STACK/kafka
		offsets.topic.replication.factor=1
		offsets.topic.num.partitions=1
		transaction.state.log.replication.factor=1
		transaction.state.log.min.isr=1
		transaction.state.log.num.partitions=1
		transaction.abort.timed.out.transaction.cleanup.interval.ms=500
		group.initial.rebalance.delay.ms=0
		group.min.session.timeout.ms=500
		log.cleaner.dedupe.buffer.size=8388608
		log.retention.ms=-1
	END
}

# And what `format` of Kafka's storage tool would write, without starting a JVM for it.
stack_configure_kraft()
{
	cat >"$STACK/kafka/meta.properties" <<-END
		version=1
		cluster.id=tallydtallydtallydtaQQ
		node.id=1
		directory.id=tallydtallydtallydtaAQ
	END
	cat <<-END
		process.roles=broker,controller
		node.id=1
		controller.quorum.voters=1@$CONTROLLER
		controller.listener.names=CONTROLLER
		listeners=PLAINTEXT://$BOOTSTRAP,CONTROLLER://$CONTROLLER
		share.coordinator.state.topic.replication.factor=1
		broker.session.timeout.ms=2000
		broker.heartbeat.interval.ms=500
	END
}

stack_configure_zookeeper()
{
	mkdir -p "$STACK/zookeeper"
	cat >"$STACK/zookeeper.properties" <<-END
		dataDir=$STACK/zookeeper
		clientPort=${CONTROLLER##*:}
		clientPortAddress=${CONTROLLER%:*}
		admin.enableServer=false
	END
	cat <<-END
		broker.id=1
		zookeeper.connect=$CONTROLLER
		listeners=PLAINTEXT://$BOOTSTRAP
	END
}

stack_configure_connect()
{
	cat >"$STACK/connect.properties" <<-END
		bootstrap.servers=$BOOTSTRAP
		group.id=connect
		listeners=$CONNECT_URL
		config.storage.topic=connect_configs
		offset.storage.topic=connect_offsets
		status.storage.topic=connect_status
		config.storage.replication.factor=1
		offset.storage.replication.factor=1
		status.storage.replication.factor=1
		offset.storage.partitions=1
		status.storage.partitions=1
		key.converter=org.apache.kafka.connect.json.JsonConverter
		value.converter=org.apache.kafka.connect.json.JsonConverter
		plugin.discovery=${STACK_PLUGINS:-service_load}
		offset.flush.interval.ms=500
		session.timeout.ms=1500
		heartbeat.interval.ms=400
		reconnect.backoff.max.ms=100
		scheduled.rebalance.max.delay.ms=0
	END
}

# ---- starting and readiness ------------------------------------------------------------------

# The command line of a Java program, in stack_command.
stack_java()
{
	local main=$1 java path options
	shift
	read -ra options <<<"$STACK_JAVA"
	java=$(echo /usr/lib/jvm/java-17-openjdk-*/bin/java)
	[[ -x $java ]] || java=java
	path=$(printf ':%s' "$STACK_JARS"/*.jar)
	stack_command=("$java" "${options[@]}" -XX:-UsePerfData -Djava.io.tmpdir="$STACK/tmp"
	    -Dorg.slf4j.simpleLogger.defaultLogLevel="${STACK_LOG_LEVEL:-warn}"
	    -Dorg.slf4j.simpleLogger.showDateTime=true
	    '-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS'
	    -cp "${path#:}" "$main" "$@")
}

stack_launch()
{
	case $1 in
	pg)
		stack_spawn pg "$stack_pgbin/postgres" -D "$STACK/pg/data"
		;;
	zookeeper)
		stack_java org.apache.zookeeper.server.quorum.QuorumPeerMain "$STACK/zookeeper.properties"
		stack_spawn zookeeper "${stack_command[@]}"
		;;
	kafka)
		stack_java kafka.Kafka "$STACK/kafka.properties"
		stack_spawn kafka "${stack_command[@]}"
		;;
	connect)
		stack_java org.apache.kafka.connect.cli.ConnectDistributed \
		    "$STACK/connect.properties"
		stack_spawn connect "${stack_command[@]}"
		;;
	*)
		stack_note "no such server: $1 (pg, kafka, connect, zookeeper)"
		return 2
		;;
	esac
}

stack_ready_pg()
{
	"$stack_pgbin/pg_isready" -q -t 1
}

stack_ready_zookeeper()
{
	! stack_port_free "${CONTROLLER##*:}"
}

stack_ready_kafka()
{
	! stack_port_free "${BOOTSTRAP##*:}" && kcat -q -L -m 2 -b "$BOOTSTRAP" >/dev/null 2>&1
}

stack_ready_connect()
{
	! stack_port_free "${CONNECT_URL##*:}" &&
	    curl -sf --max-time 2 -o /dev/null "$CONNECT_URL/connectors"
}

# stack_await SERVER: until it is ready; fails when it has ended, or after STACK_WAIT seconds.
stack_await()
{
	local server=$1 end=$((SECONDS + STACK_WAIT))
	local -A name=([pg]='PostgreSQL' [kafka]='Kafka' [connect]='Kafka Connect' [zookeeper]='ZooKeeper')
	# Another stack's server may answer, at a port that both have chosen.
	until "stack_ready_$server" && stack_pid "$server" >/dev/null; do
		if ! stack_pid "$server" >/dev/null || ((SECONDS >= end)); then
			progress_end "stack: ${name[$server]} did not become ready; its last words:"
			tail -5 "$STACK/$server.log" >&2
			return 1
		fi
		progress "waiting for ${name[$server]}"
		sleep 0.02
	done
	progress_end
}

# stack_start SERVER: again, after stack_stop or stack_kill. PostgreSQL refuses while a process of
# its killed predecessor still runs, so it is tried more than once.
stack_start()
{
	local _
	for _ in 1 2 3 4 5; do
		stack_pid "$1" >/dev/null || stack_launch "$1" || return
		if [[ $1 != pg ]] || stack_await "$1" 2>/dev/null; then
			stack_await "$1"
			return
		fi
		sleep 1
	done
	stack_await "$1"
}

# Open the stack in a folder: its ports for this shell and all that it starts.
stack_open()
{
	if [[ ! -f $1/env ]]; then
		stack_note "$1: no stack there"
		return 1
	fi
	STACK=$(cd "$1" && pwd)
	# shellcheck disable=SC1091
	. "$STACK/env"
}

stack_check_installed()
{
	local file missing=()
	for file in "$stack_pgbin/postgres" "$(command -v kcat)" "$(command -v curl)" \
	    "$(command -v java)" "$STACK_JARS/complete"; do
		[[ -e $file ]] || missing+=("${file:-a program}")
	done
	((${#missing[@]} == 0)) && return
	stack_note "missing: ${missing[*]}; 'make setup' installs them"
	return 1
}

# One attempt of stack_up. All start side by side: Connect loads its classes, then waits for Kafka.
stack_try()
{
	local server metadata=kraft
	stack_choose_ports
	# shellcheck disable=SC1091
	. "$STACK/env"
	[[ " $* " != *' zookeeper '* ]] || metadata=zookeeper
	if [[ " $* " == *' kafka '* ]]; then
		stack_configure_kafka "$metadata" || return
		[[ $metadata == kraft ]] || stack_launch zookeeper || return
		stack_launch kafka || return
	fi
	if [[ " $* " == *' pg '* ]]; then
		progress 'making a PostgreSQL cluster'
		stack_configure_pg && stack_launch pg || return
	fi
	if [[ " $* " == *' connect '* ]]; then
		stack_configure_connect && stack_launch connect || return
	fi
	for server in "$@"; do
		stack_await "$server" || return
	done
}

# stack_up DIR [SERVER...]
stack_up()
{
	local _
	stack_check_installed || return
	mkdir -p "$1" && STACK=$(cd "$1" && pwd) || return
	shift
	(($# > 0)) || set -- pg kafka connect
	chmod 755 "$STACK" # the unprivileged user of PostgreSQL must reach its cluster
	: >"$STACK/stack"
	mkdir -p "$STACK/tmp"
	for _ in 1 2 3; do
		if stack_try "$@"; then
			return
		fi
		grep -qsE 'Address already in use|could not bind' "$STACK"/*.log || return 1
		stack_end
		rm -rf "$STACK"/{pg,kafka,zookeeper,*.log}
		stack_note 'a port was taken meanwhile; once more with others'
	done
	return 1
}

# End every server of this stack. PostgreSQL is asked (at once, but so that it frees its shared
# memory); the others hold nothing outside the folder.
stack_end()
{
	local server id pid
	for server in connect kafka zookeeper; do
		pid=$(stack_pid "$server") && kill -KILL "$pid" || true
	done
	stack_kill pg QUIT || stack_kill pg KILL || true
	stack_gone connect 30 || true
	stack_gone kafka 30 || true
	stack_gone zookeeper 30 || true
	# A killed one left its System V segment: the seventh line of its pid file says which.
	id=$(sed -n '7s/.* //p' "$STACK/pg/data/postmaster.pid" 2>/dev/null) || id=''
	[[ -z $id ]] || ipcrm -m "$id" 2>/dev/null || true
}

# Stop all and remove the folder.
stack_down()
{
	[[ -n $STACK && -f $STACK/stack ]] || return 0
	progress_end
	stack_end
	rm -rf "$STACK"
	STACK=''
}

# stack_trap [FUNCTION]: whatever ends this script, FUNCTION (stack_down) is called; and once that has
# begun, a second signal does not cut it short.
stack_trap()
{
	trap "trap '' HUP INT TERM; ${1-stack_down}" EXIT
	trap "trap '' HUP INT TERM; exit 129" HUP
	trap "trap '' HUP INT TERM; exit 130" INT
	trap "trap '' HUP INT TERM; exit 143" TERM
}

# ---- for tests -------------------------------------------------------------------------------

# psql of the server's own version, as the example's role.
stack_psql()
{
	"$stack_pgbin/psql" -X -q -A -t -v ON_ERROR_STOP=1 "$@"
}

stack_superuser()
{
	PGUSER=postgres PGPASSWORD=postgres PGDATABASE=postgres stack_psql "$@"
}

# stack_database NAME: with the worked example's tables. Its role has the password that the stack has.
stack_database()
{
	PGOPTIONS='-c client_min_messages=warning' \
	    stack_superuser -v database="$1" -f "$STACK_ROOT/compose/postgres/init-db.sql" || return
	[[ $PGPASSWORD == password ]] || PGDATABASE=$1 stack_psql -c 'SELECT' >/dev/null 2>&1 ||
	    stack_superuser -c "ALTER ROLE \"$PGUSER\" PASSWORD '$PGPASSWORD'"
}

# stack_connector NAME [TABLE...]: topics NAME.schema.table and NAME.transaction, from $PGDATABASE.
# It looks for changes every 10 ms, unless $CONNECTOR_OPTIONS says otherwise: to look each millisecond, as compose's
# does, takes a quarter of all that the stack tests compute.
stack_connector()
{
	local name=$1 joined
	shift
	joined=$(IFS=,; echo "$*")
	CONNECTOR_OPTIONS=poll.interval.ms=10$'\n'${CONNECTOR_OPTIONS-} \
	CONNECTOR=$name TABLES=${joined:-public.values} WAIT=${WAIT:-$STACK_WAIT} \
	    "$STACK_ROOT/compose/debezium/connector.sh"
}

# stack_topic NAME [PARTITIONS]: made, if it does not exist.
stack_topic()
{
	stack_java org.apache.kafka.tools.TopicCommand --bootstrap-server "$BOOTSTRAP" \
	    --create --if-not-exists --topic "$1" --partitions "${2:-1}"
	"${stack_command[@]}" >/dev/null
}

# stack_topic_delete NAME
stack_topic_delete()
{
	stack_java org.apache.kafka.tools.TopicCommand --bootstrap-server "$BOOTSTRAP" \
	    --delete --topic "$1"
	"${stack_command[@]}" >/dev/null
}

# stack_produce TOPIC [kcat options...]: a message for each line of standard input.
stack_produce()
{
	local topic=$1
	shift
	kcat -q -P -b "$BOOTSTRAP" -t "$topic" "$@"
}

# ---- the command -----------------------------------------------------------------------------

stack_usage()
{
	sed -n '3,13s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
	exit 64
}

stack_status()
{
	local server
	for server in pg zookeeper kafka connect; do
		[[ ! -f $STACK/$server.pid ]] || echo "$server $(stack_pid "$server" || echo stopped)"
	done
}

# Interrupted on the way up, it takes back what it started.
stack_command_up()
{
	stack_trap
	stack_up "$@" || exit
	trap - EXIT
	cat "$STACK/env"
}

stack_main()
{
	local verb=${1-} dir=${2-}
	[[ -n $verb && -n $dir ]] || stack_usage
	STACK_TETHER=''
	case $verb in
	up) shift && stack_command_up "$@" ;;
	down) stack_open "$dir" && stack_down ;;
	status) stack_open "$dir" && stack_status ;;
	start | stop | restart | kill) stack_open "$dir" && "stack_$verb" "${3?which server?}" ;;
	*) stack_usage ;;
	esac
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
	stack_main "$@"
fi
