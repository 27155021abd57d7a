/*
 * test_config.c - store/config.h: requests into configurations, and these into JSON and back.
 */
#include "check.h"

#include "supervisor/store/config.h"
#include "supervisor/supervisor.h"

#include <stdio.h>
#include <string.h>

static const struct options options = { .concurrency = 1000, .keep_alive_s = 300, .spares = 2 };

static json_t *json_of(const char *format, ...)
{
	json_error_t error;
	char text[8192];
	va_list args;
	json_t *json;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json = json_loads(text, 0, &error);
	if (!json)
		fail_msg("'%s' is not JSON: %s", text, error.text);
	return json;
}

/* A request with what is needed, and the given members over it. */
static int create(const char *name, const char *members, struct config **ret, struct err *e)
{
	json_t *request = json_of("{\"Runtime\":\"python3.11\",\"Handler\":\"a.b\"}");
	json_t *over = json_of("{%s}", members);
	int r;

	json_object_update(request, over);
	r = config_create(&options, name, request, ret, e);
	json_decref(request);
	json_decref(over);
	return r;
}

static struct config *created(const char *members)
{
	struct config *config = NULL;
	struct err e = { 0 };

	if (create("f", members, &config, &e) != 0)
		fail_msg("{%s} was refused: %s", members, e.text);
	return config;
}

static void defaults_are_lambdas_and_the_options(void **state)
{
	struct config *config = created("");

	(void)state;
	assert_string_equal(config->name, "f");
	assert_int_equal(config->timeout_s, 3);
	assert_int_equal(config->memory_mb, 128);
	assert_int_equal(config->tmp_mb, 512);
	assert_null(config->environment[0]);
	assert_int_equal(config->settings.concurrency, 1000);
	assert_int_equal(config->settings.queue, 1000);
	assert_int_equal(config->settings.spares, 2);
	assert_int_equal(config->settings.keep_alive_s, 300);
	assert_int_equal(config->settings.reply_bytes, 6291456);
	assert_int_equal(config->settings.log_bytes, 1 << 20);
	assert_int_equal(config->settings.isolation, CONFIG_ISOLATION_FUNCTION);
	assert_int_equal(config->settings.launch, CONFIG_LAUNCH_CLONE);
	assert_int_equal(strlen(config->revision_id), 36);
	assert_true(config->last_modified > 0);
	config_unref(config);
}

static void refuses_and_says_what_is_wrong(void **state)
{
	static const struct {
		const char *name, *members, *said;
	} cases[] = {
		{ "", "", "''" },
		{ "a b", "", "'a b'" },
		{ "é", "", "1 to 64" },
		{ "a/../b", "", "1 to 64" },
		{ "01234567890123456789012345678901234567890123456789012345678901234", "",
			"1 to 64" },
		{ "f", "\"Timeout\":0", "'Timeout' is 0, but must be from 1 to 900 seconds" },
		{ "f", "\"Timeout\":901", "'Timeout' is 901" },
		{ "f", "\"Timeout\":-1", "'Timeout' is -1" },
		{ "f", "\"Timeout\":4294967297", "'Timeout' is 4294967297" },
		{ "f", "\"Timeout\":1.5", "whole number" },
		{ "f", "\"Timeout\":\"3\"", "whole number" },
		{ "f", "\"MemorySize\":127", "from 128 to 10240 megabytes" },
		{ "f", "\"MemorySize\":10241", "from 128 to 10240 megabytes" },
		{ "f", "\"EphemeralStorage\":{\"Size\":511}", "from 512 to 10240 megabytes" },
		{ "f", "\"EphemeralStorage\":{\"Size\":10241}", "EphemeralStorage.Size" },
		{ "f", "\"EphemeralStorage\":3", "EphemeralStorage.Size" },
		{ "f", "\"Handler\":\"\"", "'Handler'" },
		{ "f", "\"Handler\":\"a b\"", "space" },
		{ "f", "\"Handler\":null,\"Runtime\":null", "'Runtime' is missing" },
		{ "f", "\"Handler\":null", "'Handler' is missing" },
		{ "f", "\"Handler\":7", "must be a string" },
		{ "f", "\"Environment\":[]", "'Environment'" },
		{ "f", "\"Environment\":{\"Variables\":7}", "'Environment'" },
		{ "f", "\"Environment\":{\"Variables\":{\"A\":7}}", "'A' must be a string" },
		{ "f", "\"Environment\":{\"Variables\":{\"1A\":\"\"}}",
			"'1A' has an illegal name" },
		{ "f", "\"Environment\":{\"Variables\":{\"A=B\":\"\"}}", "illegal name" },
		{ "f", "\"Environment\":{\"Variables\":{\"\":\"\"}}", "illegal name" },
		{ "f", "\"Environment\":{\"Variables\":{\"AWS_REGION\":\"x\"}}", "reserved" },
		{ "f", "\"Environment\":{\"Variables\":{\"_HANDLER\":\"x\"}}", "reserved" },
		{ "f", "\"Environment\":{\"Variables\":{\"POLYVISOR_FD\":\"x\"}}", "reserved" },
		{ "f", "\"PackageType\":\"Image\"", "'Image' is not supported" },
		{ "f", "\"Layers\":[\"arn:aws:lambda:x\"]", "Layers are not supported" },
		{ "f", "\"Architectures\":[\"m68k\"]", "this machine" },
		{ "f", "\"FileSystemConfigs\":[{}]", "not supported" },
		{ "f", "\"Tags\":7", "'Tags'" },
		{ "f", "\"Tags\":{\"a\":7}", "tag 'a'" },
		{ "f", "\"Tags\":{\"\":\"\"}", "tag ''" },
		{ "f", "\"Tags\":{\"polyvisor:nothing\":\"1\"}",
			"names no setting; there are: isol" },
		{ "f", "\"Tags\":{\"polyvisor:queue\":\"x\"}", "from 0 to 100000" },
		{ "f", "\"Tags\":{\"polyvisor:queue\":\"-1\"}", "from 0 to 100000" },
		{ "f", "\"Tags\":{\"polyvisor:queue\":\"1 \"}", "from 0 to 100000" },
		{ "f", "\"Tags\":{\"polyvisor:queue\":\"\"}", "from 0 to 100000" },
		{ "f", "\"Tags\":{\"polyvisor:queue\":\"99999999999999999999\"}", "from 0 to" },
		{ "f", "\"Tags\":{\"polyvisor:launch\":\"fork\"}", "'clone' or 'exec'" },
	};

	(void)state;
	for (size_t i = 0; i < array_size(cases); i++) {
		struct config *config = NULL;
		struct err e = { 0 };

		if (create(cases[i].name, cases[i].members, &config, &e) != CONFIG_INVALID)
			fail_msg("'%s' {%s} was not refused", cases[i].name, cases[i].members);
		assert_null(config);
		if (!strstr(e.text, cases[i].said))
			fail_msg("{%s}: '%s' does not say '%s'", cases[i].members, e.text,
				cases[i].said);
	}
}

