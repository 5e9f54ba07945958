"""peers.py - the worked example in Pathway: the sum of one table, from Debezium's topic to PostgreSQL.

    peers.py TOPIC AUTOCOMMIT_MS

BOOTSTRAP and libpq's environment say where. It runs until it is ended; before that it says in one line
when it began to (seconds since 1970) and the CPU seconds that starting took. Keeps no state beyond the process.
"""

import os
import sys
import time

import pathway as pw


class Values(pw.Schema):
    value: int


topic, autocommit_ms = sys.argv[1], int(sys.argv[2])
values = pw.io.debezium.read(
    {
        "bootstrap.servers": os.environ["BOOTSTRAP"],
        "security.protocol": "plaintext",
        "group.id": f"peers-{os.getpid()}",
        "session.timeout.ms": "6000",
        "auto.offset.reset": "earliest",
    },
    topic_name=topic,
    schema=Values,
    autocommit_duration_ms=autocommit_ms,
)
pw.io.postgres.write(
    values.reduce(sum=pw.reducers.sum(values.value)),
    {
        "host": os.environ["PGHOST"],
        "port": os.environ["PGPORT"],
        "dbname": os.environ["PGDATABASE"],
        "user": os.environ["PGUSER"],
        "password": os.environ["PGPASSWORD"],
    },
    "sum_table",
)
print(f"run={time.time():.6f} cpu={time.process_time():.2f}", flush=True)
pw.run(monitoring_level=pw.MonitoringLevel.NONE)
