/*
 * outcome.c - how invocations begin and end: their log lines, their metering, their result.
 */
#include "supervisor/schedule/function_state.h"
#include "supervisor/supervisor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define REPLY_TOO_LARGE "Function.ResponseSizeTooLarge"

/* Kept for the client too, when it asked for the tail. */
static void invocation_log(struct invocation *invocation, const char *line, size_t size)
{
	function_log_append(&invocation->function->log, invocation->request_id, line, size);
	if (!invocation->wants_tail)
		return;
	buffer_append(&invocation->tail, line, size);
	buffer_append(&invocation->tail, "\n", 1);
	if (invocation->tail.size > 4 * INVOCATION_TAIL)
		buffer_consume(&invocation->tail, invocation->tail.size - INVOCATION_TAIL);
}

static void PRINTF_LIKE(2, 3)
	invocation_logf(struct invocation *invocation, const char *format, ...)
{
	char line[512];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (n > 0)
		invocation_log(invocation, line, min_of((size_t)n, sizeof(line) - 1));
}

void function_note(struct function *function, const char *format, ...)
{
	char line[1024];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (n > 0)
		function_log_append(
			&function->log, NULL, line, min_of((size_t)n, sizeof(line) - 1));
}

void function_console(
	struct function *function, struct invocation *invocation, const char *line, size_t size)
{
	struct registry *registry = function->registry;
	uint32_t limit = function->current->config->settings.log_bytes;

	if (!invocation) {
		function_log_append(&function->log, NULL, line, size);
		return;
	}
	if (invocation->log_size + size > limit) {
		invocation->log_lost += size;
		registry->log_lost += size;
		return;
	}
	invocation->log_size += size + 1;
	invocation_log(invocation, line, size);
}

static void invocation_hold(struct invocation *invocation, bool on)
{
	if (invocation->isolate)
		isolate_hold(invocation->isolate, on);
}

void invocation_begin(struct invocation *invocation, struct isolate *isolate,
	enum invocation_start start, usec_t launch_us)
{
	invocation->isolate = isolate;
	invocation->hold = invocation_hold;
	invocation->start = start;
	invocation->launch_us = launch_us;
	invocation->started_at = usec_monotonic();
	invocation_logf(invocation, "START RequestId: %s Version: $LATEST", invocation->request_id);
}

/* Lambda's REPORT line, with the launch time behind it. */
static void invocation_report(struct invocation *invocation, usec_t duration, uint64_t billed_ms)
{
	struct config *config = invocation->function->current->config;
	char launch[64] = "";

	if (invocation->log_lost)
		invocation_logf(invocation,
			"polyvisor: %zu bytes of output above the limit of %u were not kept",
			invocation->log_lost, config->settings.log_bytes);
	invocation_logf(invocation, "END RequestId: %s", invocation->request_id);
	if (invocation->start != START_WARM)
		snprintf(launch, sizeof(launch), "\tInit Duration: %.2f ms",
			(double)invocation->launch_us / USEC_PER_MSEC);
	invocation_logf(invocation,
		"REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %llu ms\t"
		"Memory Size: %u MB\tMax Memory Used: %llu MB\tStart: %s%s",
		invocation->request_id, (double)duration / USEC_PER_MSEC,
		(unsigned long long)billed_ms, config->memory_mb,
		(unsigned long long)(invocation->memory_kb + 1023) / 1024,
		invocation_start_name(invocation->start), launch);
}

static void invocation_meter(struct invocation *invocation)
{
	struct function *function = invocation->function;
	usec_t duration = invocation->ended_at - invocation->started_at;
	uint64_t billed_ms = (duration + USEC_PER_MSEC - 1) / USEC_PER_MSEC;

	function->stats.invocations++;
	function->stats.billed_ms += billed_ms;
	function->stats.gb_seconds +=
		(double)function->current->config->memory_mb / 1024 * (double)billed_ms / 1000;
	histogram_add(&function->duration, duration);
	invocation_report(invocation, duration, billed_ms);
}

/* The only place where an invocation leaves the scheduler. */
static void invocation_finish(struct invocation *invocation, enum invocation_outcome outcome)
{
	invocation->outcome = outcome;
	invocation->ended_at = usec_monotonic();
	if (invocation->started_at)
		invocation_meter(invocation);
	if (outcome == INVOCATION_FUNCTION_ERROR) {
		invocation->function->stats.errors++;
		invocation->function->stats.replies_too_large +=
			!strcmp(invocation->error_type, REPLY_TOO_LARGE);
	}
	if (outcome == INVOCATION_THROTTLED)
		invocation->function->stats.throttles++;
	if (invocation->tail.size > INVOCATION_TAIL)
		buffer_consume(&invocation->tail, invocation->tail.size - INVOCATION_TAIL);
	invocation->isolate = NULL;
	invocation->done(invocation);
}

static void invocation_set_type(struct invocation *invocation, const char *type)
{
	snprintf(invocation->error_type, sizeof(invocation->error_type), "%s",
		type && *type ? type : "Unknown");
}

void invocation_finish_json(
	struct invocation *invocation, const char *type, const char *json, size_t size)
{
	invocation_set_type(invocation, type);
	buffer_append(&invocation->reply, json, size);
	invocation_finish(invocation, INVOCATION_FUNCTION_ERROR);
}

/* The guest library checks this first; here it is enforced. */
void invocation_finish_too_large(struct invocation *invocation)
{
	char message[160];

	snprintf(message, sizeof(message),
		"Response payload size exceeded maximum allowed payload size (%u bytes).",
		invocation->function->current->config->settings.reply_bytes);
	invocation_finish_error(invocation, REPLY_TOO_LARGE, message);
}

void invocation_finish_reply(struct invocation *invocation, const struct isolate_reply *reply)
{
	uint32_t limit = invocation->function->current->config->settings.reply_bytes;

	invocation->memory_kb = reply->memory_kb;
	if (reply->failed) {
		invocation_finish_json(
			invocation, reply->error_type, reply->payload, reply->payload_size);
		return;
	}
	if (reply->payload_size > limit) {
		invocation_finish_too_large(invocation);
		return;
	}
	if (reply->content_type)
		invocation->content_type = strdup(reply->content_type);
	buffer_append(&invocation->reply, reply->payload, reply->payload_size);
	invocation_finish(invocation, INVOCATION_OK);
}

void invocation_finish_error(struct invocation *invocation, const char *type, const char *message)
{
	_cleanup_buffer_ struct buffer json = { 0 };

	buffer_append_string(&json, "{\"errorType\":");
	buffer_append_json(&json, type, strlen(type));
	buffer_append_string(&json, ",\"errorMessage\":");
	buffer_append_json(&json, message, strlen(message));
	buffer_append_string(&json, "}");
	if (invocation->started_at)
		invocation_logf(invocation, "%s", message);
	else
		function_log_append(&invocation->function->log, invocation->request_id, message,
			strlen(message));
	invocation_finish_json(
		invocation, type, json.data ? json.data : "{}", json.data ? json.size : 2);
}

void invocation_finish_refused(struct invocation *invocation, enum invocation_outcome outcome,
	const char *type, const char *message)
{
	invocation_set_type(invocation, type);
	snprintf(invocation->message, sizeof(invocation->message), "%s", message);
	invocation_finish(invocation, outcome);
}
