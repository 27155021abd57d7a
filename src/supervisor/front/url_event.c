/*
 * url_event.c - see url_event.h.
 */
#include "supervisor/front/url_event.h"

#include "base/base64.h"
#include "base/utf8.h"
#include "supervisor/front/uri.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define PAIRS_MAX 256

/* Names with several values are written once, with all of them joined by commas. */
struct pair {
	char *name, *value; /* value without its escapes */
	bool written;
};

struct pairs {
	struct pair items[PAIRS_MAX];
	size_t count;
	bool failed, overflow;
};

static void pairs_done(struct pairs *pairs)
{
	for (size_t i = 0; i < pairs->count; i++) {
		free(pairs->items[i].name);
		free(pairs->items[i].value);
	}
}

/* Takes both strings over. */
static void pairs_add(struct pairs *pairs, char *name, char *value)
{
	pairs->failed |= !name || !value;
	pairs->overflow |= pairs->count == PAIRS_MAX;
	if (pairs->failed || pairs->overflow) {
		free(name);
		free(value);
		return;
	}
	pairs->items[pairs->count++] = (struct pair){ .name = name, .value = value };
}

static void append_string(struct buffer *b, const char *text)
{
	buffer_append_json(b, text ? text : "", text ? strlen(text) : 0);
}

/* The value of items[at] and of every later one with its name. */
static void append_joined(struct buffer *b, struct pairs *pairs, size_t at)
{
	_cleanup_buffer_ struct buffer value = { 0 };

	buffer_append_string(&value, pairs->items[at].value);
	for (size_t i = at + 1; i < pairs->count; i++) {
		if (pairs->items[i].written ||
			strcmp(pairs->items[i].name, pairs->items[at].name) != 0)
			continue;
		pairs->items[i].written = true;
		buffer_printf(&value, ",%s", pairs->items[i].value);
	}
	b->failed |= value.failed;
	append_string(b, value.data);
}

static void append_pairs(struct buffer *b, struct pairs *pairs)
{
	const char *separator = "";

	buffer_append_string(b, "{");
	for (size_t i = 0; i < pairs->count; i++) {
		if (pairs->items[i].written)
			continue;
		buffer_append_string(b, separator);
		append_string(b, pairs->items[i].name);
		buffer_append_string(b, ":");
		append_joined(b, pairs, i);
		separator = ",";
	}
	buffer_append_string(b, "}");
	b->failed |= pairs->failed;
}

