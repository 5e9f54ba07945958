# Kafka's ACLs: without the right to the group, or to the heartbeats, tallyd runs, and says what it goes without;
# without the right to a topic of a table it stops.
. "$(dirname "$0")/lib.sh"
own_stack pg kafka
own_database
cat >>"$STACK/kafka.properties" <<END
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
END
stack_restart kafka || not_ok 'a broker with ACLs'
# somebody_else RESOURCE...: only another user may use it from now on.
somebody_else()
{
	stack_java kafka.admin.AclCommand --bootstrap-server "$BOOTSTRAP" --add \
	    --allow-principal User:somebody --operation Read "$@"
	"${stack_command[@]}" >/dev/null || not_ok "an ACL of $*"
}
stack_topic "$NAME.values"
echo '{"before":null,"after":{"value":7},"source":{"ts_ms":1,"snapshot":"false","sequence":"[null,\"5\"]","lsn":5},"op":"c"}' |
    stack_produce "$NAME.values"
somebody_else --group '*'
stack_topic "$NAME.beats"
somebody_else --topic "$NAME.beats"
declare_view() # OPTIONS
{
	pipeline "$1" <<-END
		CREATE FOREIGN TABLE t (value integer NOT NULL) SERVER kafka OPTIONS (topic '$NAME.values');
		CREATE MATERIALIZED VIEW sum_table AS SELECT sum(value) AS sum FROM t;
	END
}

declare_view "start 'committed'"
asked check "$WORK/pipeline.sql"
is "start 'committed' without the group: check" "$status" 77
contains "start 'committed' without the group: check says" "$output" "group $NAME may not be used"
tallyd_run_to_end 20
is "start 'committed' without the group: run" "$status" 77
declare_view "heartbeat_topic '$NAME.beats'"
asked check "$WORK/pipeline.sql"
is 'without the group: check' "$status" 0
contains 'without the group: check warns' "$output" "group $NAME may not be used"
contains 'without the heartbeats: check warns' "$output" "read topic $NAME.beats: grant READ"
tallyd_start
comes_equal 'without the group' sum_table sum 'SELECT 7::real'
contains 'without the group: run warns' "$(cat "$WORK/tallyd.log")" "group $NAME may not be used"
contains 'without the heartbeats: status says that none came' "$("$BIN/tallyd" status "$NAME")" \
    "no heartbeat in topic $NAME.beats so far"
echo '{"before":null,"after":{"value":8},"source":{"ts_ms":2,"snapshot":"false","sequence":"[\"5\",\"9\"]","lsn":9},"op":"c"}' |
    stack_produce "$NAME.values"
comes_equal 'without the heartbeats' sum_table sum 'SELECT 15::real'
tallyd_stop

somebody_else --topic "$NAME.values"
tallyd_run_to_end 20
is 'without the topic: run' "$status" 77
contains 'without the topic: run says' "$(cat "$WORK/ended.log")" "read topic $NAME.values: grant READ"
asked check "$WORK/pipeline.sql"
is 'without the topic: check' "$status" 77
