/*
 * channel.h - the supervisor's end of a socket to a guest: frames out, frames in, never waiting.
 *
 * Serves both kinds of socket (wire.h): messages of a template, the byte stream of an isolate. What
 * comes in is hostile: a frame that is malformed, longer than allowed, or of the wrong kind ends
 * the channel with -EBADMSG, and the owner ends the process behind it.
 */
#pragma once

#include "base/buffer.h"
#include "base/macros.h"
#include "supervisor/loop/loop.h"
#include "wire/wire.h"

#include <stdbool.h>
#include <sys/socket.h>

struct channel;

struct channel_frame {
	struct wire_header header;
	const char *fields;  /* checked */
	const char *payload; /* payload_size bytes */
	size_t payload_size;
	pid_t sender; /* kernel-verified, while channel_expect_sender() is on; else 0 */
};

struct channel_events {
	/* May end the channel. */
	void (*frame)(struct channel *channel, const struct channel_frame *frame);
	/* reason: 0 for an orderly end, or a negative errno. Called once; end the channel in it. */
	void (*closed)(struct channel *channel, int reason);
};

struct channel {
	struct loop *loop;
	const struct channel_events *events;
	struct loop_source source;
	bool stream;         /* SOCK_STREAM, else SOCK_SEQPACKET */
	size_t payload_max;  /* of an incoming frame; the owner may change it between frames */
	bool held;           /* nothing is read for now */
	bool delivering;     /* the owner looks at a frame: what it is in stays, whatever happens */
	struct buffer in;    /* the part of a frame that has arrived */
	struct buffer out;   /* what the socket did not take yet */
	uint32_t generation; /* changes when the channel ends, so that a loop over frames notices */
};

/* Takes the socket over, which becomes non-blocking. 0 or -errno, the socket is closed then. */
int channel_init(struct channel *channel, struct loop *loop, int socket, bool stream,
	size_t payload_max, const struct channel_events *events) MUST_CHECK;

/* Closes the socket and forgets what was not sent. Harmless on a channel that is zeroed or done. */
void channel_done(struct channel *channel);

static inline bool channel_is_open(const struct channel *channel)
{
	return channel->source.added;
}

/* Whether the kernel names the sender of each message; costs a little on each. */
int channel_expect_sender(struct channel *channel, bool on) MUST_CHECK;

/* Sends a frame and its payload (copied only as far as the socket does not take it at once), with
 * descriptors on a message socket. 0 or -errno; -EAGAIN from a message socket that is full. */
int channel_send(struct channel *channel, const void *frame, size_t frame_size, const void *payload,
	size_t payload_size) MUST_CHECK;
int channel_send_fds(struct channel *channel, const void *frame, size_t frame_size, const int *fds,
	size_t fd_count) MUST_CHECK;

/* Sends a frame without fields and payload. */
int channel_send_plain(struct channel *channel, enum wire_type type, uint32_t sequence) MUST_CHECK;

/* Whether the peer's frames stay in the socket; those that were read already are delivered. */
void channel_hold(struct channel *channel, bool on);

/* Delivers what is in the socket now: to be called when the process behind it has ended. */
void channel_drain(struct channel *channel);
