/*
 * test_clone_descriptors.c - a clone has descriptions of its own, in the state in which the
 * template had them, at the same numbers, and nothing it does with them shows in the template or a
 * sibling.
 */
#include "clone/scenario.h"

#include "base/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>

static bool is_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static uint64_t read_u64(int fd)
{
	uint64_t value = 0;

	CHECK(read(fd, &value, sizeof(value)) == sizeof(value));
	return value;
}

static void write_u64(int fd, uint64_t value)
{
	CHECK(write(fd, &value, sizeof(value)) == sizeof(value));
}

static void expect_bytes(int fd, const char *text)
{
	char buffer[256] = "";

	CHECK(read(fd, buffer, sizeof(buffer) - 1) == (ssize_t)strlen(text), "%s", buffer);
	CHECK(strcmp(buffer, text) == 0, "%s", buffer);
}

static int fds[16];

/* Two clones, one after the other, then the template: each must find what the survey found. */
static void check_everywhere(void (*check)(void))
{
	struct clone_template *t = template_park();

	for (int i = 0; i < 2; i++) {
		pid_t pid = template_clone(t);

		if (pid == 0) {
			check();
			clone_done();
		}
		clone_expect_done(pid);
	}
	clone_release(t);
	check();
}

static void expect_eventfd(void)
{
	CHECK(read_u64(fds[0]) == 0x1234567890);
	CHECK(read_u64(fds[1]) == 1 && read_u64(fds[1]) == 1 && read_u64(fds[1]) == 1);
	CHECK(!is_readable(fds[1]));
	CHECK(fcntl(fds[0], F_GETFD) == FD_CLOEXEC && fcntl(fds[1], F_GETFD) == 0);
	CHECK(!(fcntl(fds[0], F_GETFL) & O_NONBLOCK) && fcntl(fds[1], F_GETFL) & O_NONBLOCK);
	CHECK(fcntl(fds[2], F_GETFD) == 0);
	write_u64(fds[0], 5); /* its dup shows it, and nobody else's */
	CHECK(read_u64(fds[2]) == 5);
	CHECK(fds[3] >= 0 && !is_readable(fds[3]));
}

static void test_eventfd(void)
{
	fds[0] = eventfd(0, EFD_CLOEXEC);
	fds[1] = eventfd(3, EFD_NONBLOCK | EFD_SEMAPHORE);
	fds[2] = dup(fds[0]);
	fds[3] = eventfd(0, EFD_CLOEXEC);
	write_u64(fds[0], 0x1234567890);
	check_everywhere(expect_eventfd);
}

static void expect_timerfd(void)
{
	struct itimerspec left;

	/* One that had expired three times, one that is still to expire, one that never will. */
	CHECK(read_u64(fds[0]) >= 3);
	CHECK(timerfd_gettime(fds[0], &left) == 0);
	CHECK(left.it_interval.tv_nsec == 2000000);
	CHECK(timerfd_gettime(fds[1], &left) == 0);
	CHECK(left.it_value.tv_sec >= 95 && left.it_value.tv_sec < 100);
	CHECK(left.it_interval.tv_sec == 7);
	CHECK(timerfd_gettime(fds[2], &left) == 0);
	CHECK(left.it_value.tv_sec == 0 && left.it_value.tv_nsec == 0 && !is_readable(fds[2]));
	CHECK(read_u64(fds[3]) == 1); /* expired before, unread */
	CHECK(!is_readable(fds[3]));
	CHECK(timerfd_gettime(fds[4], &left) == 0);
	CHECK(left.it_value.tv_sec > 3000 && left.it_value.tv_sec <= 3600);
}

static void test_timerfd(void)
{
	struct itimerspec periodic = { { 0, 2000000 }, { 0, 1000000 } },
			  later = { { 7, 0 }, { 100, 0 } };
	struct itimerspec once = { .it_value = { 0, 1 } }, hour = { .it_value = { 0 } };

	fds[0] = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	fds[1] = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC);
	fds[2] = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	fds[3] = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	fds[4] = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC);
	hour.it_value.tv_sec = time(NULL) + 3600;
	CHECK(timerfd_settime(fds[0], 0, &periodic, NULL) == 0);
	CHECK(timerfd_settime(fds[1], 0, &later, NULL) == 0);
	CHECK(timerfd_settime(fds[3], 0, &once, NULL) == 0);
	CHECK(timerfd_settime(fds[4], TFD_TIMER_ABSTIME, &hour, NULL) == 0);
	usleep(10000);
	check_everywhere(expect_timerfd);
}

