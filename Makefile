# tallyd: one non-recursive Makefile. `make` builds into build/; `make demo` and `make check` set up
# everything they need by themselves.

PREFIX     ?= /usr/local
DESTDIR    ?=
VARIANT    ?= release
CC         ?= cc
VERSION    := 0.1.0

# libFuzzer is clang's; a ccache before the compiler stays.
ifeq ($(VARIANT),fuzz)
override CC := $(filter %ccache,$(CC)) clang
endif

BUILD      := build/$(VARIANT)
LIBEXECDIR := $(PREFIX)/libexec/tallyd

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes \
            -Wmissing-prototypes -Wold-style-definition -Wvla -Wformat=2 -Wundef -Wcast-qual \
            -Wwrite-strings -Wimplicit-fallthrough -Werror
HARDEN   := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
CFLAGS_release := -O3 -g $(HARDEN)
CFLAGS_fault   := -O1 -g $(HARDEN) -DTALLYD_FAULTS
CFLAGS_asan    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all -DTALLYD_FAULTS
CFLAGS_tsan    := -O1 -g -fsanitize=thread
CFLAGS_fuzz    := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all \
                  -Itests/fuzz/include

ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -I. $(WARNINGS) $(CFLAGS_$(VARIANT)) $(CFLAGS) \
             -DTALLYD_VERSION='"$(VERSION)"' -DTALLYD_LIBEXECDIR='"$(LIBEXECDIR)"'
LDFLAGS_release := -pie -Wl,-z,relro,-z,now
LDFLAGS_fault   := $(LDFLAGS_release)
LDFLAGS_asan    := -fsanitize=address,undefined
LDFLAGS_tsan    := -fsanitize=thread
LDFLAGS_fuzz    := -fsanitize=fuzzer,address,undefined
ALL_LDFLAGS = $(LDFLAGS_$(VARIANT)) $(LDFLAGS)

COMMON := \
	common/array.c \
	common/batch.c \
	common/board.c \
	common/calendar.c \
	common/column.c \
	common/connector.c \
	common/decimal.c \
	common/decimal_arith.c \
	common/decimal_text.c \
	common/expr.c \
	common/fault.c \
	common/image.c \
	common/inet.c \
	common/interval.c \
	common/interval_parse.c \
	common/json.c \
	common/jsonb.c \
	common/latency.c \
	common/log.c \
	common/pack.c \
	common/pipeline.c \
	common/pipeline_print.c \
	common/position.c \
	common/ring.c \
	common/scalar.c \
	common/secret.c \
	common/stage.c \
	common/stamps.c \
	common/value.c \
	common/value_text.c

SUPERVISOR := \
	supervisor/check.c \
	supervisor/control.c \
	supervisor/daemon.c \
	supervisor/difference.c \
	supervisor/environment.c \
	supervisor/hold.c \
	supervisor/main.c \
	supervisor/parse.c \
	supervisor/parse_declare.c \
	supervisor/parse_scalar.c \
	supervisor/parse_source.c \
	supervisor/parse_table.c \
	supervisor/parse_type.c \
	supervisor/parse_view.c \
	supervisor/parse_where.c \
	supervisor/reload.c \
	supervisor/spawn.c \
	supervisor/status.c \
	supervisor/supervise.c \
	supervisor/swap.c

INGEST := \
	ingest/convert.c \
	ingest/convert_array.c \
	ingest/convert_number.c \
	ingest/convert_table.c \
	ingest/convert_text.c \
	ingest/convert_time.c \
	ingest/debezium.c ingest/debezium_form.c ingest/debezium_judge.c \
	ingest/envelope.c \
	ingest/flow.c \
	ingest/heartbeat.c \
	ingest/ingest.c \
	ingest/kafka.c \
	ingest/kafka_config.c \
	ingest/kafka_options.c \
	ingest/order.c \
	ingest/order_head.c \
	ingest/order_snapshot.c \
	ingest/order_token.c \
	ingest/origin.c \
	ingest/form.c ingest/place.c \
	ingest/recovery.c \
	ingest/room.c \
	ingest/sample.c \
	ingest/schema.c \
	ingest/source.c \
	ingest/transaction.c \
	ingest/trouble.c \
	ingest/writer.c

