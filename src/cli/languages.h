/*
 * languages.h - the languages' folders that came with this program.
 *
 * What is run on the user's machine (a compiler, before a deploy) and the sample functions of
 * `bench` come from here, never from what a supervisor, which may be anyone's, answers.
 */
#pragma once

#include "base/err.h"

#include <jansson.h>

/* The folder with one folder per language: POLYVISOR_RUNTIMES, runtimes/ beside the program, or
 * that of an installation. malloc'd. */
int languages_find(char **ret, struct err *e) MUST_CHECK;

/* The manifest of one language, with "folder" added: its absolute path. */
int languages_load(const char *name, json_t **ret, struct err *e) MUST_CHECK;

/* An array of all manifests, each as languages_load() gives it; unreadable ones are left out. */
int languages_load_all(json_t **ret, struct err *e) MUST_CHECK;
