/*
 * doctor.h - what this machine gives to the isolation of functions, for people and programs.
 */
#pragma once

/* `polyvisor doctor [--json]`: 0 when everything required is there, else 1. argv[0] is "doctor". */
int doctor_main(int argc, char **argv);
