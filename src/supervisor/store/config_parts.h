/*
 * config_parts.h - what the files that implement config.h share with each other, and nobody else.
 *
 * config.c has the object and the settings, config_members.c reads the requests of clients,
 * config_json.c writes what clients and the store get.
 */
#pragma once

#include "supervisor/store/config.h"

/* With defaults for everything that is optional, or NULL. */
struct config *config_new(void);

/* A deep copy without a revision, or NULL. */
struct config *config_copy(const struct config *old);

/* Gives it a new revision and the time of now. */
int config_stamp(struct config *config) MUST_CHECK;

/* Replaces a text member. */
int config_set_text(char **member, const char *text) MUST_CHECK;

/* Reads the settings out of the tags, with the options' defaults for the others. */
int config_read_settings(
	struct config *config, const struct options *options, struct err *e) MUST_CHECK;

/* The same for what a client wants now: the options must permit it. What was stored under other
 * options stays what it is, and cannot be launched. */
int config_accept_settings(
	struct config *config, const struct options *options, struct err *e) MUST_CHECK;

/* Replaces the tags: an object of strings, within Lambda's limits. */
int config_set_tags(struct config *config, const json_t *tags, struct err *e) MUST_CHECK;

/* Applies the members of a request that are there and not null. */
int config_apply_members(struct config *config, const json_t *request, struct err *e) MUST_CHECK;

void config_free_environment(char **environment);
char **config_copy_environment(char *const *environment);
