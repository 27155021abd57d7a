/*
 * infer.c - see infer.h.
 */
#include "cli/infer.h"

#include <errno.h>
#include <fnmatch.h>
#include <regex.h>
#include <string.h>

#define NAME_MAX_SIZE 64 /* as the API has it */

/* A file that may hold the handler, as one of the runtimes sees it. */
struct candidate {
	const char *runtime; /* borrowed from the manifest */
	size_t rank;         /* its place in the manifest's list: the lower, the likelier */
	char *path, *handler;
};

struct infer {
	const json_t *runtimes;
	const json_t *only; /* the manifest of the runtime that was given, or NULL */
	bool given;         /* a runtime was given, whether known or not */
	enum package_kind kind;
	struct candidate *candidates;
	size_t count;
};

void inference_done(struct inference *inference)
{
	free(inference->runtime);
	free(inference->handler);
	free(inference->reason);
	*inference = (struct inference){ 0 };
}

struct infer *infer_free(struct infer *infer)
{
	if (!infer)
		return NULL;
	for (size_t i = 0; i < infer->count; i++) {
		free(infer->candidates[i].path);
		free(infer->candidates[i].handler);
	}
	free(infer->candidates);
	free(infer);
	return NULL;
}

static const json_t *deploy_member(const json_t *manifest, const char *member)
{
	return json_object_get(json_object_get(manifest, "deploy"), member);
}

static const char *manifest_name(const json_t *manifest)
{
	return json_string_value(json_object_get(manifest, "name"));
}

const json_t *infer_find_runtime(const json_t *runtimes, const char *runtime)
{
	json_t *manifest, *pattern;
	size_t i, j;

	json_array_foreach(runtimes, i, manifest)
	{
		const char *name = manifest_name(manifest);

		if (name && strcmp(name, runtime) == 0)
			return manifest;
		json_array_foreach(json_object_get(manifest, "identifiers"), j, pattern)
		{
			const char *text = json_string_value(pattern);

			if (text && fnmatch(text, runtime, 0) == 0)
				return manifest;
		}
	}
	return NULL;
}

bool infer_has_suffix(const json_t *suffixes, const char *path)
{
	size_t length = strlen(path), i;
	json_t *item;

	json_array_foreach(suffixes, i, item)
	{
		const char *suffix = json_string_value(item);
		size_t n = json_string_length(item);

		if (suffix && n > 0 && n < length && strcmp(path + length - n, suffix) == 0)
			return true;
	}
	return false;
}

/* The last part of the path without its suffix, with "-" for what a name cannot hold. */
static char *name_from_path(const char *path, bool has_suffix)
{
	const char *slash = strrchr(path, '/'), *start = slash ? slash + 1 : path;
	const char *dot = has_suffix ? strrchr(start, '.') : NULL;
	size_t length = dot && dot > start ? (size_t)(dot - start) : strlen(start);
	char *name = strndup(start, min_of(length, (size_t)NAME_MAX_SIZE));

	for (char *p = name; p && *p; p++) {
		bool is_letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');

		if (!is_letter && !(*p >= '0' && *p <= '9') && *p != '_')
			*p = '-';
	}
	return name;
}

char *infer_name(const char *path, enum package_kind kind)
{
	_cleanup_free_ char *real = kind == PACKAGE_FOLDER ? realpath(path, NULL) : NULL;

	/* Folders such as "." have a name only as real paths. */
	return name_from_path(real ? real : path, kind != PACKAGE_FOLDER);
}

int infer_new(
	const json_t *runtimes, const char *runtime, enum package_kind kind, struct infer **ret)
{
	struct infer *infer = calloc(1, sizeof(*infer));

	if (!infer)
		return -ENOMEM;
	infer->runtimes = runtimes;
	infer->given = runtime != NULL;
	infer->only = runtime ? infer_find_runtime(runtimes, runtime) : NULL;
	infer->kind = kind;
	*ret = infer;
	return 0;
}

/* The place of the path in the manifest's list of files, or -1. */
static ssize_t file_rank(const struct infer *infer, const json_t *manifest, const char *path)
{
	const json_t *files = deploy_member(manifest, "files");
	json_t *pattern;
	size_t i;

	if (infer->given && manifest != infer->only)
		return -1;
	if (infer->kind == PACKAGE_FILE)
		return infer->only || infer_has_suffix(deploy_member(manifest, "suffixes"), path)
			       ? 0
			       : -1;
	json_array_foreach(files, i, pattern)
	{
		const char *text = json_string_value(pattern);

		if (text && fnmatch(text, path, FNM_PERIOD) == 0)
			return (ssize_t)i;
	}
	return -1;
}

static bool wants(void *context, const char *path)
{
	const struct infer *infer = context;
	json_t *manifest;
	size_t i;

	json_array_foreach(infer->runtimes, i, manifest)
	{
		if (file_rank(infer, manifest, path) >= 0)
			return true;
	}
	return false;
}

