/*
 * compile.c - see compile.h.
 */
#include "cli/compile.h"
#include "base/buffer.h"
#include "cli/infer.h"
#include "cli/languages.h"
#include "cli/outcome.h"
#include "cli/temporary.h"

#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MAX 32

extern char **environ;

void compiled_done(struct compiled *compiled)
{
	temporary_remove(take_ptr(compiled->folder));
}

/* The values of the placeholders of a command. */
struct placeholders {
	const char *file, *output, *runtime;
};

static char *expand_word(const char *word, const struct placeholders *values)
{
	const struct {
		const char *name, *value;
	} rows[] = {
		{ "{file}", values->file },
		{ "{output}", values->output },
		{ "{runtime}", values->runtime },
	};
	_cleanup_buffer_ struct buffer b = { 0 };

	while (*word) {
		size_t i = 0;

		while (i < array_size(rows) &&
			strncmp(word, rows[i].name, strlen(rows[i].name)) != 0)
			i++;
		if (i < array_size(rows)) {
			buffer_append_string(&b, rows[i].value);
			word += strlen(rows[i].name);
		} else {
			buffer_append(&b, word++, 1);
		}
	}
	return b.failed ? NULL : take_ptr(b.data);
}

static int run_and_wait(char *const *words, const char *path, struct err *e)
{
	pid_t pid;
	int status, r = posix_spawnp(&pid, words[0], NULL, NULL, words, environ);

	if (r != 0)
		return err_set(e, -r,
			"%s must be compiled before it can be deployed, and %s cannot be started "
			"(%s): install it, or deploy what it makes",
			path, words[0], strerror(r));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return err_set(e, OUTCOME_REFUSED,
		"%s was not deployed because %s did not compile it: correct what it says above",
		path, words[0]);
}

static int compile(const json_t *command, const struct placeholders *values, struct err *e)
{
	char *words[WORDS_MAX + 1] = { 0 };
	size_t i, count = 0;
	json_t *item;
	int r = 0;

	json_array_foreach(command, i, item)
	{
		const char *word = json_string_value(item);

		if (count == WORDS_MAX || !word || !(words[count] = expand_word(word, values))) {
			r = -EINVAL;
			break;
		}
		count++;
	}
	if (r == 0)
		r = count > 0 ? run_and_wait(words, values->file, e) : -EINVAL;
	for (i = 0; i < count; i++)
		free(words[i]);
	return r;
}

int compile_if_needed(const char *path, struct compiled *ret, struct err *e)
{
	json_t *languages = NULL, *language;
	size_t i;
	int r = 0;

	/* Without the folders nothing needs to be compiled that the supervisor could not say. */
	if (languages_load_all(&languages, NULL) != 0)
		return 0;
	json_array_foreach(languages, i, language)
	{
		const json_t *rule =
			json_object_get(json_object_get(language, "deploy"), "compile");
		struct placeholders values = { .file = path,
			.runtime = json_string_value(json_object_get(language, "folder")) };

		if (!infer_has_suffix(json_object_get(rule, "suffixes"), path))
			continue;
		r = temporary_make("polyvisor-compile-", &ret->folder, e);
		values.output = ret->folder;
		if (r == 0)
			r = compile(json_object_get(rule, "command"), &values, e);
		break;
	}
	json_decref(languages);
	return r;
}
