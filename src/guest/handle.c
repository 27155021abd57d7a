/*
 * handle.c - opening and closing a handle, and what can be asked of one.
 */
#include "guest/handle.h"

#include "base/fd.h"
#include "wire/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

int role_map(struct role *role)
{
	void *data;

	if (role->data)
		return 0;
	data = mmap(
		NULL, WIRE_CONTROL_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (data == MAP_FAILED)
		return -errno;
	*role = (struct role){ .data = data };
	return 0;
}

void role_done(struct role *role)
{
	if (role->data)
		munmap(role->data, WIRE_CONTROL_MAX);
	*role = (struct role){ 0 };
}

int role_decode(struct role *role, size_t size, struct wire_header *ret_header)
{
	struct wire_header header;
	int r;

	if (size < WIRE_HEADER_SIZE)
		return -EBADMSG;
	r = wire_decode_header(role->data, &header);
	if (r < 0)
		return r;
	if (header.size != header.fields_size || header.size != size - WIRE_HEADER_SIZE)
		return -EBADMSG;
	r = wire_check_fields(role->data + WIRE_HEADER_SIZE, header.fields_size);
	if (r < 0)
		return r;
	role->fields = role->data + WIRE_HEADER_SIZE;
	role->fields_size = header.fields_size;
	*ret_header = header;
	return 0;
}

const char *role_setting(const struct role *role, const char *name)
{
	size_t length = strlen(name);
	struct wire_field field;

	wire_for_each_field (field, role->fields, role->fields_size)
		if (field.key == WIRE_SETTING && strncmp(field.value, name, length) == 0 &&
			field.value[length] == '=')
			return field.value + length + 1;
	return NULL;
}

int handle_send(struct pv_handle *handle, struct wire_writer *w)
{
	size_t size;
	int r;

	r = wire_end(w, 0, &size);
	if (r < 0)
		return r;
	return fd_send(handle->fd, w->data, size, NULL, 0);
}

void handle_refuse(struct pv_handle *handle, uint32_t sequence)
{
	unsigned char frame[GUEST_FRAME_MAX];
	struct wire_writer w;
	int r;

	wire_begin(&w, frame, sizeof(frame), WIRE_REFUSED, sequence);
	wire_put_number(&w, WIRE_ERRNO, (uint64_t)-handle->error.code);
	wire_put(&w, WIRE_MESSAGE, handle->error.text);
	r = handle_send(handle, &w);
	/* A supervisor that does not hear it finds the socket at its end. */
	(void)r;
}

/* Copies text and cuts it, at the start of a character, to what a note may have. */
static void note_copy(char *cut, const char *text)
{
	size_t n = strnlen(text, GUEST_NOTE_MAX + 1);

	if (n > GUEST_NOTE_MAX)
		for (n = GUEST_NOTE_MAX; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80;)
			n--;
	memcpy(cut, text, n);
	cut[n] = '\0';
}

int note_send(int socket, const char *text, int code)
{
	unsigned char frame[GUEST_FRAME_MAX + GUEST_NOTE_MAX];
	char cut[GUEST_NOTE_MAX + 1];
	struct wire_writer w;
	size_t size;
	int r;

	note_copy(cut, text);
	wire_begin(&w, frame, sizeof(frame), WIRE_NOTE, 0);
	wire_put(&w, WIRE_MESSAGE, cut);
	if (code < 0)
		wire_put_number(&w, WIRE_ERRNO, (uint64_t)-code);
	r = wire_end(&w, 0, &size);
	return r < 0 ? r : fd_send(socket, frame, size, NULL, 0);
}

int pv_api_version(void)
{
	return PV_API_VERSION;
}

static int handle_hello(struct pv_handle *handle)
{
	unsigned char frame[WIRE_HEADER_SIZE];
	struct wire_writer w;

	wire_begin(&w, frame, sizeof(frame), WIRE_HELLO, 0);
	return handle_send(handle, &w);
}

/* A template is told what to be in messages, an isolate by exec in a stream. */
static int handle_check_socket(int fd, bool exec)
{
	socklen_t size = sizeof(int);
	int type;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
		return -ENOTCONN;
	if (type != (exec ? SOCK_STREAM : SOCK_SEQPACKET))
		return -ENOTCONN;
	return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0;
}

int pv_open(pv_handle **ret_handle)
{
	const char *number = getenv("POLYVISOR_FD"), *role = getenv("POLYVISOR_ROLE");
	_cleanup_free_ struct pv_handle *handle = NULL;
	char *end;
	long fd;
	int r;

	if (!ret_handle)
		return -EINVAL;
	if (!number || !role)
		return -ENOTCONN;
	fd = strtol(number, &end, 10);
	if (end == number || *end || fd < 3 || fd > INT_MAX)
		return -ENOTCONN;
	handle = calloc(1, sizeof(*handle));
	if (!handle)
		return -ENOMEM;
	handle->fd = (int)fd;
	handle->landlock = -1;
	handle->exec = strcmp(role, "exec") == 0;
	r = handle_check_socket(handle->fd, handle->exec);
	if (r < 0)
		return r;
	/* What the process starts itself has no supervisor. */
	unsetenv("POLYVISOR_FD");
	unsetenv("POLYVISOR_ROLE");
	if (handle->exec) {
		r = handle_hello(handle);
		if (r < 0)
			return r;
	}
	*ret_handle = take_ptr(handle);
	return 0;
}

void pv_close(pv_handle *handle)
{
	if (!handle)
		return;
	fd_close(handle->fd);
	/* environ still points into become, so its memory stays. */
	role_done(&handle->launch);
	warmup_done(&handle->warmup);
	channel_done(&handle->channel);
	clone_rehearsal_free(handle->rehearsal);
	free(handle);
}

const char *pv_last_error(pv_handle *handle)
{
	if (!handle)
		return "There is no handle: call pv_open() first.";
	return handle->error.code ? handle->error.text : "Nothing has failed.";
}

int pv_set_runtime_version(pv_handle *handle, const char *version)
{
	if (!handle || !version)
		return -EINVAL;
	snprintf(handle->runtime_version, sizeof(handle->runtime_version), "%s", version);
	return 0;
}

static const struct handle_attribute {
	const char *name;
	enum wire_key key;
} handle_attributes[] = {
	{ "name", WIRE_NAME },
	{ "handler", WIRE_HANDLER },
	{ "task_root", WIRE_TASK_ROOT },
};

static const struct handle_default {
	const char *name, *value;
} handle_defaults[] = {
	{ SETTING_VERSION, "$LATEST" },
	{ SETTING_MEMORY_MB, "128" },
	{ SETTING_ARN, "" },
	{ SETTING_LOG_STREAM, "" },
	{ SETTING_REGION, "us-east-1" },
};

static const char *handle_default_of(struct pv_handle *handle, const char *name)
{
	const char *function;

	for (size_t i = 0; i < array_size(handle_defaults); i++)
		if (strcmp(name, handle_defaults[i].name) == 0)
			return handle_defaults[i].value;
	if (strcmp(name, SETTING_LOG_GROUP) != 0)
		return NULL;
	function = wire_find(handle->become.fields, handle->become.fields_size, WIRE_NAME);
	snprintf(handle->log_group, sizeof(handle->log_group), "/aws/lambda/%s",
		function ? function : "");
	return handle->log_group;
}

const char *pv_function(pv_handle *handle, const char *attribute)
{
	const char *value;

	if (!handle || !attribute || handle->stage == STAGE_BOOTING)
		return NULL;
	for (size_t i = 0; i < array_size(handle_attributes); i++)
		if (strcmp(attribute, handle_attributes[i].name) == 0)
			return wire_find(handle->become.fields, handle->become.fields_size,
				handle_attributes[i].key);
	value = role_setting(&handle->launch, attribute);
	if (!value)
		value = role_setting(&handle->become, attribute);
	return value ? value : handle_default_of(handle, attribute);
}

size_t handle_reply_limit(struct pv_handle *handle)
{
	const char *text = pv_function(handle, SETTING_REPLY_BYTES);
	unsigned long long limit;
	char *end;

	if (!text)
		return SETTING_REPLY_BYTES_DEFAULT;
	limit = strtoull(text, &end, 10);
	return end == text || *end ? SETTING_REPLY_BYTES_DEFAULT : (size_t)limit;
}

int pv_is_clone(pv_handle *handle)
{
	return handle && handle->clone;
}

int pv_note(pv_handle *handle, const char *text)
{
	int r;

	if (!handle || !text)
		return -EINVAL;
	r = note_send(handle->fd, text, 0);
	return r < 0 ? err_errno(&handle->error, r, "A note did not reach the supervisor") : 0;
}

int pv_random(void *data, size_t size)
{
	char *p = data;

	if (!data && size > 0)
		return -EINVAL;
	while (size > 0) {
		ssize_t n = getrandom(p, size, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}
