/*
 * descriptors.h - the survey of a template's descriptors, and what each kind of them does.
 *
 * A fork shares open file descriptions: offsets, counters, watches. The survey records, per
 * description, how to make one like it; a clone replays that at the same numbers. Descriptors that
 * are dups of each other in the template are so in the clone: only the first of them is made.
 *
 * Everything lies in the template's arena. The survey may call whatever takes no lock; replaying
 * happens in the child of a fork and makes system calls only.
 */
#pragma once

#include "guest/clone/template.h"

#include <sys/epoll.h>
#include <sys/stat.h>

struct descriptor;
struct survey;

struct descriptor_kind {
	/* Records what remake() will need. May clear d->kind, for what stays shared after all. */
	int (*survey)(struct survey *s, struct descriptor *d);
	/* Makes the description again and places it. */
	int (*remake)(const struct descriptor *d);
};

extern const struct descriptor_kind file_kind, eventfd_kind, timerfd_kind, signalfd_kind,
	inotify_kind, epoll_kind, pipe_kind, socket_kind;

/* Bytes that wait in a pipe or socket, in messages if the kind has them. */
struct content {
	struct content *next;
	size_t size;
	char data[];
};

struct socket_option {
	int name; /* SO_... */
	uint32_t size;
	union {
		int number;
		struct timeval time;
	} value;
};

#define SOCKET_OPTIONS_MAX 6

enum socket_form {
	SOCKET_PAIR,      /* its peer is in this process too */
	SOCKET_CLOSED,    /* connected: the clone gets an end whose peer is closed */
	SOCKET_LISTENING, /* the clone gets one that nobody connects to */
	SOCKET_FRESH,     /* neither: the clone gets a new one of the same kind */
};

/* A watch of an epoll instance: of the description of `target`, under a number it once had. */
struct watch {
	int number;
	struct epoll_event event;
	const struct descriptor *target; /* NULL: what is at `number` */
};

struct descriptor {
	int number;
	int status; /* F_GETFL */
	bool close_on_exec;
	bool ignored;  /* the caller's own */
	bool is_path;  /* O_PATH: there is nothing to make again */
	bool replaced; /* in the child: something else is at this number now */
	bool group_ignored;
	mode_t mode;
	dev_t device;
	ino_t inode;
	struct descriptor *first;           /* of those that share a description; may be itself */
	const struct descriptor_kind *kind; /* NULL: clones share the description */
	struct descriptor *other; /* the other end of a pipe or pair, NULL if not in this process */
	struct content *content;  /* what can be read from it */
	int capacity;             /* of a pipe, if not the usual one */
	union {
		struct {
			off_t offset;
			const char *path; /* NULL: it has none that is known */
		} file;
		struct {
			uint64_t count;
			bool semaphore;
		} event;
		struct {
			int clock, flags;
			bool armed;
			struct itimerspec next; /* in absolute time of the clock */
			uint64_t ticks;
		} timer;
		uint64_t signals;
		struct {
			enum socket_form form;
			int domain, type, protocol;
			bool end_of_file; /* its peer will write no more, or itself read no more */
			struct socket_option options[SOCKET_OPTIONS_MAX];
			size_t option_count;
		} socket;
		struct {
			struct watch *all;
			size_t count, capacity;
		} watches;
	};
};

struct survey {
	struct clone_template *t;
	struct descriptor *all; /* by ascending number */
	size_t count, capacity;
	bool sockets_matched; /* descriptor_sockets.c */
	bool timers_waited;   /* descriptor_events.c */
};

/* The descriptor with this number, or NULL. */
struct descriptor *survey_find(const struct survey *s, int number);

/* Reads /proc/self/fdinfo/N into the arena. */
int descriptor_info(struct survey *s, const struct descriptor *d, char **ret_text) MUST_CHECK;

/* A kind's own note, opened with the number. */
void descriptor_note(struct survey *s, const struct descriptor *d, const char *format, ...)
	PRINTF_LIKE(3, 4);

/* In the child: puts fd, which is close-on-exec, where d is; fd is gone afterwards. */
int descriptor_place(const struct descriptor *d, int fd) MUST_CHECK;

/* The same for the two ends of a pipe or pair. */
int descriptor_place_both(const struct descriptor *d, int fd, const struct descriptor *other,
	int other_fd) MUST_CHECK;

/* Gives fd the status flags of d, if it was made with others. */
int descriptor_set_status(const struct descriptor *d, int fd, int made_with) MUST_CHECK;

/* In the child, when all else is in place: adds the watches of an epoll instance. */
int epoll_add_watches(const struct survey *s, const struct descriptor *d) MUST_CHECK;

/* Adds n bytes as the last message of d. */
int content_append(
	struct survey *s, struct descriptor *d, const void *data, size_t size) MUST_CHECK;
