/*
 * signature.c - see signature.h.
 */
#include "supervisor/front/signature.h"

#include "base/buffer.h"
#include "supervisor/front/uri.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ALGORITHM "AWS4-HMAC-SHA256"
#define HASH_SIZE 32
#define PAIRS_MAX 64 /* parameters in a query; more are nobody's */

/* The parts of an Authorization header, pointing into a copy of it. */
struct authorization {
	char *access_key, *date, *region, *service, *signed_headers, *signature;
};

static bool encode_keeps(char c, bool slash)
{
	return isalnum((unsigned char)c) || strchr("-._~", c) || (slash && c == '/');
}

static void append_encoded(struct buffer *b, const char *text, size_t size, bool slash)
{
	for (size_t i = 0; i < size; i++) {
		if (text[i] && encode_keeps(text[i], slash))
			buffer_append(b, text + i, 1);
		else
			buffer_printf(b, "%%%02X", (unsigned char)text[i]);
	}
}

struct canonical_pair {
	struct buffer name, value;
};

static int pair_compare(const void *a, const void *b)
{
	const struct canonical_pair *left = a, *right = b;
	int order = strcmp(left->name.data, right->name.data);

	return order ? order : strcmp(left->value.data, right->value.data);
}

/* Decodes what the client wrote and encodes it in the one canonical way. */
static void encode_again(struct buffer *b, const char *text, size_t size)
{
	char decoded[1024];

	buffer_append(b, "", 0);
	if (uri_decode(text, size, false, decoded, sizeof(decoded)) == 0)
		append_encoded(b, decoded, strlen(decoded), false);
	else
		buffer_append(b, text, size);
}

static void append_query(struct buffer *b, const char *query)
{
	struct canonical_pair pairs[PAIRS_MAX] = { 0 };
	struct uri_pair pair;
	size_t n = 0;

	while (n < PAIRS_MAX && uri_next_pair(&query, &pair)) {
		encode_again(&pairs[n].name, pair.name, pair.name_size);
		encode_again(&pairs[n].value, pair.value, pair.value_size);
		b->failed |= pairs[n].name.failed || pairs[n].value.failed;
		n++;
	}
	if (!b->failed)
		qsort(pairs, n, sizeof(pairs[0]), pair_compare);
	for (size_t i = 0; i < n && !b->failed; i++)
		buffer_printf(b, "%s%s=%s", i ? "&" : "", pairs[i].name.data, pairs[i].value.data);
	for (size_t i = 0; i < n; i++) {
		buffer_done(&pairs[i].name);
		buffer_done(&pairs[i].value);
	}
}

/* Without spaces at the ends, runs of them inside as one. */
static void append_trimmed(struct buffer *b, const char *value)
{
	value += strspn(value, " \t");
	while (*value) {
		size_t word = strcspn(value, " \t"), gap = strspn(value + word, " \t");

		buffer_append(b, value, word);
		value += word + gap;
		if (*value)
			buffer_append(b, " ", 1);
	}
}

/* 0, or SIGNATURE_INVALID for a header that was signed and is not there. */
static int append_headers(
	struct buffer *b, const struct signed_request *request, const char *signed_headers)
{
	char name[128];

	for (const char *p = signed_headers; *p; p += strcspn(p, ";"), p += *p == ';') {
		size_t size = strcspn(p, ";");
		const char *value;

		if (size == 0 || size >= sizeof(name))
			return SIGNATURE_INVALID;
		memcpy(name, p, size);
		name[size] = '\0';
		value = request->header(request->data, name);
		if (!value)
			return SIGNATURE_INVALID;
		buffer_printf(b, "%s:", name);
		append_trimmed(b, value);
		buffer_append(b, "\n", 1);
	}
	return 0;
}

static void hex(const unsigned char *data, size_t size, char *ret)
{
	for (size_t i = 0; i < size; i++)
		sprintf(ret + 2 * i, "%02x", data[i]);
}

static int digest_text(const struct buffer *b, char ret[static SIGNATURE_DIGEST_SIZE])
{
	unsigned char hash[HASH_SIZE];

	if (b->failed || !EVP_Digest(b->data, b->size, hash, NULL, EVP_sha256(), NULL))
		return -ENOMEM;
	hex(hash, sizeof(hash), ret);
	return 0;
}

static int canonical_digest(const struct signed_request *request, const struct authorization *a,
	char ret[static SIGNATURE_DIGEST_SIZE])
{
	_cleanup_buffer_ struct buffer b = { 0 };
	int r;

	buffer_printf(&b, "%s\n", request->method);
	/* Encoded once more than it came, as for every AWS service but S3. */
	append_encoded(&b, request->target, strlen(request->target), true);
	buffer_append(&b, "\n", 1);
	append_query(&b, request->query);
	buffer_append(&b, "\n", 1);
	r = append_headers(&b, request, a->signed_headers);
	if (r != 0)
		return r;
	buffer_printf(&b, "\n%s\n%s", a->signed_headers, request->body_digest);
	return digest_text(&b, ret);
}

static int hmac(
	const void *key, size_t key_size, const char *text, unsigned char ret[static HASH_SIZE])
{
	return HMAC(EVP_sha256(), key, (int)key_size, (const unsigned char *)text, strlen(text),
		       ret, NULL)
		       ? 0
		       : -ENOMEM;
}