static void limits_themselves_are_allowed(void **state)
{
	(void)state;
	config_unref(created("\"Timeout\":900,\"MemorySize\":10240"));
	config_unref(created("\"Timeout\":1,\"MemorySize\":128,\"Description\":\"\""));
	config_unref(created("\"EphemeralStorage\":{\"Size\":10240},\"Layers\":[]"));
	config_unref(created("\"Environment\":{},\"Tags\":{},\"Description\":null"));
	config_unref(created("\"Environment\":{\"Variables\":{\"AWS_ACCESS_KEY_ID\":\"x\"}}"));
	config_unref(created("\"Unknown\":{\"member\":1},\"Publish\":true"));
}

static void the_environment_has_a_size(void **state)
{
	char members[5000], value[4200];
	struct config *config = NULL;
	struct err e;

	(void)state;
	memset(value, 'x', sizeof(value));
	value[CONFIG_ENVIRONMENT_MAX - 1] = '\0';
	snprintf(members, sizeof(members), "\"Environment\":{\"Variables\":{\"A\":\"%s\"}}", value);
	assert_int_equal(create("f", members, &config, &e), 0);
	assert_int_equal(strlen(config->environment[0]), CONFIG_ENVIRONMENT_MAX + 1);
	config_unref(config);
	snprintf(
		members, sizeof(members), "\"Environment\":{\"Variables\":{\"AB\":\"%s\"}}", value);
	assert_int_equal(create("f", members, &config, &e), CONFIG_INVALID);
	assert_non_null(strstr(e.text, "4097 bytes"));
}

static void tags_are_settings(void **state)
{
	struct config *config =
		created("\"Tags\":{\"polyvisor:isolation\":\"request\","
			"\"polyvisor:launch\":\"exec\",\"polyvisor:concurrency\":\"5\","
			"\"polyvisor:spares\":\"0\",\"polyvisor:cpu\":\"150\","
			"\"team\":\"polyvisor\"}");

	(void)state;
	assert_int_equal(config->settings.isolation, CONFIG_ISOLATION_REQUEST);
	assert_int_equal(config->settings.launch, CONFIG_LAUNCH_EXEC);
	assert_int_equal(config->settings.concurrency, 5);
	assert_int_equal(config->settings.spares, 0);
	assert_int_equal(config->settings.cpu_percent, 150);
	assert_int_equal(config->settings.keep_alive_s, 300);
	assert_int_equal(json_object_size(config->tags), 6);
	config_unref(config);
}