/* Whether a line of the text matches; the text may hold NULs. */
static bool text_matches(const char *pattern, const char *text, size_t size)
{
	regmatch_t range = { .rm_so = 0, .rm_eo = (regoff_t)size };
	regex_t regex;
	bool found;

	if (regcomp(&regex, pattern, REG_EXTENDED | REG_NEWLINE | REG_NOSUB) != 0)
		return false;
	found = regexec(&regex, text, 1, &range, REG_STARTEND) == 0;
	regfree(&regex);
	return found;
}

/* The handler by a manifest's template: {stem} is the file's name, {class} its path with dots. */
static char *expand_handler(const char *template, const char *path)
{
	_cleanup_buffer_ struct buffer b = { 0 };
	const char *slash = strrchr(path, '/'), *stem = slash ? slash + 1 : path;
	const char *dot = strrchr(stem, '.'), *end = dot ? dot : stem + strlen(stem);

	while (*template) {
		if (strncmp(template, "{stem}", 6) == 0) {
			buffer_append(&b, stem, (size_t)(end - stem));
			template += 6;
		} else if (strncmp(template, "{class}", 7) == 0) {
			for (const char *p = path; p < end; p++)
				buffer_append(&b, *p == '/' ? "." : p, 1);
			template += 7;
		} else {
			buffer_append(&b, template ++, 1);
		}
	}
	return b.failed ? NULL : take_ptr(b.data);
}

/* The template of the first row that applies, or NULL. */
static const char *find_handler(const json_t *manifest, const char *data, size_t size)
{
	json_t *row;
	size_t i;

	json_array_foreach(deploy_member(manifest, "handlers"), i, row)
	{
		const char *when = json_string_value(json_object_get(row, "when"));

		if (!when || text_matches(when, data, size))
			return json_string_value(json_object_get(row, "handler"));
	}
	return NULL;
}

static int add_candidate(struct infer *infer, const char *runtime, size_t rank, const char *path,
	const char *template)
{
	struct candidate *list =
		reallocarray(infer->candidates, infer->count + 1, sizeof(*infer->candidates));

	if (!list)
		return -ENOMEM;
	infer->candidates = list;
	list[infer->count++] = (struct candidate){ .runtime = runtime,
		.rank = rank,
		.path = strdup(path),
		.handler = expand_handler(template, path) };
	return list[infer->count - 1].path && list[infer->count - 1].handler ? 0 : -ENOMEM;
}

static int take(void *context, const char *path, const char *data, size_t size, struct err *e)
{
	struct infer *infer = context;
	json_t *manifest;
	size_t i;

	(void)e;
	json_array_foreach(infer->runtimes, i, manifest)
	{
		ssize_t rank = file_rank(infer, manifest, path);
		const char *template = rank >= 0 ? find_handler(manifest, data, size) : NULL;
		int r = template ? add_candidate(infer, manifest_name(manifest), (size_t)rank, path,
					   template)
				 : 0;

		if (r != 0)
			return r;
	}
	return 0;
}

struct package_visitor infer_visitor(struct infer *infer)
{
	return (struct package_visitor){ .wants = wants, .take = take, .context = infer };
}

/* The best one, and another that is as good, if there is one. */
static void choose(const struct infer *infer, const struct candidate **ret_best,
	const struct candidate **ret_rival)
{
	const struct candidate *best = NULL, *rival = NULL;

	for (size_t i = 0; i < infer->count; i++) {
		const struct candidate *c = &infer->candidates[i];
		bool other = best && strcmp(best->runtime, c->runtime) != 0;

		if (!best || (!other && c->rank < best->rank)) {
			if (rival && best && strcmp(rival->runtime, best->runtime) == 0)
				rival = NULL; /* it was as good as what is no longer the best */
			best = c;
		} else if (other || c->rank == best->rank) {
			rival = c;
		}
	}
	*ret_best = best;
	*ret_rival = rival;
}

static int infer_reason(const struct infer *infer, const struct candidate *best,
	const struct candidate *rival, char **ret)
{
	int n;

	if (best && rival)
		n = asprintf(ret, "both %s and %s may hold the handler", best->path, rival->path);
	else if (infer->kind == PACKAGE_FILE)
		n = asprintf(ret, "no runtime claims a file with this suffix");
	else
		n = asprintf(ret, "it holds none of the files that the runtimes look for");
	if (n < 0)
		*ret = NULL; /* undefined after a failure */
	return n < 0 ? -ENOMEM : 0;
}

int infer_finish(struct infer *infer, struct inference *ret)
{
	_cleanup_inference_ struct inference found = { 0 };
	const struct candidate *best, *rival;
	bool same;
	int r = 0;

	choose(infer, &best, &rival);
	found.nothing = !best;
	same = best && rival && strcmp(best->runtime, rival->runtime) == 0;
	if (best && (!rival || same))
		found.runtime = strdup(best->runtime);
	if (best && !rival)
		found.handler = strdup(best->handler);
	else
		r = infer_reason(infer, best, rival, &found.reason);
	if (r != 0)
		return r;
	*ret = found;
	found = (struct inference){ 0 };
	return 0;
}