REDUCE := \
	reduce/aggregate.c reduce/pending.c \
	reduce/book.c \
	reduce/checkpoint.c \
	reduce/core.c \
	reduce/core_bad.c \
	reduce/core_check.c \
	reduce/core_emit.c \
	reduce/core_load.c \
	reduce/counts.c \
	reduce/group.c \
	reduce/group_store.c \
	reduce/hash.c \
	reduce/letters.c \
	reduce/load.c \
	reduce/lookout.c \
	reduce/multiset.c \
	reduce/part.c \
	reduce/reduce.c \
	reduce/rows.c

EGRESS := \
	egress/check.c \
	egress/commit.c \
	egress/ddl.c \
	egress/dead_letter.c \
	egress/egress.c \
	egress/encode.c \
	egress/handover.c \
	egress/holder.c \
	egress/inexact.c \
	egress/inspect.c \
	egress/plan.c \
	egress/pooler.c \
	egress/postgres.c \
	egress/store.c \
	egress/stream.c \
	egress/target.c \
	egress/views.c

PROGRAMS := tallyd tallyd-ingest tallyd-reduce tallyd-egress

# setproctitle needs the environment's place: libbsd-ctor saves it before main().
BSD := -Wl,-u,libbsd_init_func -lbsd-ctor -lbsd

.PHONY: all
all: $(PROGRAMS:%=$(BUILD)/%)

objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/obj/egress/postgres.o: ALL_CFLAGS += $(shell pkg-config --cflags libpq)

$(BUILD)/libcommon.a: $(call objects,$(COMMON))
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/tallyd: $(call objects,$(SUPERVISOR)) $(BUILD)/libcommon.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lpg_query -lgmp -lm $(BSD)
$(BUILD)/tallyd-ingest: $(call objects,$(INGEST)) $(BUILD)/libcommon.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lrdkafka -lgmp -lm -lmd $(BSD)
$(BUILD)/tallyd-reduce: $(call objects,$(REDUCE)) $(BUILD)/libcommon.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lgmp -lm $(BSD)
$(BUILD)/tallyd-egress: $(call objects,$(EGRESS)) $(BUILD)/libcommon.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lpq -lgmp -lm $(BSD)

# ---- tests ------------------------------------------------------------------------------------

