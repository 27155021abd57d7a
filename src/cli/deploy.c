/*
 * deploy.c - see deploy.h.
 */
#include "cli/deploy.h"
#include "cli/compile.h"
#include "cli/deploy_request.h"
#include "cli/outcome.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void deploy_done(struct deploy *d)
{
	free(d->name);
	free(d->object);
	inference_done(&d->inference);
	package_done(&d->package);
	json_decref(d->existing);
	json_decref(d->result);
}

static int read_package(struct deploy *d, const char *path, enum package_kind kind,
	const char *compiled, const json_t *runtimes, struct err *e)
{
	_cleanup_(infer_free_cleanup) struct infer *infer = NULL;
	struct package_visitor visitor;
	int r = infer_new(runtimes, d->options->runtime, kind, &infer);

	if (r != 0)
		return r;
	visitor = infer_visitor(infer);
	r = package_read(path, kind, compiled, &visitor, &d->package, e);
	return r != 0 ? r : infer_finish(infer, &d->inference);
}

static int set_name(struct deploy *d, const char *path, enum package_kind kind)
{
	d->name = d->options->name ? strdup(d->options->name) : infer_name(path, kind);
	if (!d->name)
		return -ENOMEM;
	if (asprintf(&d->object, "function %s", d->name) < 0) {
		d->object = NULL; /* undefined after a failure */
		return -ENOMEM;
	}
	return 0;
}

/* A source file is deployed as what it compiles to. */
static int read_file(struct deploy *d, const char *path, const json_t *runtimes, struct err *e)
{
	_cleanup_compiled_ struct compiled compiled = { 0 };
	int r = compile_if_needed(path, false, d->options->runtime, &compiled, e);

	if (r != 0)
		return r;
	return compiled.folder ? read_package(d, compiled.folder, PACKAGE_FOLDER, NULL, runtimes, e)
			       : read_package(d, path, PACKAGE_FILE, NULL, runtimes, e);
}

/* A folder in which nothing may hold a handler, and no handler was given, may have sources of one:
 * then it is deployed with what they compile to. */
static int read_folder(struct deploy *d, const char *path, const json_t *runtimes, struct err *e)
{
	_cleanup_compiled_ struct compiled compiled = { 0 };
	int r = read_package(d, path, PACKAGE_FOLDER, NULL, runtimes, e);

	if (r == 0 && d->inference.nothing && !d->options->handler)
		r = compile_if_needed(path, true, d->options->runtime, &compiled, e);
	if (r != 0 || !compiled.folder)
		return r;
	inference_done(&d->inference);
	package_done(&d->package);
	return read_package(d, path, PACKAGE_FOLDER, compiled.folder, runtimes, e);
}

/* Everything that can be done before the supervisor is asked to change anything. */
static int prepare(struct cli *cli, struct deploy *d, const char *path, struct err *e)
{
	_cleanup_json_ json_t *runtimes = NULL;
	enum package_kind kind;
	int r = package_find_kind(path, &kind, e);

	if (r == 0)
		r = set_name(d, path, kind);
	if (r == 0)
		r = cli_get_runtimes(cli, &runtimes, e);
	if (r != 0)
		return r;
	if (kind == PACKAGE_FILE)
		r = read_file(d, path, runtimes, e);
	else if (kind == PACKAGE_FOLDER)
		r = read_folder(d, path, runtimes, e);
	else
		r = read_package(d, path, kind, NULL, runtimes, e);
	d->runtime = d->options->runtime ? d->options->runtime : d->inference.runtime;
	d->handler = d->options->handler ? d->options->handler : d->inference.handler;
	return r;
}

static int find_existing(struct deploy *d, struct err *e)
{
	_cleanup_buffer_ struct buffer path = { 0 };
	struct request request = { .method = "GET", .object = d->object };
	int r;

	cli_function_path(&path, d->name, "");
	if (path.failed)
		return -ENOMEM;
	request.path = path.data;
	r = client_send_for_json(d->client, &request, &d->existing, e);
	if (r != OUTCOME_NOT_FOUND)
		return r;
	*e = (struct err){ 0 };
	return 0;
}

/* An existing function keeps what cannot be inferred, a new one must have it. */
static int check_known(const struct deploy *d, const char *path, struct err *e)
{
	const char *missing = d->runtime ? "handler" : "runtime";

	if (d->existing || (d->runtime && d->handler))
		return 0;
	return err_set(e, OUTCOME_USAGE, "the %s of %s cannot be told: %s; give it with --%s",
		missing, path, d->inference.reason ? d->inference.reason : "nothing in it says so",
		missing);
}

int deploy_path(struct cli *cli, struct deploy *d, const char *path, struct err *e)
{
	int r = cli_client(cli, &d->client, e);

	if (r == 0)
		r = prepare(cli, d, path, e);
	if (r == 0)
		r = find_existing(d, e);
	if (r == 0)
		r = check_known(d, path, e);
	if (r != 0)
		return r;
	return d->existing ? deploy_update(d, &d->result, e) : deploy_create(d, &d->result, e);
}
