# tls.sh - for stack tests of their own stack: TLS for Kafka and PostgreSQL, with certificates made for
# the occasion, in $tls: ca.pem; server.pem (key and certificate, for the name localhost alone);
# client.pem, client.key (its password: $tls_key_password); other-ca.pem, which signed nothing.
tls=$WORK/tls
tls_key_password=${CANARY_KEY:-key}

tls_certificates()
{
	mkdir -p "$tls" || return
	(
		cd "$tls" || exit
		new=(openssl req -newkey rsa:2048 -nodes)
		"${new[@]}" -x509 -days 30 -keyout ca.key -out ca.pem -subj '/CN=a CA' &&
		    "${new[@]}" -x509 -days 30 -keyout other.key -out other-ca.pem -subj '/CN=another CA' &&
		    "${new[@]}" -keyout server.key -out server.csr -subj /CN=server &&
		    "${new[@]}" -keyout plain.key -out client.csr -subj /CN=user &&
		    openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
			-extfile <(echo subjectAltName=DNS:localhost) -out server.crt &&
		    openssl x509 -req -in client.csr -CA ca.pem -CAkey ca.key -days 30 -out client.pem &&
		    openssl rsa -aes256 -passout "pass:$tls_key_password" -in plain.key -out client.key &&
		    cat server.key server.crt >server.pem
	) >"$tls/said" 2>&1 || { cat "$tls/said"; not_ok 'certificates are made'; exit 1; }
}

# tls_kafka USER PASSWORD...: beside the listener without TLS one with SASL_SSL at localhost:$sasl_port,
# mechanism PLAIN, for these users, and SCRAM-SHA-512.
tls_kafka()
{
	local security=org.apache.kafka.common.security users=''
	for ((; $# > 0; )); do
		users+=" user_$1=\"$2\""
		shift 2
	done
	stack_choose_port
	sasl_port=$port
	sed -i "s|^listeners=.*|&,SASL_SSL://127.0.0.1:$sasl_port|" "$STACK/kafka.properties"
	cat >>"$STACK/kafka.properties" <<-END
		advertised.listeners=PLAINTEXT://$BOOTSTRAP,SASL_SSL://localhost:$sasl_port
		listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL
		inter.broker.listener.name=PLAINTEXT
		ssl.keystore.type=PEM
		ssl.keystore.location=$tls/server.pem
		sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
		listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=$security.scram.ScramLoginModule required;
		listener.name.sasl_ssl.plain.sasl.jaas.config=$security.plain.PlainLoginModule required$users;
	END
	stack_restart kafka || { not_ok 'Kafka with SASL_SSL'; exit 1; }
}

# tls_user NAME PASSWORD: for SCRAM-SHA-512.
tls_user()
{
	stack_java kafka.admin.ConfigCommand --bootstrap-server "$BOOTSTRAP" --alter --entity-type users \
	    --entity-name "$1" --add-config "SCRAM-SHA-512=[password=$2]"
	"${stack_command[@]}" >/dev/null || { not_ok "user $1 of Kafka"; exit 1; }
}

tls_postgres()
{
	local data=$STACK/pg/data owner
	owner=$(stat -c %U "$data")
	install -o "$owner" -m 600 "$tls/server.pem" "$data/server.key"
	install -o "$owner" -m 600 "$tls/server.crt" "$data/server.crt"
	echo 'ssl = on' >>"$data/postgresql.conf"
	stack_restart pg || { not_ok 'PostgreSQL with TLS'; exit 1; }
}
