#include "common/connector.h"

#include <string.h>

static const struct {
	const char *name;
	const char *words[CONNECTOR_MODES];
} options[CONNECTOR_OPTIONS] = {
    [CONNECTOR_TIME] = {"time.precision.mode",
			{[TIME_ADAPTIVE] = "adaptive",
			 [TIME_ADAPTIVE_MICROSECONDS] = "adaptive_time_microseconds",
			 [TIME_CONNECT] = "connect",
			 [TIME_ISOSTRING] = "isostring",
			 [TIME_MICROSECONDS] = "microseconds",
			 [TIME_NANOSECONDS] = "nanoseconds",
			 [TIME_STRUCTURED] = "structured"}},
    [CONNECTOR_DECIMAL] =
	{"decimal.handling.mode",
	 {[DECIMAL_PRECISE] = "precise", [DECIMAL_DOUBLE] = "double", [DECIMAL_STRING] = "string"}},
    [CONNECTOR_BINARY] = {"binary.handling.mode",
			  {[BINARY_BYTES] = "bytes",
			   [BINARY_BASE64] = "base64",
			   [BINARY_BASE64_URL] = "base64-url-safe",
			   [BINARY_HEX] = "hex"}},
};

const char *
connector_option_name(enum connector_option option)
{
	return options[option].name;
}

enum connector_option
connector_option_find(const char *name)
{
	unsigned i = 0;

	while (i < CONNECTOR_OPTIONS && strcmp(options[i].name, name) != 0)
		i++;
	return (enum connector_option)i;
}

const char *
connector_mode_name(enum connector_option option, unsigned mode)
{
	return mode < CONNECTOR_MODES ? options[option].words[mode] : NULL;
}

unsigned
connector_mode_find(enum connector_option option, const char *word)
{
	for (unsigned i = 1; i < CONNECTOR_MODES && options[option].words[i]; i++)
		if (strcmp(options[option].words[i], word) == 0)
			return i;
	return 0;
}
