# canaries.sh - five secrets, each a text that stands nowhere else. Every stack test's pipeline holds them,
# and at its end none may be in anything that tallyd wrote.
#
# The first is the password of the target's role. Where nothing asks for a key or for SASL, the others
# are given all the same: what does not need them must not show them either.
export CANARY_POSTGRES=canaryPostgres4711Qx CANARY_SASL=canarySasl0815Wz CANARY_KEY=canaryKey2718Ek
export CANARY_FILE=canaryFile3141Pi CANARY_SSLKEY=canarySslkey1618Ph
canaries=("$CANARY_POSTGRES" "$CANARY_SASL" "$CANARY_KEY" "$CANARY_FILE" "$CANARY_SSLKEY")
export STACK_PASSWORD=$CANARY_POSTGRES

# shellcheck disable=SC2016
canaries_kafka='"sasl.password" '\''${CANARY_SASL}'\'', "ssl.key.password" '\''${CANARY_KEY}'\'
# shellcheck disable=SC2016
canaries_postgres='sslpassword '\''${CANARY_SSLKEY}'\'

# canaries_in FILE...: the names of those that hold one. Folders: their logs, but not those of servers.
canaries_in()
{
	grep -rlaF "${canaries[@]/#/-e}" --include='*.log' --exclude-dir={stack,target,tls} "$@"
}

canaries_stay_hidden()
{
	local leaks
	leaks=$(canaries_in "$WORK")
	[[ -z $leaks ]] || not_ok "no secret is in a log, but: $leaks: $(grep -ahFm 1 "${canaries[@]/#/-e}" $leaks | cut -c1-300)"
	[[ -n $leaks ]] || ok "no secret is in $(find "$WORK" -name '*.log' | wc -l) logs"
}