/* A timer that fires while the template is parked has fired in a clone. */
static void test_timerfd_expires_while_parked(void)
{
	struct itimerspec soon = { .it_value = { 0, 20000000 } };
	struct clone_template *t;
	pid_t pid;

	fds[0] = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	CHECK(timerfd_settime(fds[0], 0, &soon, NULL) == 0);
	t = template_park();
	usleep(40000);
	pid = template_clone(t);
	if (pid == 0) {
		usleep(1000);
		CHECK(read_u64(fds[0]) == 1);
		clone_done();
	}
	clone_expect_done(pid);
	CHECK(read_u64(fds[0]) == 1);
}

static void expect_signalfd(void)
{
	struct signalfd_siginfo info;

	CHECK(!is_readable(fds[0]));
	CHECK(kill(getpid(), SIGUSR1) == 0);
	CHECK(read(fds[0], &info, sizeof(info)) == sizeof(info));
	CHECK(info.ssi_signo == SIGUSR1);
}

static void test_signalfd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fds[0] = signalfd(-1, &set, SFD_CLOEXEC);
	check_everywhere(expect_signalfd);
}

static void test_inotify(void)
{
	struct clone_template *t;
	pid_t pid;

	fds[0] = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	CHECK(inotify_add_watch(fds[0], "/tmp", IN_CREATE) >= 0);
	t = template_park();
	CHECK(scenario_noted("inotify"));
	pid = template_clone(t);
	if (pid == 0) {
		CHECK(inotify_add_watch(fds[0], "/tmp", IN_CREATE) == 1);
		clone_done();
	}
	clone_expect_done(pid);
}

/* Pipes. */

static void expect_pipe(void)
{
	expect_bytes(fds[0], "held");
	CHECK(!is_readable(fds[0]));
	CHECK(write(fds[1], "new", 3) == 3);
	expect_bytes(fds[0], "new");
	CHECK(fcntl(fds[0], F_GETFL) & O_NONBLOCK && !(fcntl(fds[1], F_GETFL) & O_NONBLOCK));
	CHECK(fcntl(fds[3], F_GETPIPE_SZ) == 4096);
	CHECK(close(fds[1]) == 0 && close(fds[2]) == 0);
	expect_bytes(fds[0], ""); /* the dup was the last other end */
}

static void test_pipe(void)
{
	CHECK(pipe(fds) == 0);
	CHECK(write(fds[1], "held", 4) == 4);
	CHECK(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0);
	fds[2] = dup(fds[1]);
	CHECK(pipe2(fds + 3, O_CLOEXEC) == 0);
	CHECK(fcntl(fds[3], F_SETPIPE_SZ, 4096) == 4096);
	check_everywhere(expect_pipe);
	CHECK(!scenario_noted("pipe"));
}

static void expect_full_pipe(void)
{
	static char bytes[65536];

	CHECK(write(fds[1], "x", 1) == -1 && errno == EAGAIN);
	CHECK(fd_read_exactly(fds[0], bytes, sizeof(bytes)) == 0);
	for (size_t i = 0; i < sizeof(bytes); i++)
		CHECK(bytes[i] == (char)(i / 1000));
	CHECK(!is_readable(fds[0]));
}

static void test_full_pipe(void)
{
	static char bytes[65536];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i / 1000);
	CHECK(pipe2(fds, O_NONBLOCK) == 0);
	CHECK(write(fds[1], bytes, sizeof(bytes)) == sizeof(bytes));
	check_everywhere(expect_full_pipe);
}

/* 16 pages with a byte in each, as packets make them. */
static void expect_fragments(void)
{
	char byte;

	for (char c = 'a'; c <= 'p'; c++)
		CHECK(read(fds[0], &byte, 1) == 1 && byte == c);
	CHECK(!is_readable(fds[0]));
}

static void test_pipe_with_fragments(void)
{
	CHECK(pipe2(fds, O_NONBLOCK | O_DIRECT) == 0);
	for (char c = 'a'; c <= 'p'; c++)
		CHECK(write(fds[1], &c, 1) == 1);
	check_everywhere(expect_fragments);
}