static int signature_make(const char *secret, const struct authorization *a, const char *text,
	char ret[static SIGNATURE_DIGEST_SIZE])
{
	const char *const parts[] = { a->date, a->region, a->service, "aws4_request", text };
	unsigned char key[HASH_SIZE];
	char first[256];
	int n = snprintf(first, sizeof(first), "AWS4%s", secret), r;

	if (n < 0 || (size_t)n >= sizeof(first))
		return -EINVAL;
	r = hmac(first, (size_t)n, parts[0], key);
	for (size_t i = 1; i < array_size(parts) && r == 0; i++)
		r = hmac(key, sizeof(key), parts[i], key);
	OPENSSL_cleanse(first, sizeof(first));
	hex(key, sizeof(key), ret);
	return r;
}

/* "NAME=VALUE", VALUE up to a comma or the end; ends it with a NUL. */
static char *take_part(char *text, const char *name)
{
	char *at = strstr(text, name);

	if (!at)
		return NULL;
	at += strlen(name);
	at[strcspn(at, ", ")] = '\0';
	return at;
}

/* ALGORITHM Credential=KEY/DATE/REGION/SERVICE/aws4_request, SignedHeaders=..., Signature=... */
static bool authorization_parse(char *text, struct authorization *ret)
{
	char *rest, *credential;

	if (strncmp(text, ALGORITHM " ", sizeof(ALGORITHM)) != 0)
		return false;
	/* The last first, since each ends the text before it. */
	ret->signature = take_part(text, "Signature=");
	ret->signed_headers = take_part(text, "SignedHeaders=");
	credential = take_part(text, "Credential=");
	if (!ret->signature || !ret->signed_headers || !credential)
		return false;
	ret->access_key = strtok_r(credential, "/", &rest);
	ret->date = strtok_r(NULL, "/", &rest);
	ret->region = strtok_r(NULL, "/", &rest);
	ret->service = strtok_r(NULL, "/", &rest);
	return ret->service && rest && strcmp(rest, "aws4_request") == 0;
}

/* "20261124T110209Z" in seconds since 1970, or -1. */
static time_t parse_date(const char *text)
{
	struct tm utc = { 0 };
	char zone, end;

	if (sscanf(text, "%4d%2d%2dT%2d%2d%2d%c%c", &utc.tm_year, &utc.tm_mon, &utc.tm_mday,
		    &utc.tm_hour, &utc.tm_min, &utc.tm_sec, &zone, &end) != 7 ||
		zone != 'Z')
		return -1;
	utc.tm_year -= 1900;
	utc.tm_mon -= 1;
	return timegm(&utc);
}

static bool date_is_near(const char *date, const struct authorization *a, usec_t now)
{
	time_t at = parse_date(date);
	int64_t skew = (int64_t)(now / USEC_PER_SEC) - (int64_t)at;

	return at >= 0 && strncmp(date, a->date, 8) == 0 &&
	       llabs(skew) <= (int64_t)(SIGNATURE_CLOCK_SKEW / USEC_PER_SEC);
}

/* Header names are signed in this form; host and date must be, or the signature could be moved. */
static bool headers_are_signed(const struct authorization *a)
{
	char list[512];

	if (snprintf(list, sizeof(list), ";%s;", a->signed_headers) >= (int)sizeof(list))
		return false;
	return strstr(list, ";host;") && strstr(list, ";x-amz-date;");
}

static int signature_check(const struct signed_request *request, const struct authorization *a,
	const char *date, const char *secret)
{
	char digest[SIGNATURE_DIGEST_SIZE], expected[SIGNATURE_DIGEST_SIZE], text[512];
	int r = canonical_digest(request, a, digest);

	if (r != 0)
		return r;
	if (snprintf(text, sizeof(text), ALGORITHM "\n%s\n%s/%s/%s/aws4_request\n%s", date, a->date,
		    a->region, a->service, digest) >= (int)sizeof(text))
		return SIGNATURE_INVALID;
	r = signature_make(secret, a, text, expected);
	if (r < 0)
		return r;
	if (strlen(a->signature) != strlen(expected) ||
		CRYPTO_memcmp(a->signature, expected, strlen(expected)) != 0)
		return SIGNATURE_INVALID;
	return 0;
}

int signature_verify(const struct keys *keys, const struct signed_request *request, struct err *e)
{
	const char *header = request->header(request->data, "Authorization");
	const char *date = request->header(request->data, "X-Amz-Date");
	const char *digest = request->header(request->data, "X-Amz-Content-Sha256");
	_cleanup_free_ char *copy = header ? strdup(header) : NULL;
	struct authorization a = { 0 };
	const char *secret;
	int r;

	if (!header)
		return err_set(e, SIGNATURE_MISSING,
			"The request is not signed; give the client the access key that this "
			"server knows.");
	if (!copy)
		return -ENOMEM;
	if (!authorization_parse(copy, &a) || !date || !headers_are_signed(&a) ||
		strcmp(a.service, "lambda") != 0)
		return err_set(e, SIGNATURE_INVALID,
			"The Authorization header is not a complete AWS4-HMAC-SHA256 signature for "
			"lambda.");
	if (!date_is_near(date, &a, request->now))
		return err_set(e, SIGNATURE_INVALID,
			"The signature is older than 5 minutes, or one of the clocks is wrong.");
	if (digest && strcasecmp(digest, request->body_digest) != 0)
		return err_set(e, SIGNATURE_INVALID,
			"The body is not the one that X-Amz-Content-Sha256 names.");
	secret = keys_secret(keys, a.access_key);
	/* The same work and words for an unknown key, so that keys cannot be found out. */
	r = signature_check(request, &a, date, secret ? secret : "unknown");
	if (r < 0)
		return r;
	if (r > 0 || !secret)
		return err_set(e, SIGNATURE_INVALID,
			"The signature does not match any access key that this server knows.");
	return 0;
}
