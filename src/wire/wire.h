/*
 * wire.h - the frames that the supervisor exchanges with templates and isolates.
 *
 * Pure: bytes in, struct out; no input or output, no allocation. Whatever comes from a guest is
 * hostile, so decoding checks every length before it is used.
 *
 * A frame is a header, then fields, then a payload of opaque bytes (an event or a reply), all in
 * the byte order of the machine, since both ends are processes of one kernel:
 *
 *     0        4             8      10      12         16
 *     +--------+-------------+------+-------+----------+----------------+-------------+
 *     | size   | fields_size | type | magic | sequence | fields         | payload     |
 *     +--------+-------------+------+-------+----------+----------------+-------------+
 *                                                       <- fields_size ->
 *                                                       <------------ size ----------->
 *
 * A field is a 16-bit key, 16 bits of zero, a 32-bit size and that many bytes, the last of which is
 * the NUL of a string (the only one in it), so that a decoded field is a C string in place. Numbers
 * travel as decimal text. A key may be repeated where the table below says "many".
 *
 * Sockets: the control socket of a template is SOCK_SEQPACKET and carries one frame, without a
 * payload, in each message; the channel of an isolate is SOCK_STREAM and carries frames back to
 * back.
 */
#pragma once

#include "base/macros.h"

#define WIRE_HEADER_SIZE 16
#define WIRE_FIELDS_MAX (256 * 1024) /* bytes of fields in one frame */
#define WIRE_CONTROL_MAX (WIRE_HEADER_SIZE + WIRE_FIELDS_MAX)

enum wire_type {
	/* supervisor -> runtime template, over its control socket: be cloned into a function template.
	 * Descriptors: see settings.h. */
	WIRE_BECOME = 1,
	/* supervisor -> function template: be cloned into an isolate. Descriptors: see settings.h. */
	WIRE_LAUNCH,
	/* supervisor -> isolate: one invocation; the payload is the event. */
	WIRE_EVENT,

	/* template -> supervisor: parked, ready for requests. */
	WIRE_READY = 16,
	/* template -> supervisor: the request with this sequence failed (WIRE_ERRNO, WIRE_MESSAGE).
	 */
	WIRE_REFUSED,
	/* function template -> supervisor: the tenant's code did not load; the payload of the error
	 * is in WIRE_MESSAGE as JSON. */
	WIRE_INIT_FAILED,
	/* any guest -> supervisor: a sentence for the function's log (WIRE_MESSAGE). */
	WIRE_NOTE,
	/* clone -> supervisor, the first message of a function template on its control socket and
	 * of an isolate on its channel: "I exist"; the kernel's credentials on it say who. */
	WIRE_HELLO,
	/* isolate -> supervisor: waiting for its first event. */
	WIRE_IDLE,
	/* isolate -> supervisor: the reply to the event with this sequence; the payload is the
	 * reply. */
	WIRE_REPLY,
	/* isolate -> supervisor: the handler failed (WIRE_ERROR_TYPE); the payload is the error as
	 * JSON. */
	WIRE_FAIL,
	/* isolate -> supervisor: a part of a streamed reply; more follow, a WIRE_REPLY ends it. */
	WIRE_PART,
	/* clone -> supervisor, before HELLO: has a user namespace of its own, and waits on this socket
	 * until the supervisor has mapped its ids and says WIRE_MAPPED. */
	WIRE_MAP_ME,
	WIRE_MAPPED,
};

enum wire_key {
	WIRE_NAME = 1,    /* function name */
	WIRE_HANDLER,     /* as configured */
	WIRE_TASK_ROOT,   /* folder with the tenant's code, as the guest sees it */
	WIRE_ENVIRONMENT, /* NAME=VALUE; many */
	WIRE_SETTING,     /* NAME=VALUE for the envelope and the guest library; many */
	WIRE_REQUEST_ID,
	WIRE_DEADLINE_MS, /* milliseconds since 1970 */
	WIRE_INVOKED_ARN,
	WIRE_CLIENT_CONTEXT, /* JSON */
	WIRE_IDENTITY,       /* JSON */
	WIRE_TRACE_ID,
	WIRE_TENANT_ID,
	WIRE_ERROR_TYPE,
	WIRE_MESSAGE,
	WIRE_ERRNO,
	WIRE_RUNTIME_VERSION, /* what the language runtime calls itself, such as "3.11.2" */
	WIRE_THREADS,         /* threads parked, the caller not counted */
	WIRE_MEMORY_KB,       /* most memory the guest says it has had resident */
	WIRE_CONTENT_TYPE,    /* of a reply; application/json when absent */
	WIRE_STREAM,          /* "1": the caller of this event accepts a streamed reply */
	WIRE_WARMUP,          /* a warm-up event of the function; many */
	WIRE_PART_COUNT,      /* the number of WIRE_PART frames that came before this one */
};

struct wire_header {
	uint32_t size;        /* bytes behind the header */
	uint32_t fields_size; /* of these, the fields */
	uint16_t type;        /* enum wire_type, or a number we do not know */
	uint32_t sequence;    /* of the request this is, or answers; 0 when there is none */
};

struct wire_field {
	uint16_t key;
	const char *value; /* NUL-terminated, points into the frame */
	size_t size;       /* without the NUL */
};

/* Decodes a header from at least WIRE_HEADER_SIZE bytes: 0, or -EBADMSG. */
int wire_decode_header(const void *data, struct wire_header *ret) MUST_CHECK;

/* Checks all fields of a frame at once: 0, or -EBADMSG. After it, iteration cannot fail. */
int wire_check_fields(const void *fields, size_t size) MUST_CHECK;

/* Takes the next field and moves *position, an offset that starts at 0. Returns 1, or 0 at the end.
 */
int wire_next_field(const void *fields, size_t size, size_t *position, struct wire_field *ret);

#define wire_for_each_field(field, fields, size)                                                   \
	for (size_t position_ = 0; wire_next_field(fields, size, &position_, &(field));)

/* The value of the first field with that key, or NULL. */
const char *wire_find(const void *fields, size_t size, enum wire_key key);

/* The same as a decimal number, or `otherwise` where it is absent or is none. */
uint64_t wire_find_number(const void *fields, size_t size, enum wire_key key, uint64_t otherwise);

/*
 * Writes a frame into a buffer of the caller. Start it, put fields, end it; the size of the payload
 * that the caller sends behind it is named at the end. Overflow is kept and reported by the end,
 * and so is a string that holds a NUL.
 */
struct wire_writer {
	unsigned char *data;
	size_t capacity, size;
	int failed;
};

void wire_begin(
	struct wire_writer *w, void *data, size_t capacity, enum wire_type type, uint32_t sequence);
void wire_put(struct wire_writer *w, enum wire_key key, const char *value);
void wire_put_number(struct wire_writer *w, enum wire_key key, uint64_t value);

/* Puts "name=value". */
void wire_put_pair(struct wire_writer *w, enum wire_key key, const char *name, const char *value);

/* Finishes the header; *ret_size is the size of the frame without its payload. 0 or -EMSGSIZE. */
int wire_end(struct wire_writer *w, size_t payload_size, size_t *ret_size) MUST_CHECK;

/* Gives a finished frame another sequence: one that is sent again is a new request. */
void wire_set_sequence(void *frame, uint32_t sequence);
