/*
 * precedence.h - who runs first when everybody wants to: what all others wait for.
 */
#pragma once

/*
 * The calling thread runs soon after it is woken, whatever else wants the processor, and not for long at
 * once. What it makes, threads and processes alike, inherits nothing of it. Where the kernel refuses the
 * higher priority, as to an ordinary user, it has the short turns alone. A thread that whoever started the
 * supervisor has given a class of its own, as by chrt, keeps it.
 */
void precedence_take(void);