/* One end in another process: the clone's bytes arrive there. */
static void test_external_pipe(void)
{
	struct clone_template *t;
	int child_end;
	pid_t child, pid;

	CHECK(pipe(fds) == 0 && fds[1] > 2);
	child_end = fds[0];
	child = fork();
	if (child == 0) {
		char text[4] = "";

		close(fds[1]);
		CHECK(read(child_end, text, 3) == 3 && strcmp(text, "abc") == 0);
		clone_done();
	}
	close(child_end);
	t = template_park();
	CHECK(scenario_noted("pipe to another process"));
	pid = template_clone(t);
	if (pid == 0) {
		CHECK(write(fds[1], "abc", 3) == 3);
		clone_done();
	}
	clone_expect_done(pid);
	clone_expect_done(child);
}

/* Files. */

static void expect_file(void)
{
	char byte;

	CHECK(lseek(fds[0], 0, SEEK_CUR) == 3);
	CHECK(read(fds[0], &byte, 1) == 1 && byte == '3');
	CHECK(read(fds[1], &byte, 1) == 1 && byte == '4'); /* a dup has the same offset */
	CHECK(read(fds[2], &byte, 1) == 1 && byte == '0'); /* opened apart, it has not */
	CHECK((fcntl(fds[3], F_GETFL) & (O_ACCMODE | O_APPEND)) == (O_WRONLY | O_APPEND));
}

static void test_file_offset(void)
{
	char path[] = "/tmp/clone-test-XXXXXX";

	fds[0] = mkstemp(path);
	CHECK(write(fds[0], "0123456789", 10) == 10);
	CHECK(lseek(fds[0], 3, SEEK_SET) == 3);
	fds[1] = dup(fds[0]);
	fds[2] = open(path, O_RDONLY | O_CLOEXEC);
	fds[3] = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	unlink(path); /* it can be opened again all the same */
	check_everywhere(expect_file);
}

/* A file that this process could not open now. */
static void test_file_of_another_user(void)
{
	char path[] = "/tmp/clone-test-XXXXXX";
	struct clone_template *t;
	pid_t pid;

	if (geteuid() != 0)
		return;
	fds[0] = mkstemp(path);
	unlink(path);
	CHECK(write(fds[0], "0123456789", 10) == 10 && lseek(fds[0], 3, SEEK_SET) == 3);
	CHECK(setresuid(65534, 65534, 65534) == 0 && prctl(PR_SET_DUMPABLE, 1) == 0);
	t = template_park();
	CHECK(scenario_noted("cannot be opened again"));
	pid = template_clone(t);
	if (pid == 0) {
		expect_bytes(fds[0], "3456789");
		clone_done();
	}
	clone_expect_done(pid);
	CHECK(lseek(fds[0], 0, SEEK_CUR) == 10); /* shared, as was said */
}

/* Devices have no state of ours. */
static void expect_devices(void)
{
	char byte = 'x';

	CHECK(write(fds[0], "1", 1) == 1 && read(fds[0], &byte, 1) == 0);
	CHECK(read(fds[1], &byte, 1) == 1 && byte == 0);
}

static void test_devices(void)
{
	fds[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
	fds[1] = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	check_everywhere(expect_devices);
	CHECK(!scenario_noted("Descriptor"));
}

/* What has a state that cannot be made again is shared, and that is said. */
static void test_named_pipe(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/tmp/clone-test-%d-%llx", getpid(),
		(unsigned long long)usec_realtime());
	CHECK(mkfifo(path, 0600) == 0);
	fds[0] = open(path, O_RDWR | O_CLOEXEC);
	unlink(path);
	fds[1] = (int)syscall(SYS_pidfd_open, getpid(), 0);
	clone_release(template_park());
	CHECK(scenario_noted("named pipe /tmp/clone-test"));
	CHECK(!scenario_noted("pidfd"));
}

/* Ends of pairs in every order, with gaps: new ones must not get in each other's way. */
static void expect_interleaved(void)
{
	for (int i = 20; i < 40; i++) {
		char text[16];

		snprintf(text, sizeof(text), "for %d", i);
		expect_bytes(i, text);
	}
	CHECK(read(41, &(char){ 0 }, 1) == 1 && read(42, &(char){ 0 }, 1) == 1);
	write_u64(44, 9);
	CHECK(read_u64(46) == 9);
}

