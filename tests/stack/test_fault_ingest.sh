# Every fault point of ingest and of the supervisor: see faults.sh.
# limit: 600 s
. "$(dirname "$0")/faults.sh"
open_workers ingest ingest_stop1 ingest_stop2 offsets supervisor
start_worker ingest turn_busy 65536 '' 'kill error' ^ingest/ offsets
start_worker ingest_stop1 turn_busy 65536 '' stop '^ingest/ingest\.[ab]' offsets
start_worker ingest_stop2 turn_busy 65536 '' stop ^ingest/ '^ingest/ingest\.[ab]|offsets'
start_worker offsets turn_calm 65536 '' 'kill stop error' ingest.*offsets
start_worker supervisor turn_recoveries 65536 '' 'kill stop error' ^tallyd/
close_workers '^(ingest|tallyd)/'
