/* chain_pipeline.h - the pipelines of the two workloads, as the product itself reads them. */
#ifndef TESTS_BENCH_CHAIN_PIPELINE_H
#define TESTS_BENCH_CHAIN_PIPELINE_H

struct pipeline;

/* values: a global sum. orders: count, sum, min and max in groups over a keyed table. */
extern const char chain_values_sql[], chain_orders_sql[];

/* The pipeline of a text or a file; the caller frees it with pipeline_free(). Exits on a fault. */
struct pipeline *chain_parse(const char *sql);
struct pipeline *chain_parse_file(const char *path);

#endif