# The unit tests link every module of every stage, all but the four main() files.
MAINS      := supervisor/main.c ingest/ingest.c reduce/reduce.c egress/egress.c
MODULES    := $(filter-out $(MAINS),$(SUPERVISOR) $(INGEST) $(REDUCE) $(EGRESS))
UNIT_TESTS := $(wildcard tests/unit/*.c)
LIBRARIES  := -lmd -lrdkafka -lpq -lpg_query -lgmp -lm -lmsgpackc $(BSD)

$(BUILD)/unit-tests: $(call objects,$(UNIT_TESTS) $(MODULES)) $(BUILD)/libcommon.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lcriterion $(LIBRARIES)
$(BUILD)/golden-changes: $(call objects,tests/golden/changes.c tests/unit/capture.c tests/unit/truth.c $(MODULES)) $(BUILD)/libcommon.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBRARIES)
$(BUILD)/sim: $(call objects,$(wildcard tests/sim/*.c) $(MODULES)) $(BUILD)/libcommon.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBRARIES)
$(BUILD)/mutations: $(call objects,$(wildcard tests/mutations/*.c) tests/unit/capture.c tests/unit/truth.c $(MODULES)) $(BUILD)/libcommon.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBRARIES) -lyajl
$(BUILD)/ring-threads: $(call objects,tests/stress/ring_threads.c) $(BUILD)/libcommon.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lgmp -lm -lpthread $(BSD)
$(BUILD)/ring-kill: $(call objects,tests/stress/ring_kill.c) $(BUILD)/libcommon.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lgmp -lm $(BSD)
$(BUILD)/egress-test: $(call objects,$(addprefix tests/egress/,check_test.c checkpoint_test.c columns_test.c connect_test.c egress_test.c harness.c letters_test.c names_test.c types_test.c views_test.c)) $(BUILD)/libcommon.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lgmp -lm $(BSD)

# Fuzz targets (VARIANT=fuzz): each takes from an archive of all modules what it needs.
FUZZ_TARGETS := json debezium order batch ring pipeline
FUZZ_HELPERS := $(addprefix tests/unit/,order_sim.c order_world.c truth.c)

$(BUILD)/libmodules.a: $(call objects,$(MODULES) $(FUZZ_HELPERS))
	@rm -f $@
	ar rcs $@ $^
$(FUZZ_TARGETS:%=$(BUILD)/fuzz-%): $(BUILD)/fuzz-%: $(BUILD)/obj/tests/fuzz/%.o $(BUILD)/libmodules.a $(BUILD)/libcommon.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -Wl,--as-needed $(LIBRARIES) -lyajl

$(BUILD)/cut-proxy $(BUILD)/cut-after: $(BUILD)/cut-%: $(BUILD)/obj/tests/stack/cut_%.o
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lbsd
$(BUILD)/transact: $(call objects,tests/stack/transact.c)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lrdkafka

.PHONY: check check-fast check-build tests-release tests-asan tests-tsan tests-fault tests-fuzz
tests-release: all $(BUILD)/unit-tests $(BUILD)/golden-changes $(BUILD)/bench-produce $(BUILD)/sim $(BUILD)/transact $(BUILD)/bench-micro
tests-asan: $(BUILD)/unit-tests $(BUILD)/mutations
tests-tsan: $(BUILD)/ring-threads
tests-fault: all $(BUILD)/sim $(BUILD)/ring-kill $(BUILD)/egress-test $(BUILD)/cut-proxy $(BUILD)/cut-after
tests-fuzz: $(FUZZ_TARGETS:%=$(BUILD)/fuzz-%)
check-build:
	@$(MAKE) --no-print-directory -s -j2 VARIANT=release tests-release
	@$(MAKE) --no-print-directory -s -j2 VARIANT=fault tests-fault
	@$(MAKE) --no-print-directory -s -j2 VARIANT=tsan tests-tsan
	@$(MAKE) --no-print-directory -s -j2 VARIANT=asan tests-asan
check-fast:
	@tests/setup.sh build check
	@$(MAKE) --no-print-directory check-build
	@tests/run.sh fast
check:
	@tests/setup.sh build check fuzz demo jars jars-old
	@$(MAKE) --no-print-directory check-build
	@$(MAKE) --no-print-directory -s -j2 VARIANT=fuzz tests-fuzz
	@tests/run.sh

# SECONDS, TARGETS: see the script.
.PHONY: fuzz
fuzz:
	@tests/setup.sh build check fuzz
	@$(MAKE) --no-print-directory -s -j2 VARIANT=fuzz tests-fuzz
	@tests/fuzz/run.sh $(or $(SECONDS),30) $(TARGETS)

# KILLS, SEED, CONTROL, WORKERS, PAUSE: see the script.
.PHONY: crash
crash:
	@tests/setup.sh build check demo jars
	@$(MAKE) --no-print-directory -s -j2 VARIANT=release all
	@$(MAKE) --no-print-directory -s -j2 VARIANT=fault all
	@tests/crash/run.sh

.PHONY: clean
clean:
	rm -rf build

# ---- packages, jars, the demo, installation ---------------------------------------------------

.PHONY: setup
setup:
	@tests/setup.sh build check fuzz demo jars jars-old

.PHONY: jars jars-old
jars: build/jars/complete
build/jars/complete: tests/stack/jars.xml
	@tests/setup.sh demo jars
jars-old:
	@tests/setup.sh demo jars-old

.PHONY: demo
demo:
	@tests/setup.sh build demo jars
	@echo 'Building'
	@$(MAKE) --no-print-directory --silent VARIANT=release all
	@tests/stack/demo.sh

# ---- speed and size ---------------------------------------------------------------------------

$(BUILD)/bench-produce: $(call objects,tests/bench/produce.c tests/bench/produce_shape.c)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lrdkafka -lbsd
$(BUILD)/bench-reduce-core $(BUILD)/bench-reduce-checkpoint: $(BUILD)/bench-reduce-%: $(BUILD)/obj/tests/bench/reduce_%.o \
		$(call objects,tests/bench/reduce_bench.c $(filter-out reduce/reduce.c,$(REDUCE))) $(BUILD)/libcommon.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lgmp -lm $(BSD)
# What measures the code of all stages in one process.
BENCH_CHAIN := tests/bench/chain.c tests/bench/chain_parse.c tests/bench/messages.c tests/bench/produce_shape.c
$(BUILD)/bench-micro: $(call objects,$(addprefix tests/bench/,micro.c micro_parts.c micro_chains.c reduce_bench.c) \
		$(BENCH_CHAIN) $(MODULES)) $(BUILD)/libcommon.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBRARIES)
$(BUILD)/bench-growth: $(call objects,tests/bench/growth.c tests/bench/reduce_bench.c $(BENCH_CHAIN) $(MODULES)) \
		$(BUILD)/libcommon.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBRARIES)
$(BUILD)/bench-egress: $(call objects,tests/bench/egress_rate.c tests/bench/chain_parse.c tests/egress/harness.c $(MODULES)) \
		$(BUILD)/libcommon.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBRARIES)
$(BUILD)/delay-proxy: $(call objects,tests/bench/delay_proxy.c)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lbsd
$(BUILD)/bench-raw: $(call objects,tests/bench/raw.c)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lrdkafka

$(BUILD)/obj/tests/bench/latency.o: ALL_CFLAGS += $(shell pkg-config --cflags libpq)
$(BUILD)/bench-latency: $(call objects,tests/bench/latency.c tests/bench/produce_shape.c) $(BUILD)/libcommon.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lrdkafka -lpq -lpthread $(BSD)

BENCHES := bench-produce bench-raw bench-micro bench-growth bench-egress bench-reduce-core \
           bench-reduce-checkpoint bench-latency delay-proxy

.PHONY: tests-bench bench bench-quick bench-peers
tests-bench: all $(BENCHES:%=$(BUILD)/%)
# PARTS, ROWS, ROUNDS and more: see the scripts.
bench:
	@tests/setup.sh build bench demo jars
	@$(MAKE) --no-print-directory --silent VARIANT=release tests-bench
	@tests/bench/run.sh
# The same, with sizes that only show that it works.
bench-quick:
	@QUICK=1 $(MAKE) --no-print-directory --silent bench
# On request only: the worked example in Pathway, from PyPI, beside tallyd.
bench-peers:
	@tests/setup.sh build demo jars peers
	@$(MAKE) --no-print-directory --silent VARIANT=release tests-bench
	@tests/bench/peers.sh

# PREFIX must be the one given to `make`: tallyd looks for its stages beside itself, then there.
.PHONY: install
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(LIBEXECDIR) $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 755 $(BUILD)/tallyd $(DESTDIR)$(PREFIX)/bin/
	install -m 755 $(PROGRAMS:%=$(BUILD)/%) $(DESTDIR)$(LIBEXECDIR)/
	rm $(DESTDIR)$(LIBEXECDIR)/tallyd
	install -m 644 supervisor/tallyd.1 $(DESTDIR)$(PREFIX)/share/man/man1/

# ---- the worked example in containers ---------------------------------------------------------
# Both `docker compose` and docker-compose will do. Settable: POSTGRES_PORT KAFKA_PORT CONNECT_PORT,
# and for load COUNT and INTERVAL.

COMPOSE = $(or $(shell docker compose version >/dev/null 2>&1 && echo docker compose),docker-compose) \
          -f compose/compose.yaml

.PHONY: up load stop clean-stack logs psql check-compose
up:
	$(COMPOSE) up -d --build
	$(COMPOSE) exec -T connect bash /usr/local/bin/connector.sh
load:
	$(COMPOSE) exec -T $(COUNT:%=-e COUNT=%) $(INTERVAL:%=-e INTERVAL=%) postgres \
	    sh /usr/local/bin/update_db.sh
stop:
	$(COMPOSE) stop
clean-stack:
	$(COMPOSE) down --volumes --remove-orphans
logs:
	$(COMPOSE) logs -f
psql:
	$(COMPOSE) exec -e PGPASSWORD=password postgres psql -h localhost -U user values_db
check-compose:
	$(COMPOSE) config -q

-include $(shell find build -path build/peers -prune -o -type f -name '*.d' -print 2>/dev/null)
