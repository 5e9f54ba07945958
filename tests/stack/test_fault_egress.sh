# Every fault point of egress: see faults.sh.
# limit: 600 s
. "$(dirname "$0")/faults.sh"
open_workers boot image settle egress egress_stop copy copy_stop ping ping_stop ping_error
again=egress/egress.after_takeover:1:error*,egress/egress.after_takeover:2:error*
image=egress/egress.image:1:error*,egress/egress.image:2:error*
lost=egress/egress.after_commit:1:error*,egress/egress.after_commit:2:error*,egress/egress.after_commit:3:error*
boot='egress/(egress\.(connected|session|locked|before_takeover|in_takeover|after_takeover)|ring\.attach)$'
settle='egress\.(before_settle|in_settle|skip)$'
copy='egress\.(begun|copying|copy_end|in_copy|before_check|before_release|after_release)$'
but="$boot|$settle|$copy|$checkpoint|$views|ping|image"
start_worker boot turn_busy 65536 "$again" 'kill stop error' "$boot"
start_worker image turn_busy 65536 "$image" 'kill stop error' egress.image
start_worker settle turn_calm 65536 "$lost" 'kill stop error' "$settle"
start_worker copy turn_copy 262144 '' 'kill error' "$copy"
start_worker copy_stop turn_copy 262144 '' stop "$copy"
start_worker egress turn_busy 65536 '' 'kill error' ^egress/ "$but"
start_worker egress_stop turn_busy 65536 '' stop ^egress/ "$but"
start_worker ping turn_idle 65536 '' kill egress.ping
start_worker ping_stop turn_idle 65536 '' stop egress.ping
start_worker ping_error turn_idle 65536 '' error egress.ping
close_workers '^egress/' "$checkpoint|$views"