static void an_update_makes_another(void **state)
{
	struct config *old = created("\"Timeout\":7,\"Tags\":{\"polyvisor:queue\":\"3\"},"
				     "\"Environment\":{\"Variables\":{\"A\":\"1\"}}");
	json_t *request = json_of("{\"MemorySize\":256,\"Description\":\"new\",\"Tags\":{}}");
	struct config *updated = NULL;
	struct err e;

	(void)state;
	assert_int_equal(config_set_code(old, NULL, "ab", 12), 0);
	assert_int_equal(config_update(&options, old, request, &updated, &e), 0);
	assert_int_equal(old->memory_mb, 128);
	assert_int_equal(updated->memory_mb, 256);
	assert_int_equal(updated->timeout_s, 7);
	assert_string_equal(updated->description, "new");
	assert_string_equal(updated->environment[0], "A=1");
	assert_string_equal(updated->code_sha256, "ab");
	assert_int_equal(updated->code_size, 12);
	/* Tags have operations of their own. */
	assert_int_equal(updated->settings.queue, 3);
	assert_string_not_equal(updated->revision_id, old->revision_id);
	json_decref(request);
	config_unref(updated);
	request = json_of("{\"Environment\":{\"Variables\":{}},\"Timeout\":1000}");
	assert_int_equal(config_update(&options, old, request, &updated, &e), CONFIG_INVALID);
	json_decref(request);
	config_unref(old);
}

static const char *text_member(const json_t *json, const char *name)
{
	const char *text = json_string_value(json_object_get(json, name));

	if (!text)
		fail_msg("there is no %s", name);
	return text;
}

static void clients_see_lambdas_members(void **state)
{
	struct config *config = created("\"Environment\":{\"Variables\":{\"A\":\"b=c\"}},"
					"\"VpcConfig\":{\"SubnetIds\":[]},\"Role\":\"r\"");
	json_t *json;

	(void)state;
	assert_int_equal(
		config_set_code(config, NULL,
			"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", 5),
		0);
	config->last_modified = 1700000000123456;
	json = config_to_json(config);
	assert_string_equal(text_member(json, "FunctionArn"),
		"arn:aws:lambda:us-east-1:000000000000:function:f");
	assert_string_equal(
		text_member(json, "CodeSha256"), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
	assert_string_equal(text_member(json, "LastModified"), "2023-11-14T22:13:20.123+0000");
	assert_string_equal(text_member(json, "State"), "Active");
	assert_string_equal(text_member(json, "LastUpdateStatus"), "Successful");
	assert_string_equal(text_member(json, "Version"), "$LATEST");
	assert_string_equal(
		text_member(
			json_object_get(json_object_get(json, "Environment"), "Variables"), "A"),
		"b=c");
	assert_non_null(json_object_get(json, "VpcConfig"));
	assert_null(json_object_get(json, "Tags"));
	json_decref(json);
	config_unref(config);
}

static void the_store_gives_back_what_it_got(void **state)
{
	struct config *config =
		created("\"Environment\":{\"Variables\":{\"A\":\"1\",\"B\":\"\"}},"
			"\"Timeout\":9,\"MemorySize\":300,\"Role\":\"\","
			"\"EphemeralStorage\":{\"Size\":600},\"Description\":\"d\xc3\xa9\","
			"\"LoggingConfig\":{\"LogFormat\":\"JSON\"},"
			"\"Tags\":{\"polyvisor:queue\":\"3\",\"x\":\"y\"}");
	struct options others = { .concurrency = 9, .keep_alive_s = 1 };
	struct config *back = NULL;
	json_t *before, *after;
	char *document;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(
		config_set_code(config, NULL,
			"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", 5),
		0);
	config->url = json_of("{\"AuthType\":\"NONE\"}");
	document = config_to_document(config);
	if (config_from_document(&others, NULL, document, &back, &e) != 0)
		fail_msg("%s: %s", document, e.text);
	before = config_to_json(config);
	after = config_to_json(back);
	assert_true(json_equal(before, after));
	assert_true(json_equal(config->tags, back->tags));
	assert_true(json_equal(config->url, back->url));
	assert_true(config->last_modified == back->last_modified);
	assert_int_equal(back->settings.queue, 3);
	/* What no tag says is as the supervisor's options of today have it. */
	assert_int_equal(back->settings.keep_alive_s, 1);
	assert_int_equal(back->settings.concurrency, 9);
	json_decref(before);
	json_decref(after);
	free(document);
	config_unref(back);
	config_unref(config);
}

static void other_documents_are_refused(void **state)
{
	static const char *const documents[] = { "", "x", "[]", "{}", "null",
		"{\"DocumentVersion\":2}", "{\"DocumentVersion\":1}",
		"{\"DocumentVersion\":1,\"Variables\":{},\"Kept\":{},\"FunctionName\":7}" };

	(void)state;
	for (size_t i = 0; i < array_size(documents); i++) {
		struct config *config = NULL;
		struct err e = { 0 };

		assert_int_equal(config_from_document(&options, NULL, documents[i], &config, &e),
			CONFIG_INVALID);
		assert_true(strlen(e.text) > 0);
		assert_null(config);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_lambdas_and_the_options),
		cmocka_unit_test(refuses_and_says_what_is_wrong),
		cmocka_unit_test(limits_themselves_are_allowed),
		cmocka_unit_test(the_environment_has_a_size),
		cmocka_unit_test(tags_are_settings),
		cmocka_unit_test(an_update_makes_another),
		cmocka_unit_test(clients_see_lambdas_members),
		cmocka_unit_test(the_store_gives_back_what_it_got),
		cmocka_unit_test(other_documents_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
