/*
 * config.c - the configuration as an object, and the table of settings; see config.h.
 */
#include "supervisor/store/config_parts.h"

#include "base/uuid.h"
#include "supervisor/store/code.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct config *config_ref(struct config *config)
{
	config->references++;
	return config;
}

struct config *config_unref(struct config *config)
{
	if (!config || --config->references > 0)
		return NULL;
	free(config->name);
	free(config->runtime);
	free(config->handler);
	free(config->role);
	free(config->description);
	if (config->code)
		code_unpin(config->code, config->code_sha256);
	free(config->code_sha256);
	free(config->revision_id);
	config_free_environment(config->environment);
	json_decref(config->tags);
	json_decref(config->passthrough);
	json_decref(config->url);
	free(config);
	return NULL;
}

bool config_name_is_valid(const char *name)
{
	size_t size = strlen(name);

	return size >= 1 && size <= CONFIG_NAME_MAX &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") ==
		       size;
}

/* One row per setting. A number has bounds; of words, the value is the index. */
struct setting_row {
	const char *name;
	size_t offset;
	const char *words[3];
	uint64_t min, max, otherwise;
};

#define SETTING(member) offsetof(struct config_settings, member)

static const struct setting_row setting_rows[] = {
	{ "isolation", SETTING(isolation), { "function", "request" }, 0, 1, 0 },
	{ "launch", SETTING(launch), { "clone", "exec" }, 0, 1, 0 },
	{ "network", SETTING(network), { "none", "egress", "host" }, 0, 2, CONFIG_NETWORK_EGRESS },
	{ "concurrency", SETTING(concurrency), { 0 }, 0, 10000, 1000 },
	{ "queue", SETTING(queue), { 0 }, 0, 100000, 1000 },
	{ "spares", SETTING(spares), { 0 }, 0, 1000, 0 },
	{ "keep-alive", SETTING(keep_alive_s), { 0 }, 0, 604800, 60 },
	{ "log-bytes", SETTING(log_bytes), { 0 }, 1024, 64 << 20, 1 << 20 },
	{ "reply-bytes", SETTING(reply_bytes), { 0 }, 1, 256 << 20, CONFIG_PAYLOAD_MAX },
	{ "processes", SETTING(processes), { 0 }, 1, 32768, 256 },
	{ "descriptors", SETTING(descriptors), { 0 }, 16, 1 << 20, 1024 },
	{ "cpu", SETTING(cpu_percent), { 0 }, 0, 100000, 0 },
	{ "warm-up", SETTING(warm_up), { 0 }, 0, 10000, 1 },
};

static void setting_write(
	struct config_settings *settings, const struct setting_row *row, uint32_t v)
{
	/* Every member, enumerations included, is four bytes. */
	_Static_assert(sizeof(enum config_isolation) == sizeof(uint32_t), "enumerations are words");
	memcpy((char *)settings + row->offset, &v, sizeof(v));
}

static const struct setting_row *setting_find(const char *name)
{
	for (size_t i = 0; i < array_size(setting_rows); i++)
		if (strcmp(setting_rows[i].name, name) == 0)
			return &setting_rows[i];
	return NULL;
}

static int setting_unknown(const char *name, struct err *e)
{
	char names[256] = "";

	for (size_t i = 0, n = 0; i < array_size(setting_rows) && n < sizeof(names); i++)
		n += (size_t)snprintf(
			names + n, sizeof(names) - n, "%s%s", i ? ", " : "", setting_rows[i].name);
	err_set(e, -EINVAL, "The tag '" CONFIG_TAG_PREFIX "%s' names no setting; there are: %s.",
		name, names);
	return CONFIG_INVALID;
}

static int setting_invalid(const struct setting_row *row, const char *value, struct err *e)
{
	if (row->words[0])
		err_set(e, -EINVAL,
			"The setting '" CONFIG_TAG_PREFIX
			"%s' is '%s', but must be '%s' or '%s'%s%s%s.",
			row->name, value, row->words[0], row->words[1],
			row->words[2] ? " or '" : "", row->words[2] ? row->words[2] : "",
			row->words[2] ? "'" : "");
	else
		err_set(e, -EINVAL,
			"The setting '" CONFIG_TAG_PREFIX
			"%s' is '%s', but must be a whole number from %llu to %llu.",
			row->name, value, (unsigned long long)row->min,
			(unsigned long long)row->max);
	return CONFIG_INVALID;
}

static bool setting_parse(const struct setting_row *row, const char *value, uint32_t *ret)
{
	unsigned long long number;
	char *end;

	for (uint32_t i = 0; i < array_size(row->words) && row->words[i]; i++)
		if (strcmp(row->words[i], value) == 0) {
			*ret = i;
			return true;
		}
	if (row->words[0] || *value < '0' || *value > '9')
		return false;
	errno = 0;
	number = strtoull(value, &end, 10);
	if (*end || errno || number < row->min || number > row->max)
		return false;
	*ret = (uint32_t)number;
	return true;
}

void config_append_settings(const struct config *config, struct buffer *ret)
{
	const char *before = "{";

	for (size_t i = 0; i < array_size(setting_rows); i++, before = ",") {
		const struct setting_row *row = &setting_rows[i];
		uint32_t v;

		memcpy(&v, (const char *)&config->settings + row->offset, sizeof(v));
		if (row->words[0])
			buffer_printf(ret, "%s\"%s\":\"%s\"", before, row->name, row->words[v]);
		else
			buffer_printf(ret, "%s\"%s\":%u", before, row->name, v);
	}
	buffer_append_string(ret, "}");
}

