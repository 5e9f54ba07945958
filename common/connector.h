/*
 * connector.h - what a pipeline file may say of a Debezium connector's settings: options of CREATE SERVER
 * under the connector's own names. Bare JSON does not tell how a value is written; these do.
 */
#ifndef CONNECTOR_H
#define CONNECTOR_H

#include <stdbool.h>
#include <stddef.h>

enum connector_option {                    /* each is one word out of a list; 0: not given */
			CONNECTOR_TIME,    /* time.precision.mode */
			CONNECTOR_DECIMAL, /* decimal.handling.mode */
			CONNECTOR_BINARY,  /* binary.handling.mode */
			CONNECTOR_OPTIONS,
};

enum time_mode {
	TIME_ADAPTIVE = 1,
	TIME_ADAPTIVE_MICROSECONDS,
	TIME_CONNECT,
	TIME_ISOSTRING,
	TIME_MICROSECONDS,
	TIME_NANOSECONDS,
	TIME_STRUCTURED,
};

enum decimal_mode {
	DECIMAL_PRECISE = 1,
	DECIMAL_DOUBLE,
	DECIMAL_STRING,
};

enum binary_mode {
	BINARY_BYTES = 1,
	BINARY_BASE64,
	BINARY_BASE64_URL,
	BINARY_HEX,
};

#define CONNECTOR_MODES 8 /* more than any option has words */

#define CONNECTOR_UNAVAILABLE         "unavailable.value.placeholder"
#define CONNECTOR_UNAVAILABLE_DEFAULT "__debezium_unavailable_value"

struct connector {
	unsigned mode[CONNECTOR_OPTIONS];
	char *unavailable; /* NULL: the default */
};

/* An option's name; CONNECTOR_OPTIONS when the name is none of them. */
const char *connector_option_name(enum connector_option);
enum connector_option connector_option_find(const char *name);

/* The word of a mode, NULL beyond the last one; the mode of a word, 0 when it is none. */
const char *connector_mode_name(enum connector_option, unsigned mode);
unsigned connector_mode_find(enum connector_option, const char *word);

#endif