static void test_interleaved(void)
{
	/* Readers 20..39 ascending, writers 100.. or 50.. descending. */
	for (int i = 20; i < 40; i++) {
		int ends[2], writer = i % 2 ? 139 - i : 89 - i;
		char text[16];

		if (i % 3)
			CHECK(pipe(ends) == 0);
		else
			CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
		CHECK(dup2(ends[0], i) == i && dup2(ends[1], writer) == writer);
		close(ends[0]);
		close(ends[1]);
		CHECK(write(writer, text, (size_t)snprintf(text, sizeof(text), "for %d", i)) > 0);
	}
	CHECK(pipe(fds) == 0 && dup2(fds[1], 40) == 40 && dup2(fds[0], 41) == 41);
	CHECK(dup2(fds[0], 42) == 42 && write(40, "ab", 2) == 2);
	close(fds[0]);
	close(fds[1]);
	fds[0] = eventfd(0, 0);
	CHECK(dup2(fds[0], 44) == 44 && dup2(fds[0], 46) == 46);
	close(fds[0]);
	check_everywhere(expect_interleaved);
}

/* epoll. */

static void expect_epoll(void)
{
	struct epoll_event events[4];

	CHECK(epoll_wait(fds[0], events, 4, 0) == 1);
	CHECK(events[0].data.u64 == 0xdeadbeef12345678 && events[0].events == EPOLLIN);
	read_u64(fds[1]);
	CHECK(epoll_wait(fds[0], events, 4, 0) == 0);
	write_u64(fds[2], 1);
	CHECK(epoll_wait(fds[0], events, 4, 0) == 1 && events[0].data.u64 == 2);
	CHECK(epoll_wait(fds[0], events, 4, 0) == 0); /* edge-triggered: once */
	CHECK(epoll_ctl(fds[0], EPOLL_CTL_DEL, fds[1], NULL) == 0);
	CHECK(epoll_ctl(fds[0], EPOLL_CTL_DEL, fds[1], NULL) == -1 && errno == ENOENT);
}

static void epoll_add(int epoll, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event e = { .events = events, .data.u64 = data };

	CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) == 0);
}

static void test_epoll(void)
{
	fds[0] = epoll_create1(EPOLL_CLOEXEC);
	fds[1] = eventfd(1, EFD_CLOEXEC);
	fds[2] = eventfd(0, EFD_CLOEXEC);
	epoll_add(fds[0], fds[1], EPOLLIN, 0xdeadbeef12345678);
	epoll_add(fds[0], fds[2], EPOLLIN | EPOLLET, 2);
	check_everywhere(expect_epoll);
}

static void expect_nested(void)
{
	struct epoll_event events[4];

	CHECK(epoll_wait(fds[0], events, 4, 0) == 0);
	write_u64(fds[2], 1);
	CHECK(epoll_wait(fds[0], events, 4, 0) == 1 && events[0].data.u64 == 7);
	CHECK(epoll_wait(fds[1], events, 4, 0) == 1 && events[0].data.u64 == 8);
	read_u64(fds[2]);
}

static void test_nested_epoll(void)
{
	fds[0] = epoll_create1(EPOLL_CLOEXEC);
	fds[1] = epoll_create1(EPOLL_CLOEXEC);
	fds[2] = eventfd(0, EFD_CLOEXEC);
	epoll_add(fds[0], fds[1], EPOLLIN, 7);
	epoll_add(fds[1], fds[2], EPOLLIN, 8);
	check_everywhere(expect_nested);
}

/* The number of a watch was closed, or used for something else; a dup keeps the watch alive. */
static void expect_stale(void)
{
	struct epoll_event events[4];
	struct stat s;

	CHECK(fstat(fds[1], &s) == -1 && errno == EBADF);
	CHECK(epoll_wait(fds[0], events, 4, 0) == 0);
	write_u64(fds[2], 1);
	CHECK(epoll_wait(fds[0], events, 4, 0) == 1 && events[0].data.u64 == 9);
	read_u64(fds[2]);
	write_u64(fds[4], 1);
	CHECK(epoll_wait(fds[0], events, 4, 0) == 1 && events[0].data.u64 == 10);
	read_u64(fds[4]);
	write_u64(fds[3], 1); /* at the number of the second watch, but not watched */
	CHECK(epoll_wait(fds[0], events, 4, 0) == 0);
	read_u64(fds[3]);
}

