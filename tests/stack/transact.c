/*
 * transact.c - a transactional producer, for topics with aborted rows and gaps in their offsets.
 *
 *   transact BROKERS TOPIC
 *
 * Each line of standard input is a message; the lines COMMIT and ABORT end a transaction.
 */
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 20000

static void
check(rd_kafka_error_t *error, const char *what)
{
	if (error == NULL)
		return;
	fprintf(stderr, "transact: %s: %s\n", what, rd_kafka_error_string(error));
	exit(1);
}

static rd_kafka_t *
producer_new(const char *brokers)
{
	static const char *const options[][2] = {{"bootstrap.servers", NULL},
						 {"transactional.id", "transact"}};
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char text[512] = "out of memory";
	for (size_t i = 0; i < 2; i++) {
		const char *value = options[i][1] != NULL ? options[i][1] : brokers;
		if (rd_kafka_conf_set(conf, options[i][0], value, text, sizeof(text)) !=
		    RD_KAFKA_CONF_OK) {
			fprintf(stderr, "transact: %s\n", text);
			exit(1);
		}
	}
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
	if (rk == NULL) {
		fprintf(stderr, "transact: %s\n", text);
		exit(1);
	}
	check(rd_kafka_init_transactions(rk, TIMEOUT_MS), "init");
	return rk;
}

static void
send_line(rd_kafka_t *rk, const char *topic, char *line)
{
	rd_kafka_resp_err_t error =
	    rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0),
			      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
			      RD_KAFKA_V_VALUE(line, strlen(line)), RD_KAFKA_V_END);
	if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	fprintf(stderr, "transact: %s\n", rd_kafka_err2str(error));
	exit(1);
}

int
main(int argc, char **argv)
{
	char *line = NULL;
	size_t size = 0;
	bool open = false;
	if (argc != 3) {
		fprintf(stderr, "usage: transact BROKERS TOPIC\n");
		return 64;
	}
	rd_kafka_t *rk = producer_new(argv[1]);
	while (getline(&line, &size, stdin) > 0) {
		line[strcspn(line, "\n")] = '\0';
		bool commit = strcmp(line, "COMMIT") == 0, abort = strcmp(line, "ABORT") == 0;
		if (!open)
			check(rd_kafka_begin_transaction(rk), "begin");
		open = !commit && !abort;
		if (open) {
			send_line(rk, argv[2], line);
			continue;
		}
		/* What is to be aborted must be in the log first. */
		rd_kafka_flush(rk, TIMEOUT_MS);
		check(commit ? rd_kafka_commit_transaction(rk, TIMEOUT_MS)
			     : rd_kafka_abort_transaction(rk, TIMEOUT_MS),
		      line);
	}
	free(line);
	rd_kafka_destroy(rk);
	return 0;
}
