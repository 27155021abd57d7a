/*
 * compile.c - see compile.h.
 */
#include "cli/compile.h"
#include "base/buffer.h"
#include "cli/infer.h"
#include "cli/languages.h"
#include "cli/outcome.h"
#include "cli/package.h"
#include "cli/temporary.h"

#include <errno.h>
#include <fts.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

void compiled_done(struct compiled *compiled)
{
	temporary_remove(take_ptr(compiled->folder));
}

/* The words of a command, as posix_spawn() takes them, or a list of files. */
struct words {
	char **list;
	size_t count;
};

static void words_done(struct words *words)
{
	for (size_t i = 0; i < words->count; i++)
		free(words->list[i]);
	free(words->list);
}

#define _cleanup_words_ _cleanup_(words_done)

/* Takes the word over, which may be NULL when memory was out. */
static int words_add(struct words *words, char *word)
{
	char **list = word ? reallocarray(words->list, words->count + 2, sizeof(*list)) : NULL;

	if (!list) {
		free(word);
		return -ENOMEM;
	}
	words->list = list;
	list[words->count++] = word;
	list[words->count] = NULL;
	return 0;
}

/* The values of the placeholders of a command. A word that is "{file}" becomes one for each file. */
struct placeholders {
	const struct words *files;
	const char *folder, *output, *runtime;
};

static char *expand_word(const char *word, const char *file, const struct placeholders *values)
{
	const struct {
		const char *name, *value;
	} rows[] = {
		{ "{file}", file },
		{ "{folder}", values->folder },
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

static int expand(struct words *words, const char *word, const struct placeholders *values)
{
	size_t times = strcmp(word, "{file}") == 0 ? values->files->count : 1;
	int r = 0;

	for (size_t i = 0; i < times && r == 0; i++)
		r = words_add(words, expand_word(word, values->files->list[i], values));
	return r;
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

/* `path` is what the user named: the file, or the folder that the files are in. */
static int compile(
	const json_t *command, const struct placeholders *values, const char *path, struct err *e)
{
	_cleanup_words_ struct words words = { 0 };
	json_t *item;
	size_t i;
	int r = 0;

	json_array_foreach(command, i, item)
	{
		const char *word = json_string_value(item);

		r = word ? expand(&words, word, values) : -EINVAL;
		if (r != 0)
			return r;
	}
	return words.count > 0 ? run_and_wait(words.list, path, e) : -EINVAL;
}

/* Files with one of the suffixes, at any depth, in order of name. */
static int find_sources(const char *path, const json_t *suffixes, struct words *ret)
{
	char *const paths[] = { (char *)path, NULL };
	FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, package_compare_names);
	FTSENT *found;
	int r = 0;

	if (!fts)
		return -errno;
	while (r == 0 && (found = fts_read(fts))) {
		if (found->fts_info == FTS_D && package_skips(found))
			fts_set(fts, found, FTS_SKIP);
		else if (found->fts_info == FTS_F && infer_has_suffix(suffixes, found->fts_path))
			r = words_add(ret, strdup(found->fts_path));
	}
	fts_close(fts);
	return r;
}

static int find_files(const char *path, bool is_folder, const json_t *suffixes, struct words *ret)
{
	if (is_folder)
		return find_sources(path, suffixes, ret);
	return infer_has_suffix(suffixes, path) ? words_add(ret, strdup(path)) : 0;
}

/* Compiles what this language says it can. Nothing is made when there is nothing of it. */
static int compile_language(const json_t *language, const char *path, bool is_folder,
	struct compiled *ret, struct err *e)
{
	const json_t *rule = json_object_get(json_object_get(language, "deploy"), "compile");
	_cleanup_words_ struct words files = { 0 };
	struct placeholders values = { .files = &files,
		.runtime = json_string_value(json_object_get(language, "folder")) };
	int r = find_files(path, is_folder, json_object_get(rule, "suffixes"), &files);

	if (r != 0 || files.count == 0)
		return r;
	r = temporary_make("polyvisor-compile-", &ret->folder, e);
	values.output = ret->folder;
	values.folder = is_folder ? path : ret->folder;
	return r == 0 ? compile(json_object_get(rule, "command"), &values, path, e) : r;
}

int compile_if_needed(
	const char *path, bool is_folder, const char *runtime, struct compiled *ret, struct err *e)
{
	json_t *languages = NULL, *language;
	size_t i;
	int r = 0;

	/* Without the folders nothing needs to be compiled that the supervisor could not say. */
	if (languages_load_all(&languages, NULL) != 0)
		return 0;
	json_array_foreach(languages, i, language)
	{
		if (runtime && infer_find_runtime(languages, runtime) != language)
			continue;
		r = compile_language(language, path, is_folder, ret, e);
		if (r != 0 || ret->folder)
			break;
	}
	json_decref(languages);
	return r;
}