static void test_epoll_with_stale_numbers(void)
{
	fds[0] = epoll_create1(EPOLL_CLOEXEC);
	fds[1] = eventfd(0, EFD_CLOEXEC);
	fds[3] = eventfd(0, EFD_CLOEXEC);
	epoll_add(fds[0], fds[1], EPOLLIN, 9);
	epoll_add(fds[0], fds[3], EPOLLIN, 10);
	fds[2] = dup(fds[1]);
	fds[4] = dup(fds[3]);
	close(fds[1]);
	close(fds[3]);
	CHECK(dup2(eventfd(0, EFD_CLOEXEC), fds[3]) == fds[3]);
	close(fds[1]);
	check_everywhere(expect_stale);
}

/* Sockets. */

static void expect_pair(void)
{
	char message[64] = "";

	expect_bytes(fds[0], "to the first");
	expect_bytes(fds[1], "to the second");
	CHECK(write(fds[1], "again", 5) == 5);
	expect_bytes(fds[0], "again");
	CHECK(fcntl(fds[0], F_GETFL) & O_NONBLOCK && !(fcntl(fds[1], F_GETFL) & O_NONBLOCK));

	CHECK(recv(fds[2], message, sizeof(message), 0) == 3 && memcmp(message, "one", 3) == 0);
	CHECK(recv(fds[2], message, sizeof(message), 0) == 5 && memcmp(message, "three", 5) == 0);
	CHECK(recv(fds[2], message, sizeof(message), MSG_DONTWAIT) == -1 && errno == EAGAIN);

	CHECK(recv(fds[4], message, sizeof(message), 0) == 4 && memcmp(message, "last", 4) == 0);
	CHECK(recv(fds[4], message, sizeof(message), 0) == 0); /* its peer shut down writing */
	CHECK(send(fds[4], "back", 4, 0) == 4);
	CHECK(recv(fds[5], message, sizeof(message), 0) == 4);
}

static void test_socket_pair(void)
{
	struct timeval timeout = { .tv_sec = 3 };

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	CHECK(write(fds[1], "to the ", 7) == 7 && write(fds[1], "first", 5) == 5);
	CHECK(write(fds[0], "to the second", 13) == 13);
	CHECK(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds + 2) == 0);
	CHECK(write(fds[3], "one", 3) == 3 && write(fds[3], "three", 5) == 5);
	setsockopt(fds[2], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds + 4) == 0);
	CHECK(write(fds[5], "last", 4) == 4 && shutdown(fds[5], SHUT_WR) == 0);
	check_everywhere(expect_pair);
	CHECK(!scenario_noted("Descriptor"));
}

static void test_socket_pair_options(void)
{
	struct timeval timeout = { .tv_sec = 3 };
	int on = 1, size = 500000;
	struct clone_template *t;
	pid_t pid;

	CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds) == 0);
	setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(fds[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
	setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	t = template_park();
	pid = template_clone(t);
	if (pid == 0) {
		struct timeval got = { 0 };
		socklen_t length = sizeof(got);

		CHECK(getsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &got, &length) == 0);
		CHECK(got.tv_sec == 3);
		length = sizeof(on);
		on = 0;
		CHECK(getsockopt(fds[0], SOL_SOCKET, SO_PASSCRED, &on, &length) == 0 && on == 1);
		size = 0;
		CHECK(getsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &size, &length) == 0);
		CHECK(size > 212992);
		clone_done();
	}
	clone_expect_done(pid);
}

static int listen_on_loopback(struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(*address);

	*address = (struct sockaddr_in){ .sin_family = AF_INET };
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK(bind(fd, (struct sockaddr *)address, size) == 0 && listen(fd, 5) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)address, &size) == 0);
	return fd;
}

