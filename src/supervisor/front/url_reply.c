/*
 * url_reply.c - see url_reply.h.
 */
#include "supervisor/front/url_reply.h"

#include "base/base64.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* Headers that describe the transfer, which is ours. */
static const char *const transfer_headers[] = { "Connection", "Content-Length", "Date",
	"Keep-Alive", "Trailer", "Transfer-Encoding", "Upgrade" };

bool url_reply_is_plain(const struct buffer *reply)
{
	static const char member[] = "\"statusCode\"";
	size_t at = 0;

	while (at < reply->size && strchr(" \t\r\n", reply->data[at]))
		at++;
	if (at < reply->size && reply->data[at] == '"')
		return false;
	return at == reply->size || reply->data[at] != '{' ||
	       !memmem(reply->data, reply->size, member, sizeof(member) - 1);
}

static int take_body(struct url_reply *reply, const json_t *body, bool encoded)
{
	const char *text = json_string_value(body);
	size_t size = json_string_length(body);

	if (!body || json_is_null(body))
		return 0;
	if (!text)
		return -EBADMSG;
	buffer_append(&reply->body, text, size);
	if (reply->body.failed)
		return -ENOMEM;
	if (!encoded || size == 0)
		return 0;
	if (base64_decode(reply->body.data, size, reply->body.data, &reply->body.size) < 0)
		return -EBADMSG;
	reply->body.data[reply->body.size] = '\0';
	return 0;
}

static int read_structure(struct url_reply *reply, json_t *document)
{
	const json_t *status = json_object_get(document, "statusCode");
	json_int_t number = json_integer_value(status);

	/* Some functions return the number as a string. */
	if (json_is_string(status))
		number = strtoll(json_string_value(status), NULL, 10);
	if (number < 200 || number > 599)
		return -EBADMSG;
	reply->status = (unsigned)number;
	reply->document = json_incref(document);
	return take_body(reply, json_object_get(document, "body"),
		json_is_true(json_object_get(document, "isBase64Encoded")));
}

int url_reply_read(const struct buffer *reply, struct url_reply *ret)
{
	json_t *document =
		json_loadb(reply->data, reply->size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	int r = -EBADMSG;

	*ret = (struct url_reply){ .status = 200 };
	if (json_is_string(document)) {
		r = take_body(ret, document, false);
	} else if (json_object_get(document, "statusCode")) {
		r = read_structure(ret, document);
	} else if (document) {
		/* The word was somewhere inside: it is plain all the same. */
		buffer_append(&ret->body, reply->data, reply->size);
		r = ret->body.failed ? -ENOMEM : 0;
	}
	json_decref(document);
	return r;
}

void url_reply_done(struct url_reply *reply)
{
	json_decref(reply->document);
	buffer_done(&reply->body);
	*reply = (struct url_reply){ 0 };
}

static bool is_transfer_header(const char *name)
{
	for (size_t i = 0; i < array_size(transfer_headers); i++)
		if (strcasecmp(transfer_headers[i], name) == 0)
			return true;
	return false;
}

static void each_value(const char *name, const json_t *value,
	void (*add)(void *data, const char *name, const char *value), void *data)
{
	char *text;

	if (json_is_string(value)) {
		add(data, name, json_string_value(value));
		return;
	}
	text = json_dumps(value, JSON_ENCODE_ANY);
	if (text)
		add(data, name, text);
	free(text);
}

void url_reply_each_header(const struct url_reply *reply,
	void (*add)(void *data, const char *name, const char *value), void *data)
{
	json_t *headers = json_object_get(reply->document, "headers"), *value;
	const json_t *cookies = json_object_get(reply->document, "cookies");
	const char *name;
	size_t i;

	json_object_foreach(headers, name, value) if (!is_transfer_header(name))
		each_value(name, value, add, data);
	json_array_foreach(cookies, i, value) if (json_is_string(value))
		add(data, "Set-Cookie", json_string_value(value));
}