static char *lower_copy(const char *text)
{
	char *copy = strdup(text);

	for (char *p = copy; p && *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return copy;
}

/* Cookies have a member of their own. */
static enum MHD_Result collect_header(
	void *data, enum MHD_ValueKind kind, const char *name, const char *value)
{
	(void)kind;
	if (strcasecmp(name, "Cookie") != 0)
		pairs_add(data, lower_copy(name), strdup(value ? value : ""));
	return MHD_YES;
}

static void append_cookies(struct buffer *b, const char *cookies)
{
	const char *separator = "";

	if (!cookies)
		return;
	buffer_append_string(b, ",\"cookies\":[");
	for (const char *p = cookies; *p;) {
		size_t size;

		p += strspn(p, "; ");
		size = strcspn(p, ";");
		if (size > 0) {
			buffer_append_string(b, separator);
			buffer_append_json(b, p, size);
			separator = ",";
		}
		p += size;
	}
	buffer_append_string(b, "]");
}

static char *decoded_copy(const char *text, size_t size)
{
	char *copy = malloc(size + 1);

	/* What is not a legal escape is passed as it is, like Lambda does. */
	if (copy && uri_decode(text, size, true, copy, size + 1) < 0) {
		memcpy(copy, text, size);
		copy[size] = '\0';
	}
	return copy;
}

static void append_query(struct buffer *b, const char *query, struct pairs *pairs)
{
	struct uri_pair pair;

	while (uri_next_pair(&query, &pair))
		pairs_add(pairs, decoded_copy(pair.name, pair.name_size),
			decoded_copy(pair.value, pair.value_size));
	if (pairs->count == 0)
		return;
	buffer_append_string(b, ",\"queryStringParameters\":");
	append_pairs(b, pairs);
}

static void client_address(const struct request *request, char *ret, size_t size)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(request->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *address = info ? info->client_addr : NULL;

	snprintf(ret, size, "127.0.0.1");
	if (address && address->sa_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr,
			ret, (socklen_t)size);
	else if (address && address->sa_family == AF_INET6)
		inet_ntop(AF_INET6,
			&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, ret,
			(socklen_t)size);
}

static void append_time(struct buffer *b)
{
	usec_t now = usec_realtime();
	time_t seconds = (time_t)(now / USEC_PER_SEC);
	char text[64];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%d/%b/%Y:%H:%M:%S +0000", &tm);
	buffer_printf(b, ",\"time\":\"%s\",\"timeEpoch\":%llu", text,
		(unsigned long long)(now / USEC_PER_MSEC));
}

static void append_http(struct buffer *b, const struct request *request)
{
	char address[INET6_ADDRSTRLEN];

	client_address(request, address, sizeof(address));
	buffer_append_string(b, ",\"http\":{\"method\":");
	append_string(b, request->method);
	buffer_append_string(b, ",\"path\":");
	append_string(b, request->rest);
	buffer_append_string(b, ",\"protocol\":");
	append_string(b, request->version);
	buffer_printf(b, ",\"sourceIp\":\"%s\",\"userAgent\":", address);
	append_string(b, request_header(request, "User-Agent"));
	buffer_append_string(b, "}");
}

static void append_context(struct buffer *b, struct request *request)
{
	const char *host = request_header(request, "Host");
	size_t size = host ? strcspn(host, ":") : 0;

	buffer_append_string(b, ",\"requestContext\":{\"accountId\":\"anonymous\",\"apiId\":");
	append_string(b, request->capture);
	buffer_append_string(b, ",\"domainName\":");
	buffer_append_json(b, host ? host : "", size);
	buffer_append_string(b, ",\"domainPrefix\":");
	append_string(b, request->capture);
	append_http(b, request);
	buffer_printf(b, ",\"requestId\":\"%s\",\"routeKey\":\"$default\",\"stage\":\"$default\"",
		request_id(request));
	append_time(b);
	buffer_append_string(b, "}");
}

static bool ends_with(const char *text, size_t size, const char *end)
{
	size_t n = strlen(end);

	return size >= n && strncasecmp(text + size - n, end, n) == 0;
}

/* Which bodies AWS hands over as text; all others are in base64. */
static bool is_text(const char *content_type)
{
	static const char *const types[] = { "application/json", "application/javascript",
		"application/xml" };
	size_t size = content_type ? strcspn(content_type, "; \t") : 0;

	if (size >= 5 && strncasecmp(content_type, "text/", 5) == 0)
		return true;
	for (size_t i = 0; i < array_size(types); i++)
		if (strlen(types[i]) == size && strncasecmp(content_type, types[i], size) == 0)
			return true;
	return size > 0 &&
	       (ends_with(content_type, size, "+json") || ends_with(content_type, size, "+xml"));
}

int url_event_begin(struct request *request, struct url_event *ret)
{
	struct buffer *b = &ret->json;
	struct pairs *headers = calloc(1, sizeof(*headers)), *query = calloc(1, sizeof(*query));
	bool overflow = false;

	ret->text = is_text(request_header(request, "Content-Type"));
	if (headers && query) {
		MHD_get_connection_values(request->mhd, MHD_HEADER_KIND, collect_header, headers);
		buffer_append_string(
			b, "{\"version\":\"2.0\",\"routeKey\":\"$default\",\"rawPath\":");
		append_string(b, request->rest);
		buffer_append_string(b, ",\"rawQueryString\":");
		append_string(b, request->query);
		append_cookies(b, request_header(request, "Cookie"));
		buffer_append_string(b, ",\"headers\":");
		append_pairs(b, headers);
		append_query(b, request->query, query);
		append_context(b, request);
		overflow = headers->overflow || query->overflow;
		pairs_done(headers);
		pairs_done(query);
	} else {
		b->failed = true;
	}
	free(headers);
	free(query);
	return overflow ? -E2BIG : 0;
}

void url_event_end(struct url_event *event, const struct buffer *body)
{
	bool text = event->text && utf8_is_valid(body->data, body->size);
	struct buffer *b = &event->json;

	if (body->size > 0)
		buffer_append_string(b, ",\"body\":");
	if (body->size > 0 && text) {
		buffer_append_json(b, body->data, body->size);
	} else if (body->size > 0) {
		buffer_append_string(b, "\"");
		buffer_append_base64(b, body->data, body->size);
		buffer_append_string(b, "\"");
	}
	buffer_printf(b, ",\"isBase64Encoded\":%s}", body->size > 0 && !text ? "true" : "false");
}
