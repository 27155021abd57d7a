/*
 * client.c - see client.h.
 */
#include "cli/client.h"
#include "cli/outcome.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT_S 5L
#define BODY_MAX                                                                                   \
	(512UL << 20) /* more than any answer of ours; a wrong endpoint may send forever           \
		       */

struct client {
	CURL *curl;
	char *endpoint; /* as given, for sentences */
	char *base;     /* what stands before the path */
	char *socket;   /* path of a Unix socket, or NULL */
	char error[CURL_ERROR_SIZE];
};

void response_done(struct response *response)
{
	buffer_done(&response->body);
}

static int client_set_endpoint(struct client *client, const char *endpoint, struct err *e)
{
	const char *scheme = strstr(endpoint, "://");

	if (!*endpoint)
		return err_set(e, OUTCOME_USAGE,
			"the endpoint is empty: give it as http://HOST:PORT or unix:PATH");
	client->endpoint = strdup(endpoint);
	if (!client->endpoint)
		return -ENOMEM;
	if (strncmp(endpoint, "unix:", 5) == 0) {
		client->socket = strdup(endpoint + 5);
		client->base = strdup("http://localhost");
		return client->socket && client->base ? 0 : -ENOMEM;
	}
	if (scheme && strncmp(endpoint, "http://", 7) != 0 && strncmp(endpoint, "https://", 8) != 0)
		return err_set(e, OUTCOME_USAGE,
			"endpoint %s is of no kind known here: give it as http://HOST:PORT, "
			"https://HOST:PORT or unix:PATH",
			endpoint);
	if (asprintf(&client->base, "%s%s", scheme ? "" : "http://", endpoint) < 0) {
		client->base = NULL; /* undefined after a failure */
		return -ENOMEM;
	}
	for (size_t n = strlen(client->base); n > 0 && client->base[n - 1] == '/'; n--)
		client->base[n - 1] = '\0';
	return 0;
}

static size_t on_body(char *data, size_t one, size_t size, void *context)
{
	struct buffer *body = context;

	(void)one;
	if (body->size + size > BODY_MAX)
		return 0;
	buffer_append(body, data, size);
	return body->failed ? 0 : size;
}

int client_new(const char *endpoint, struct client **ret, struct err *e)
{
	_cleanup_(client_free_cleanup) struct client *client = calloc(1, sizeof(*client));
	int r;

	if (!client)
		return -ENOMEM;
	r = client_set_endpoint(client, endpoint, e);
	if (r != 0)
		return r;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	client->curl = curl_easy_init();
	if (!client->curl)
		return -ENOMEM;
	*ret = take_ptr(client);
	return 0;
}

struct client *client_free(struct client *client)
{
	if (!client)
		return NULL;
	curl_easy_cleanup(client->curl);
	free(client->endpoint);
	free(client->base);
	free(client->socket);
	free(client);
	return NULL;
}

/* Takes over `list`; a failed append leaves nothing. */
static struct curl_slist *header_append(struct curl_slist *list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(list, line);

	if (!longer)
		curl_slist_free_all(list);
	return longer;
}

/* The keys that every AWS client takes from the environment; a supervisor without keys ignores them. */
static bool client_signs(void)
{
	const char *id = getenv("AWS_ACCESS_KEY_ID"), *secret = getenv("AWS_SECRET_ACCESS_KEY");

	return id && *id && secret && *secret;
}

static void client_sign(CURL *curl)
{
	if (!client_signs())
		return;
	curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, "aws:amz:us-east-1:lambda");
	curl_easy_setopt(curl, CURLOPT_USERNAME, getenv("AWS_ACCESS_KEY_ID"));
	curl_easy_setopt(curl, CURLOPT_PASSWORD, getenv("AWS_SECRET_ACCESS_KEY"));
}

static struct curl_slist *request_headers(const struct request *request)
{
	/* Expect would cost a large deploy a round trip, and a supervisor without it a second. But
	 * libcurl 7.88 signs the header that it is told to leave out. */
	struct curl_slist *list =
		header_append(NULL, client_signs() ? "X-Polyvisor-Client: 1" : "Expect:");

	if (list && request->body)
		list = header_append(list, "Content-Type: application/json");
	for (size_t i = 0; list && i < CLIENT_HEADERS_MAX && request->headers[i]; i++)
		list = header_append(list, request->headers[i]);
	return list;
}

