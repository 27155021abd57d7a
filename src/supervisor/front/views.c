/*
 * views.c - what operators and the command line read: health, metrics, runtimes, statistics, logs.
 */
#include "supervisor/front/api.h"
#include "supervisor/front/handlers.h"
#include "supervisor/front/stream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LOG_PART_MAX (1024 * 1024)
#define LOG_POLL_INTERVAL (100 * USEC_PER_MSEC)
#define LOG_POLL_LIMIT (20 * USEC_PER_SEC)

void view_health(struct request *request)
{
	struct buffer body = { 0 };

	buffer_append_string(&body, "ok\n");
	reply_body(request, "text/plain", &body);
	reply_send(request, 200);
}

static void reply_rendered(struct request *request, const char *content_type,
	int (*render)(struct supervisor *supervisor, struct buffer *ret))
{
	struct buffer body = { 0 };

	if (render(request->front->supervisor, &body) < 0)
		body.failed = true;
	reply_body(request, content_type, &body);
	reply_send(request, 200);
}

void view_metrics(struct request *request)
{
	reply_rendered(request, "text/plain; version=0.0.4; charset=utf-8",
		request->front->calls.metrics_render);
}

void view_runtimes(struct request *request)
{
	reply_rendered(request, "application/json", request->front->calls.runtimes_render);
}

/* Statistics of many functions are rendered as the client reads them: after which name to go on. */
struct stats_cursor {
	struct supervisor *supervisor;
	char after[CONFIG_NAME_MAX + 1];
	struct buffer pending;
	size_t taken;
	bool started, ended;
};

static void append_stats(struct buffer *b, struct function *function)
{
	const struct config *config = function_config(function);
	struct function_stats s;

	function_get_stats(function, &s);
	buffer_printf(b, "{\"name\":\"%s\",\"runtime\":", config->name);
	buffer_append_json(b, config->runtime, strlen(config->runtime));
	buffer_printf(b,
		",\"invocations\":%llu,\"errors\":%llu,\"throttles\":%llu,\"timeouts\":%llu,"
		"\"billed_ms\":%llu,\"gb_seconds\":%.6f,\"isolates\":{\"idle\":%u,\"busy\":%u,"
		"\"launching\":%u},\"waiting\":%u,\"template_ready\":%s,\"launches\":%llu,"
		"\"last_launch_us\":%llu,\"out_of_memory\":%llu,\"settings\":",
		(unsigned long long)s.invocations, (unsigned long long)s.errors,
		(unsigned long long)s.throttles, (unsigned long long)s.timeouts,
		(unsigned long long)s.billed_ms, s.gb_seconds, s.isolates_idle, s.isolates_busy,
		s.isolates_launching, s.waiting, s.template_ready ? "true" : "false",
		(unsigned long long)s.launches, (unsigned long long)s.last_launch_us,
		(unsigned long long)s.out_of_memory);
	config_append_settings(config, b);
	buffer_append_string(b, ",\"note\":");
	buffer_append_json(b, s.note, strlen(s.note));
	buffer_append_string(b, "}");
}

static void render_next(struct stats_cursor *cursor)
{
	struct registry *registry = cursor->supervisor->registry;
	struct function *function = registry_next(registry, *cursor->after ? cursor->after : NULL);

	cursor->pending.size = 0;
	cursor->taken = 0;
	if (!cursor->started)
		buffer_append_string(&cursor->pending, "{\"functions\":[");
	if (!function) {
		buffer_append_string(&cursor->pending, "]}\n");
		cursor->ended = true;
		return;
	}
	if (cursor->started)
		buffer_append_string(&cursor->pending, ",\n");
	cursor->started = true;
	append_stats(&cursor->pending, function);
	snprintf(cursor->after, sizeof(cursor->after), "%s", function_config(function)->name);
}

static ssize_t stats_read(void *data, uint64_t position, char *out, size_t max)
{
	struct stats_cursor *cursor = data;
	size_t used = 0;

	(void)position;
	while (used < max) {
		size_t size = min_of(cursor->pending.size - cursor->taken, max - used);

		if (size == 0 && cursor->ended)
			break;
		if (size == 0) {
			render_next(cursor);
			if (cursor->pending.failed)
				return MHD_CONTENT_READER_END_WITH_ERROR;
			continue;
		}
		memcpy(out + used, cursor->pending.data + cursor->taken, size);
		cursor->taken += size;
		used += size;
	}
	return used ? (ssize_t)used : MHD_CONTENT_READER_END_OF_STREAM;
}

static void stats_free(void *data)
{
	struct stats_cursor *cursor = data;

	buffer_done(&cursor->pending);
	free(cursor);
}

#define STATS_BLOCK (16 * 1024) /* some fifty functions in one turn of the loop */

void view_stats(struct request *request)
{
	struct stats_cursor *cursor = calloc(1, sizeof(*cursor));

	if (!cursor) {
		reply_error(request, API_UNAVAILABLE, "Out of memory.");
		return;
	}
	cursor->supervisor = request->front->supervisor;
	request->response = MHD_create_response_from_callback(
		MHD_SIZE_UNKNOWN, STATS_BLOCK, stats_read, cursor, stats_free);
	reply_header(request, "Content-Type", "application/json");
	reply_header(request, "x-amzn-RequestId", request_id(request));
	reply_send(request, 200);
}

static bool number_parameter(const struct request *request, const char *name, uint64_t *ret)
{
	char text[24];
	const char *value = request_parameter(request, name, text, sizeof(text));
	char *end;

	if (!value || *value < '0' || *value > '9')
		return false;
	*ret = strtoull(value, &end, 10);
	return !*end;
}

/* Reads what there is; a client that follows is answered when there is something, or after a time.
 */
struct log_query {
	uint64_t position, last, wait;
	usec_t until;
};

static void log_poll(struct loop_timer *timer);

static bool log_wait(struct request *request, const struct log_query *query)
{
	usec_t now = usec_monotonic();

	return query->wait && now < query->until && !request->front->draining &&
	       loop_timer_set(request->front->supervisor->loop, &request->timer,
		       now + LOG_POLL_INTERVAL, log_poll) == 0;
}

static void log_answer(struct request *request)
{
	struct log_query *query = request->state_of_handler;
	struct function *function = api_find(request);
	struct buffer text = { 0 };

	if (!function)
		return;
	if (function_read_log(function, &query->position, query->last, LOG_PART_MAX, &text) < 0)
		text.failed = true;
	query->last = 0;
	if (text.size == 0 && !text.failed && log_wait(request, query))
		return;
	reply_body(request, "text/plain; charset=utf-8", &text);
	reply_header_format(
		request, "X-Polyvisor-Position", "%llu", (unsigned long long)query->position);
	reply_send(request, 200);
}

static void log_poll(struct loop_timer *timer)
{
	log_answer(container_of(timer, struct request, timer));
}

static void log_ended(struct request *request)
{
	free(request->state_of_handler);
}

void view_logs(struct request *request)
{
	struct log_query *query = calloc(1, sizeof(*query));

	if (!query) {
		reply_error(request, API_UNAVAILABLE, "Out of memory.");
		return;
	}
	request->state_of_handler = query;
	request->ended = log_ended;
	number_parameter(request, "position", &query->position);
	number_parameter(request, "last", &query->last);
	number_parameter(request, "wait", &query->wait);
	query->last = min_of(query->last, (uint64_t)LOG_PART_MAX);
	query->until = usec_monotonic() + LOG_POLL_LIMIT;
	log_answer(request);
}