static void settings_set_defaults(struct config_settings *settings, const struct options *options)
{
	for (size_t i = 0; i < array_size(setting_rows); i++)
		setting_write(settings, &setting_rows[i], (uint32_t)setting_rows[i].otherwise);
	if (options->concurrency > 0)
		settings->concurrency = min_of(settings->concurrency, options->concurrency);
	settings->spares = options->spares;
	settings->keep_alive_s = options->keep_alive_s;
	if (options->isolation_request)
		settings->isolation = CONFIG_ISOLATION_REQUEST;
	if (options->network_none)
		settings->network = CONFIG_NETWORK_NONE;
	if (options->launch_exec)
		settings->launch = CONFIG_LAUNCH_EXEC;
}

int config_read_settings(struct config *config, const struct options *options, struct err *e)
{
	const char *key;
	json_t *value;

	settings_set_defaults(&config->settings, options);
	json_object_foreach(config->tags, key, value)
	{
		const char *name = key + strlen(CONFIG_TAG_PREFIX),
			   *text = json_string_value(value);
		const struct setting_row *row;
		uint32_t v;

		if (strncmp(key, CONFIG_TAG_PREFIX, strlen(CONFIG_TAG_PREFIX)) != 0)
			continue;
		row = setting_find(name);
		if (!row)
			return setting_unknown(name, e);
		if (!setting_parse(row, text, &v))
			return setting_invalid(row, text, e);
		setting_write(&config->settings, row, v);
	}
	return 0;
}

int config_accept_settings(struct config *config, const struct options *options, struct err *e)
{
	int r = config_read_settings(config, options, e);

	if (r != 0)
		return r;
	if (config->settings.network != CONFIG_NETWORK_HOST || options->allow_host_network)
		return 0;
	err_set(e, -EPERM,
		"The setting '" CONFIG_TAG_PREFIX "network' is 'host', which this supervisor "
		"refuses; start it with --allow-host-network.");
	return CONFIG_INVALID;
}

void config_free_environment(char **environment)
{
	for (char **p = environment; p && *p; p++)
		free(*p);
	free(environment);
}

char **config_copy_environment(char *const *environment)
{
	size_t count = 0;
	char **copy;

	while (environment && environment[count])
		count++;
	copy = calloc(count + 1, sizeof(*copy));
	for (size_t i = 0; copy && i < count; i++) {
		copy[i] = strdup(environment[i]);
		if (!copy[i]) {
			config_free_environment(copy);
			return NULL;
		}
	}
	return copy;
}

struct config *config_new(void)
{
	struct config *config = calloc(1, sizeof(*config));

	if (!config)
		return NULL;
	config->references = 1;
	config->timeout_s = 3;
	config->memory_mb = CONFIG_MEMORY_MIN_MB;
	config->tmp_mb = CONFIG_TMP_MIN_MB;
	config->environment = calloc(1, sizeof(*config->environment));
	config->tags = json_object();
	config->passthrough = json_object();
	if (!config->environment || !config->tags || !config->passthrough)
		return config_unref(config);
	return config;
}

/* The text members, each of which a copy needs a copy of. */
static const size_t text_members[] = {
	offsetof(struct config, name),
	offsetof(struct config, runtime),
	offsetof(struct config, handler),
	offsetof(struct config, role),
	offsetof(struct config, description),
};

static bool copy_texts(struct config *copy, const struct config *old)
{
	for (size_t i = 0; i < array_size(text_members); i++) {
		char *const *from = (char *const *)((const char *)old + text_members[i]);
		char **to = (char **)((char *)copy + text_members[i]);

		if (*from && !(*to = strdup(*from)))
			return false;
	}
	return true;
}

struct config *config_copy(const struct config *old)
{
	struct config *copy = calloc(1, sizeof(*copy));

	if (!copy)
		return NULL;
	copy->references = 1;
	copy->timeout_s = old->timeout_s;
	copy->memory_mb = old->memory_mb;
	copy->tmp_mb = old->tmp_mb;
	copy->settings = old->settings;
	copy->environment = config_copy_environment(old->environment);
	copy->tags = json_deep_copy(old->tags);
	copy->passthrough = json_deep_copy(old->passthrough);
	copy->url = json_deep_copy(old->url);
	if (!copy_texts(copy, old) || !copy->environment || !copy->tags || !copy->passthrough ||
		(old->url && !copy->url))
		return config_unref(copy);
	if (old->code_sha256 &&
		config_set_code(copy, old->code, old->code_sha256, old->code_size) < 0)
		return config_unref(copy);
	return copy;
}

int config_stamp(struct config *config)
{
	char id[UUID_SIZE];

	uuid_make(id);
	free(config->revision_id);
	config->revision_id = strdup(id);
	config->last_modified = usec_realtime();
	return config->revision_id ? 0 : -ENOMEM;
}

int config_set_text(char **member, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free(*member);
	*member = copy;
	return 0;
}

int config_set_code(struct config *config, struct code *code, const char *sha256, uint64_t size)
{
	char *copy = strdup(sha256);

	if (!copy || (code && code_pin(code, sha256) < 0)) {
		free(copy);
		return -ENOMEM;
	}
	if (config->code)
		code_unpin(config->code, config->code_sha256);
	free(config->code_sha256);
	config->code_sha256 = copy;
	config->code = code;
	config->code_size = size;
	return 0;
}