static void client_prepare(
	struct client *client, const struct request *request, const char *url, struct buffer *body)
{
	CURL *curl = client->curl;

	curl_easy_reset(curl);
	client->error[0] = '\0';
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(
		curl, CURLOPT_PROXY, ""); /* a supervisor is never behind the web's proxy */
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, client->socket);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->error);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
	if (request->body || strcmp(request->method, "POST") == 0) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body ? request->body : "");
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_size);
	}
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
	/* NULL: what the system trusts. */
	curl_easy_setopt(curl, CURLOPT_CAINFO, getenv("POLYVISOR_CA"));
	client_sign(curl);
}

static int client_unreachable(struct client *client, CURLcode code, struct err *e)
{
	const char *why = client->error[0] ? client->error : curl_easy_strerror(code);
	const char *what =
		code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST
			? "start one with `polyvisor serve`, or name another with --endpoint"
			: "its log says more";

	return err_set(e, OUTCOME_UNREACHABLE, "the supervisor at %s did not answer: %s; %s",
		client->endpoint, why, what);
}

int client_exchange(
	struct client *client, const struct request *request, struct response *ret, struct err *e)
{
	_cleanup_free_ char *url = NULL;
	struct curl_slist *headers;
	CURLcode code;

	if (asprintf(&url, "%s%s", client->base, request->path) < 0) {
		url = NULL; /* undefined after a failure */
		return -ENOMEM;
	}
	headers = request_headers(request);
	if (!headers)
		return -ENOMEM;
	response_done(ret);
	client_prepare(client, request, url, &ret->body);
	curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, headers);
	code = curl_easy_perform(client->curl);
	curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(headers);
	if (code != CURLE_OK)
		return client_unreachable(client, code, e);
	curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &ret->status);
	return 0;
}

/* The sentence in an error's body: Lambda's services write it as Message and as message. */
static const char *refusal_message(const json_t *body)
{
	const char *message = json_string_value(json_object_get(body, "Message"));

	return message ? message : json_string_value(json_object_get(body, "message"));
}

int client_refusal(struct client *client, const struct request *request,
	const struct response *response, struct err *e)
{
	json_t *body = json_loadb(response->body.data ? response->body.data : "",
		response->body.size, JSON_REJECT_DUPLICATES, NULL);
	const char *message = refusal_message(body),
		   *type = client_header(client, "x-amzn-ErrorType");
	enum outcome outcome = outcome_of_status(response->status);
	const char *object = request->object ? request->object : request->path;

	if (message && type)
		err_set(e, (int)outcome, "%s: %s (%s)", object, message, type);
	else if (message || type)
		err_set(e, (int)outcome, "%s: %s (HTTP %ld)", object, message ? message : type,
			response->status);
	else
		err_set(e, (int)outcome,
			"%s: the answer of %s was HTTP %ld without a reason; is it a polyvisor "
			"supervisor?",
			object, client->endpoint, response->status);
	json_decref(body);
	return (int)outcome;
}

int client_send(
	struct client *client, const struct request *request, struct response *ret, struct err *e)
{
	int r = client_exchange(client, request, ret, e);

	if (r != 0)
		return r;
	return outcome_of_status(ret->status) == OUTCOME_OK
		       ? 0
		       : client_refusal(client, request, ret, e);
}

int client_send_for_json(
	struct client *client, const struct request *request, json_t **ret, struct err *e)
{
	_cleanup_response_ struct response response = { 0 };
	json_error_t where;
	int r = client_send(client, request, &response, e);

	if (r != 0)
		return r;
	*ret = json_loadb(
		response.body.data ? response.body.data : "", response.body.size, 0, &where);
	if (!*ret)
		return err_set(e, OUTCOME_SUPERVISOR,
			"%s: the answer of %s is not JSON (%s); is it a polyvisor supervisor?",
			request->object ? request->object : request->path, client->endpoint,
			where.text);
	return 0;
}

const char *client_header(struct client *client, const char *name)
{
	struct curl_header *header;

	if (curl_easy_header(client->curl, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
		return NULL;
	return header->value;
}

void client_escape(struct buffer *path, const char *text)
{
	static const char plain[] = "-._~";

	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		bool is_letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');

		if (is_letter || (*p >= '0' && *p <= '9') || strchr(plain, *p))
			buffer_append(path, p, 1);
		else
			buffer_printf(path, "%%%02X", *p);
	}
}