/* A connection to a server that echoes: the clone must neither read from it nor write to it. */
static void test_connected_socket(void)
{
	struct sockaddr_in address;
	int listener = listen_on_loopback(&address);
	struct clone_template *t;
	pid_t pid, server = fork();
	char text[8] = "";

	if (server == 0) {
		int fd = accept(listener, NULL, NULL);

		CHECK(read(fd, text, 8) == 2 && text[0] == 'h');
		CHECK(write(fd, "ho", 2) == 2);
		clone_done();
	}
	close(listener);
	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(connect(fds[0], (struct sockaddr *)&address, sizeof(address)) == 0);
	fds[1] = epoll_create1(EPOLL_CLOEXEC);
	epoll_add(fds[1], fds[0], EPOLLIN, 3);
	t = template_park();
	CHECK(scenario_noted("connection to 127.0.0.1:"));
	pid = template_clone(t);
	if (pid == 0) {
		struct epoll_event event;

		CHECK(epoll_wait(fds[1], &event, 1, 0) == 1 && event.data.u64 == 3);
		CHECK(read(fds[0], text, 8) == 0);
		CHECK(send(fds[0], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
		clone_done();
	}
	clone_expect_done(pid);
	CHECK(write(fds[0], "hi", 2) == 2 && read(fds[0], text, 8) == 2);
	clone_expect_done(server);
}

/* A listener gets no connections in a clone, and no errors that would make an event loop spin. */
static pthread_t acceptor;

static void *accept_run(void *data)
{
	int fd = accept(fds[0], NULL, NULL);

	CHECK(fd >= 0, "%d", errno);
	close(fd);
	return data;
}

static void test_listening_socket(void)
{
	struct sockaddr_in address;
	struct epoll_event event;
	struct clone_template *t;
	pid_t pid;

	fds[0] = listen_on_loopback(&address);
	fds[1] = epoll_create1(EPOLL_CLOEXEC);
	epoll_add(fds[1], fds[0], EPOLLIN, 3);
	acceptor = thread_start(accept_run, &acceptor);
	usleep(5000);
	t = template_park();
	CHECK(scenario_noted("listens on 127.0.0.1:"));
	pid = template_clone(t);
	if (pid == 0) {
		CHECK(epoll_wait(fds[1], &event, 1, 20) == 0);
		CHECK(pthread_tryjoin_np(acceptor, NULL) == EBUSY);
		CHECK(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0);
		CHECK(accept(fds[0], NULL, NULL) == -1 && errno == EAGAIN);
		clone_done();
	}
	clone_expect_done(pid);
	clone_release(t);
	fds[2] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(connect(fds[2], (struct sockaddr *)&address, sizeof(address)) == 0);
	thread_join_expect(acceptor, &acceptor);
}

/* A connection within the process, over a listener of its own, is a pair like any other. */
static void expect_own_connection(void)
{
	expect_bytes(fds[1], "bytes");
	CHECK(write(fds[1], "and back", 8) == 8);
	expect_bytes(fds[2], "and back");
}

static void test_own_connection(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/clone-test-%d", getpid());
	fds[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(bind(fds[0], (struct sockaddr *)&address, sizeof(address)) == 0);
	CHECK(listen(fds[0], 5) == 0);
	fds[1] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(connect(fds[1], (struct sockaddr *)&address, sizeof(address)) == 0);
	fds[2] = accept(fds[0], NULL, NULL);
	unlink(address.sun_path);
	CHECK(write(fds[2], "bytes", 5) == 5);
	check_everywhere(expect_own_connection);
	CHECK(scenario_noted("listens on /tmp/clone-test"));
}

static void test_unconnected_sockets(void)
{
	struct sockaddr_in address;
	struct clone_template *t;
	pid_t pid;

	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	fds[1] = socket(AF_INET6, SOCK_DGRAM, 0);
	t = template_park();
	pid = template_clone(t);
	if (pid == 0) {
		int listener = listen_on_loopback(&address);

		CHECK(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
		connect(fds[0], (struct sockaddr *)&address, sizeof(address));
		CHECK(accept(listener, NULL, NULL) >= 0);
		clone_done();
	}
	clone_expect_done(pid);
	socklen_t size = sizeof(address);
	CHECK(getpeername(fds[0], (struct sockaddr *)&address, &size) == -1 && errno == ENOTCONN);
}

/* Replaced and ignored descriptors. */

static void test_replacements(void)
{
	const int ignored[] = { 3, 4 };
	struct clone_template *t;
	int console[2], failed = -1, channel;
	pid_t pid;

	CHECK(pipe(console) == 0);
	CHECK(dup2(console[1], 10) == 10 && dup2(console[1], 11) == 11);
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
	CHECK(dup3(fds[0], 12, O_CLOEXEC) == 12);
	fds[2] = epoll_create1(EPOLL_CLOEXEC);
	epoll_add(fds[2], 12, EPOLLIN, 12);
	close(console[1]);
	fds[3] = open("/tmp", O_RDONLY | O_DIRECTORY);
	t = template_park_ignoring(ignored, 2);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds + 4) == 0);
	channel = fds[5];

	const struct clone_request request = { .exit_signal = SIGCHLD, .cgroup_fd = -1 };
	int r = clone_fork(t, &request, &pid);

	if (r == CLONE_CHILD) {
		int output[2];

		CHECK(pipe2(output, O_CLOEXEC) == 0);
		const struct clone_descriptor replacements[] = {
			{ .number = 10, .fd = output[1] },
			{ .number = 12, .fd = channel, .keep_flags = true },
		};
		CHECK(clone_remake_descriptors(t, replacements, 2, &failed) == 0, "%d", failed);
		CHECK(clone_resume(t) == 0);

		/* The dup of the console follows; flags are the template's. */
		CHECK(write(11, "line", 4) == 4 && write(10, "2", 1) == 1);
		expect_bytes(output[0], "line2");
		CHECK(fcntl(10, F_GETFD) == 0 && fcntl(12, F_GETFD) == FD_CLOEXEC);
		CHECK(fcntl(12, F_GETFL) & O_NONBLOCK);
		CHECK(fcntl(output[1], F_GETFD) == -1 && fcntl(channel, F_GETFD) == -1);

		/* The watch is on the channel now. */
		struct epoll_event event;
		CHECK(epoll_wait(fds[2], &event, 1, 0) == 0);
		CHECK(write(fds[4], "x", 1) == 1);
		CHECK(epoll_wait(fds[2], &event, 1, 0) == 1 && event.data.u64 == 12);
		clone_done();
	}
	CHECK(r == 0);
	clone_expect_done(pid);
	CHECK(fcntl(console[0], F_SETFL, O_NONBLOCK) == 0);
	CHECK(read(console[0], &r, 1) == -1 && errno == EAGAIN);
}

/* What the caller keeps for itself is shared and not reported. */
static void test_ignored(void)
{
	struct sockaddr_in address;
	struct clone_template *t;
	pid_t pid;

	fds[0] = listen_on_loopback(&address);
	fds[1] = eventfd(0, EFD_CLOEXEC);
	fds[2] = dup(fds[1]);
	t = template_park_ignoring(fds, 2);
	CHECK(!scenario_noted("Descriptor"));
	pid = template_clone(t);
	if (pid == 0) {
		write_u64(fds[2], 3); /* the dup of an ignored one is ignored too */
		clone_done();
	}
	clone_expect_done(pid);
	CHECK(read_u64(fds[1]) == 3);
}

/* 500 descriptors of all kinds: the tables grow. */
static void expect_hundreds(void)
{
	for (int i = 100; i < 600; i += 2)
		CHECK(read_u64(i) == (uint64_t)i);
}

static void test_hundreds(void)
{
	for (int i = 100; i < 600; i += 2) {
		int fd = eventfd((unsigned)i, EFD_CLOEXEC);

		CHECK(dup3(fd, i, O_CLOEXEC) == i && dup3(fd, i + 1, O_CLOEXEC) == i + 1);
		close(fd);
	}
	check_everywhere(expect_hundreds);
}

int main(void)
{
	static const struct scenario scenarios[] = {
		{ "eventfd", test_eventfd },
		{ "timerfd", test_timerfd },
		{ "timerfd expires while parked", test_timerfd_expires_while_parked },
		{ "signalfd", test_signalfd },
		{ "inotify", test_inotify },
		{ "pipe", test_pipe },
		{ "full pipe", test_full_pipe },
		{ "pipe with fragments", test_pipe_with_fragments },
		{ "external pipe", test_external_pipe },
		{ "file offset", test_file_offset },
		{ "file of another user", test_file_of_another_user },
		{ "devices", test_devices },
		{ "named pipe", test_named_pipe },
		{ "interleaved", test_interleaved },
		{ "epoll", test_epoll },
		{ "nested epoll", test_nested_epoll },
		{ "epoll with stale numbers", test_epoll_with_stale_numbers },
		{ "socket pair", test_socket_pair },
		{ "socket pair options", test_socket_pair_options },
		{ "connected socket", test_connected_socket },
		{ "listening socket", test_listening_socket },
		{ "own connection", test_own_connection },
		{ "unconnected sockets", test_unconnected_sockets },
		{ "replacements", test_replacements },
		{ "ignored", test_ignored },
		{ "hundreds", test_hundreds },
	};

	return scenario_run_all(scenarios, array_size(scenarios));
}
