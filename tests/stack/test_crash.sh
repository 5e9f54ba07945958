# Random deaths of everything, with Debezium running: see tests/crash/run.sh, and `make crash` for more.
# limit: 900 s
KILLS=${KILLS:-200} SEED=${SEED:-5} exec "$(dirname "$0")/../crash/run.sh"
