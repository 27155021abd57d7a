/*
 * access.c - see access.h.
 */
#include "supervisor/front/access.h"

#include "base/fd.h"
#include "supervisor/front/reply.h"
#include "supervisor/front/request.h"
#include "supervisor/front/routes.h"
#include "supervisor/front/signature.h"
#include "supervisor/schedule/function.h"
#include "supervisor/store/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PEM_MAX (256 * 1024)

static int read_pem(const char *path, bool secret, char **ret, struct err *e)
{
	struct stat st;
	int r;

	if (stat(path, &st) < 0)
		return err_errno(e, -errno, "cannot read the TLS file %s", path);
	if (secret && st.st_mode & 077)
		return err_set(e, -EPERM,
			"the TLS key %s can be read by others than its owner; chmod 600 it", path);
	r = fd_read_file(path, PEM_MAX, ret, NULL);
	return r < 0 ? err_errno(e, r, "cannot read the TLS file %s", path) : 0;
}

int access_open(struct front *front, struct err *e)
{
	const struct options *o = &front->supervisor->options;
	int r = o->keys ? keys_load(o->keys, &front->keys, e) : 0;

	if (r < 0)
		return r;
	if (!o->tls_certificate != !o->tls_key)
		return err_set(e, -EINVAL, "TLS needs both --tls-certificate and --tls-key");
	if (o->tls_certificate)
		r = read_pem(o->tls_certificate, false, &front->tls_certificate, e);
	if (r == 0 && o->tls_key)
		r = read_pem(o->tls_key, true, &front->tls_key, e);
	return r;
}

void access_close(struct front *front)
{
	front->keys = keys_free(front->keys);
	if (front->tls_key)
		OPENSSL_cleanse(front->tls_key, strlen(front->tls_key));
	free(take_ptr(front->tls_key));
	free(take_ptr(front->tls_certificate));
}

static bool address_is_loopback(const struct sockaddr *address)
{
	const struct sockaddr_in *v4 = (const void *)address;
	const struct sockaddr_in6 *v6 = (const void *)address;

	if (address->sa_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	return address->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

int access_check_address(const struct front *front, const struct sockaddr *address, struct err *e)
{
	if (front->keys || address_is_loopback(address))
		return 0;
	return err_set(e, -EPERM,
		"Cannot listen at %s without keys, since whoever reaches it could run code: give "
		"--keys FILE (lines of an access key id and a secret, mode 600), or listen on "
		"127.0.0.1 or unix:PATH.",
		front->supervisor->options.listen);
}

/* With keys, a function's URL is open only where its owner said so. */
static bool url_is_open(const struct request *request)
{
	struct function *function =
		registry_find(request->front->supervisor->registry, request->capture);
	const char *type = function ? json_string_value(json_object_get(
					      function_config(function)->url, "AuthType"))
				    : NULL;

	return type && strcmp(type, "NONE") == 0;
}

/* Without keys only the URL of a function that wants signatures is closed. */
static bool must_be_signed(const struct request *request)
{
	struct function *function;
	const char *type;

	if (request->route->flags & ROUTE_OPEN)
		return false;
	if (!(request->route->flags & ROUTE_URL))
		return request->front->keys;
	if (request->front->keys)
		return !url_is_open(request);
	function = registry_find(request->front->supervisor->registry, request->capture);
	type = function ? json_string_value(
				  json_object_get(function_config(function)->url, "AuthType"))
			: NULL;
	return type && strcmp(type, "AWS_IAM") == 0;
}

void access_begin(struct request *request)
{
	if (!must_be_signed(request))
		return;
	request->must_be_signed = true;
	request->digest = EVP_MD_CTX_new();
	if (request->digest && !EVP_DigestInit_ex(request->digest, EVP_sha256(), NULL))
		access_end(request);
}

void access_take(struct request *request, const void *data, size_t size)
{
	if (request->digest && !EVP_DigestUpdate(request->digest, data, size))
		access_end(request);
}

void access_end(struct request *request)
{
	EVP_MD_CTX_free(request->digest);
	request->digest = NULL;
}

static const char *header_of(const void *data, const char *name)
{
	return request_header(data, name);
}

static int body_digest(struct request *request, char ret[static SIGNATURE_DIGEST_SIZE])
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned size;

	if (!request->digest || !EVP_DigestFinal_ex(request->digest, hash, &size))
		return -ENOMEM;
	for (unsigned i = 0; i < size; i++)
		snprintf(ret + 2 * i, 3, "%02x", hash[i]);
	return 0;
}

static int verify(struct request *request, struct err *e)
{
	char digest[SIGNATURE_DIGEST_SIZE];
	const struct signed_request signed_request = {
		.method = request->method,
		.target = request->target,
		.query = request->query,
		.body_digest = digest,
		.now = usec_realtime(),
		.header = header_of,
		.data = request,
	};
	int r = body_digest(request, digest);

	return r < 0 ? r : signature_verify(request->front->keys, &signed_request, e);
}

bool access_allows(struct request *request)
{
	struct err e = { 0 };
	int r;

	if (!request->must_be_signed)
		return true;
	if (!request->front->keys) {
		reply_error(request, API_FORBIDDEN,
			"The function's URL wants signed requests, and this server has no keys: "
			"start "
			"it with --keys.");
		return false;
	}
	r = verify(request, &e);
	if (r == SIGNATURE_MISSING)
		reply_error(request, API_UNSIGNED, "%s", e.text);
	else if (r > 0)
		reply_error(request, API_BAD_SIGNATURE, "%s", e.text);
	else if (r < 0)
		reply_error(request, API_UNAVAILABLE, "Out of memory.");
	return r == 0;
}
