/*
 * settings.h - the names of the WIRE_SETTING fields ("NAME=VALUE") that a BECOME carries, and the
 * descriptors that come with a BECOME and a LAUNCH.
 *
 * The supervisor writes them, the guest library reads them; an unknown name is kept, and an adapter
 * can ask for it by pv_function(). A LAUNCH may carry settings as well: they win over those of the
 * BECOME, for one isolate.
 *
 *     name          value                        when it is absent
 *     namespaces    1, or 0: a plain clone       1
 *     envelope      1: everything that confines  0
 *                   the function; it needs namespaces=1
 *     isolates      how many may live at once    1000
 *     version       of the function              "$LATEST"
 *     memory_mb     memory limit of an isolate   "128"
 *     tmp_mb        size of the template's /tmp  0: it has none
 *     warm-up       rounds of the package's      1
 *                   warm-up events
 *     arn           of the function              ""
 *     log_group     /aws/lambda/NAME             that
 *     log_stream    name of the log stream       ""
 *     runtime       Lambda's identifier, such    none: AWS_EXECUTION_ENV is not set
 *                   as python3.11
 *     region        AWS_REGION                   "us-east-1"
 *     reply-bytes   largest reply                6291456
 *     pids          tasks of an isolate          no limit
 *     descriptors   open files of a process      no limit
 *     groups        how many `tasks` files of    0
 *                   control groups (v1) come
 *     cgroup        1: the directory of a        0
 *                   control group (v2) comes
 *     berth         of a LAUNCH: 1, its          0
 *                   namespaces come with it
 *
 * The WIRE_ENVIRONMENT fields of a BECOME are the function's own variables. The guest library adds
 * the reserved ones of Lambda (see src/guest/environment.c) where they are not among these, and
 * nothing of the template's own environment is left.
 *
 * Descriptors, in this order:
 *
 *     BECOME, namespaces=1    pid namespace, mount namespace, control socket, console, then with
 *                             envelope=1 the program of allowed system calls, and last the network
 *                             namespace if the function is to use one that exists; behind all that
 *                             the descriptors of `groups`, or that of `cgroup`
 *     BECOME, namespaces=0    control socket, console
 *     LAUNCH, namespaces=1    channel, console, /tmp mount, then the cgroup if there is one
 *     LAUNCH, berth=1         pid namespace, mount namespace, channel, console, then the cgroup if
 *                             there is one
 *     LAUNCH, namespaces=0    channel, console, then the cgroup if there is one
 *
 * What can be answered: to a BECOME or a LAUNCH that could not be forked, the template answers
 * REFUSED with the sequence of the request. A clone that fails on its way into its namespaces says
 * so itself, in a NOTE with WIRE_ERRNO on its own socket, and exits without a HELLO. A process that
 * cannot be parked sends REFUSED with sequence 0 where READY was expected, and exits.
 */
#pragma once

#define SETTING_NAMESPACES "namespaces"
#define SETTING_ENVELOPE "envelope"
#define SETTING_ISOLATES "isolates"
#define SETTING_VERSION "version"
#define SETTING_MEMORY_MB "memory_mb"
#define SETTING_TMP_MB "tmp_mb"
#define SETTING_WARM_UP "warm-up"
#define SETTING_ARN "arn"
#define SETTING_LOG_GROUP "log_group"
#define SETTING_LOG_STREAM "log_stream"
#define SETTING_RUNTIME "runtime"
#define SETTING_REGION "region"
#define SETTING_REPLY_BYTES "reply-bytes"
#define SETTING_PIDS "pids"
#define SETTING_DESCRIPTORS "descriptors"
#define SETTING_GROUPS "groups"
#define SETTING_CGROUP "cgroup"
#define SETTING_BERTH "berth"

#define SETTING_ISOLATES_DEFAULT 1000
#define SETTING_REPLY_BYTES_DEFAULT 6291456
