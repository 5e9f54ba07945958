/* chain_parse.c - apart from chain.c, for the supervisor's `struct source` is not ingest's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "supervisor/parse.h"
#include "tests/bench/chain_pipeline.h"

#define SERVERS                                                                                    \
	"SET pipeline = 'bench';"                                                                  \
	"CREATE SERVER kafka FOREIGN DATA WRAPPER debezium"                                        \
	" OPTIONS (\"bootstrap.servers\" '127.0.0.1:9');"                                          \
	"CREATE SERVER target FOREIGN DATA WRAPPER postgres OPTIONS (host '127.0.0.1');"

const char chain_values_sql[] = SERVERS "CREATE FOREIGN TABLE \"values\" (value integer NOT NULL)"
					" SERVER kafka OPTIONS (topic 'postgres.public.values');"
					"CREATE MATERIALIZED VIEW sum_table WITH (output = changes)"
					" AS SELECT sum(value) AS sum FROM \"values\";";
const char chain_orders_sql[] =
    SERVERS "CREATE FOREIGN TABLE orders (order_id integer PRIMARY KEY,"
	    " customer_id integer NOT NULL, price numeric(10,2) NOT NULL)"
	    " SERVER kafka OPTIONS (topic 'postgres.public.orders');"
	    "CREATE MATERIALIZED VIEW by_orders WITH (output = changes)"
	    " AS SELECT customer_id, count(*) AS n, sum(price) AS total, min(price) AS lowest,"
	    " max(price) AS highest FROM orders GROUP BY customer_id;";

/* And frees the source. */
static struct pipeline *
parse(struct source *source)
{
	struct pipeline *p = parse_pipeline(source, stderr);

	source_free(source);
	if (p == NULL)
		exit(1);
	return p;
}

struct pipeline *
chain_parse(const char *sql)
{
	struct source source = {xstrdup("bench.sql"), xstrdup(sql), strlen(sql)};

	return parse(&source);
}

struct pipeline *
chain_parse_file(const char *path)
{
	struct source source;

	if (source_read(&source, path, stderr) != 0)
		exit(1);
	return parse(&source);
}
