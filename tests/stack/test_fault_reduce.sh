# Every fault point of reduce, and those of checkpoints and views in egress: see faults.sh.
# limit: 600 s
. "$(dirname "$0")/faults.sh"
open_workers checkpoint checkpoint_stop reduce reduce_stop1 reduce_stop2 views rebuild
start_worker checkpoint turn_busy 262144 '' 'kill error' "$checkpoint"
start_worker checkpoint_stop turn_busy 262144 '' stop "$checkpoint"
start_worker reduce turn_busy 65536 '' 'kill error' ^reduce/ "$checkpoint|$views"
start_worker reduce_stop1 turn_busy 65536 '' stop '^reduce/reduce\.[a-l]' "$checkpoint"
start_worker reduce_stop2 turn_busy 65536 '' stop ^reduce/ "^reduce/reduce\.[a-l]|$views|$checkpoint"
start_worker views turn_views 65536 '' 'kill stop error' "$views" rebuild
start_worker rebuild turn_rebuild 65536 '' 'kill stop error' egress.rebuild
close_workers "^reduce/|$checkpoint|$views"
