/*
 * memory.h - what deployments hold, and which of them go when the memory budget is used up.
 */
#pragma once

struct deployment;

/* Measures the template of a deployment that became ready; the figures arrive later. */
void memory_measure(struct deployment *d);
