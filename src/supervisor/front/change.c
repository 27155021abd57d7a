/*
 * change.c - see change.h. A change whose request has gone (only at the end of the front, which
 * waits for its workers first) cannot happen: a request with a job is suspended.
 */
#include "supervisor/front/change.h"

#include "base/base64.h"
#include "base/log.h"
#include "supervisor/front/deploy_body.h"
#include "supervisor/front/reply.h"
#include "supervisor/schedule/function.h"
#include "supervisor/store/store.h"

#include <errno.h>
#include <string.h>

#define READ_INLINE_MAX (32 * 1024) /* larger bodies take more than a moment to parse */

static struct supervisor *change_supervisor(const struct change *change)
{
	return change->request->front->supervisor;
}

static struct change *change_new(struct request *request, change_fn next)
{
	struct change *change = calloc(1, sizeof(*change));

	if (!change) {
		reply_error(request, API_UNAVAILABLE, "Out of memory.");
		return NULL;
	}
	change->request = request;
	change->next = next;
	list_init(&change->link);
	request->change = change;
	return change;
}

struct change *change_free(struct change *change)
{
	if (!change)
		return NULL;
	if (change->pinned)
		code_unpin(store_code(change_supervisor(change)->store), change->digest);
	list_remove(&change->link);
	json_decref(change->document);
	config_unref(change->config);
	free(change->stored);
	free(change);
	return NULL;
}

/* Answers with what a step came to, unless it succeeded. */
static void change_step_done(struct job *job)
{
	struct change *change = container_of(job, struct change, job);

	if (change->result == 0)
		change->next(change);
	else if (change->result > 0)
		reply_error(change->request, API_INVALID_PARAMETER, "%s", change->err.text);
	else
		reply_fault(change->request, change->result, &change->err);
}

static int change_parse(struct change *change, const char *text, size_t size)
{
	json_error_t error;

	change->document = json_loadb(text, size, 0, &error);
	if (change->document && json_is_object(change->document))
		return 0;
	err_set(&change->err, -EINVAL, "Could not parse request body into json: %s.",
		change->document ? "it is not an object" : error.text);
	return 1;
}

static void change_read_work(struct job *job)
{
	struct change *change = container_of(job, struct change, job);
	_cleanup_buffer_ struct buffer rest = { 0 };
	struct buffer *body = &change->request->body;
	size_t at;

	if (body->size == 0) {
		change->document = json_object();
		change->result = change->document ? 0 : -ENOMEM;
		return;
	}
	if (!deploy_body_split(body->data, body->size, &at, &change->archive_size, &rest)) {
		change->result = change_parse(change, body->data, body->size);
		return;
	}
	change->archive = body->data + at;
	change->result = rest.failed ? -ENOMEM : change_parse(change, rest.data, rest.size);
}

static void change_read_done(struct job *job)
{
	struct change *change = container_of(job, struct change, job);

	if (change->result > 0)
		reply_error(change->request, API_INVALID_CONTENT, "%s", change->err.text);
	else
		change_step_done(job);
}

void change_read(struct request *request, change_fn next)
{
	struct change *change = change_new(request, next);

	if (!change)
		return;
	change->job.work = change_read_work;
	change->job.done = change_read_done;
	if (request->body.size > READ_INLINE_MAX) {
		worker_submit(request->front->deployer, &change->job);
		return;
	}
	change_read_work(&change->job);
	change_read_done(&change->job);
}

void change_begin(struct request *request, change_fn next)
{
	struct change *change = change_new(request, next);

	if (change)
		next(change);
}

#define ARCHIVE_REFUSED                                                                            \
	"Could not unzip uploaded file. Please check your file, then try to upload again: "

static int change_decode(struct change *change)
{
	char *archive = change->archive;
	size_t size = deploy_body_unescape(archive, change->archive_size);

	if (base64_decode(archive, size, archive, &change->archive_size) < 0) {
		err_set(&change->err, -EINVAL, ARCHIVE_REFUSED "it is not in base64.");
		return 1;
	}
	if (change->archive_size > CODE_ARCHIVE_MAX) {
		err_set(&change->err, -EINVAL,
			ARCHIVE_REFUSED "it has %zu bytes, more than the limit of %d.",
			change->archive_size, CODE_ARCHIVE_MAX);
		return 1;
	}
	return 0;
}

static void change_code_work(struct job *job)
{
	struct change *change = container_of(job, struct change, job);
	struct code *code = store_code(change_supervisor(change)->store);
	struct err reason = { 0 };
	int r = change_decode(change);

	if (r == 0) {
		r = code_put(code, change->archive, change->archive_size, change->digest, &reason);
		change->pinned = r == 0;
		if (r > 0)
			err_set(&change->err, -EINVAL, ARCHIVE_REFUSED "%s", reason.text);
		else if (r < 0)
			change->err = reason;
	}
	/* The archive is not needed any more, and it is by far the largest part of the request. */
	buffer_done(&change->request->body);
	change->archive = NULL;
	change->result = r;
}

void change_code(struct change *change, change_fn next)
{
	change->next = next;
	change->job.work = change_code_work;
	change->job.done = change_step_done;
	worker_submit(change->request->front->deployer, &change->job);
}

static bool is_changing(const struct front *front, const char *name)
{
	const struct change *other;

	list_for_each (other, &front->changing, link)
		if (strcmp(other->name, name) == 0)
			return true;
	return false;
}

static void change_commit_work(struct job *job)
{
	struct change *change = container_of(job, struct change, job);
	struct store *store = change_supervisor(change)->store;

	change->result = change->config ? store_put(store, change->name, change->stored,
						  change->config->code_sha256, &change->err)
					: store_delete(store, change->name, &change->err);
}

/* The pin of the stored function passes from the code that it had to the code that it has. */
static void change_move_pin(struct change *change, const struct config *old)
{
	struct code *code = store_code(change_supervisor(change)->store);

	if (old && old->code_sha256 && (!change->config || change->pinned))
		code_unpin(code, old->code_sha256);
	change->pinned = false;
}

static void change_commit_done(struct job *job)
{
	struct change *change = container_of(job, struct change, job);
	struct registry *registry = change_supervisor(change)->registry;
	struct function *function = registry_find(registry, change->name);

	list_remove(&change->link);
	if (change->result == 0) {
		change_move_pin(change, function ? function_config(function) : NULL);
		if (change->config)
			change->result = registry_put(registry, change->config);
		else
			registry_remove(registry, change->name);
		front_collect_code(change->request->front);
	}
	change_step_done(job);
}

void change_commit(struct change *change, change_fn next)
{
	struct front *front = change->request->front;

	if (change->config)
		strcpy(change->name, change->config->name);
	if (is_changing(front, change->name)) {
		reply_error(change->request, API_CONFLICT,
			"The operation cannot be performed at this time. An update is in progress "
			"for resource: " CONFIG_ARN_PREFIX "%s",
			change->name);
		return;
	}
	if (change->config && !(change->stored = config_to_document(change->config))) {
		reply_error(change->request, API_UNAVAILABLE, "Out of memory.");
		return;
	}
	list_append(&front->changing, &change->link);
	change->next = next;
	change->job.work = change_commit_work;
	change->job.done = change_commit_done;
	worker_submit(front->supervisor->worker, &change->job);
}
