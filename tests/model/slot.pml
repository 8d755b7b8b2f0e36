/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The delegation slot (abi/call.h): caller, twin and the two wake-up paths.
 * Checked: every call is executed exactly once with its own argument, every
 * result reaches its call, and nobody sleeps for ever (no invalid end state,
 * and `progress` is reached again and again).
 *
 * The state word's bits are modelled one by one but changed together, as the
 * exchange does. Plain stores of argument and result are ordered by the
 * exchanges, which are full barriers on every machine that the project runs on.
 *
 * MUTANT 1 to 4 each break one rule of the protocol; tests/model/run wants every
 * one of them found.
 */
#define CALLS 3
#ifndef MUTANT
#define MUTANT 0
#endif

bool posted, worker_sleeps, caller_sleeps;      /* otr_slot.state */
byte arg, result;                               /* otr_slot.arg[0], both ways */
bool c2h_bit, h2c_bit;                          /* wake bitmaps */
bool c2h_any, h2c_any;                          /* otr_wake.any */
bool c2h_irq, h2c_irq;                          /* doorbells on their way */
bool worker_token, caller_token;                /* wake-ups that were delivered */
byte executed;

inline wake(bit_, any, irq)
{
	bit_ = true;
	atomic { if :: !any -> any = true; irq = true :: else fi }
}

active proctype caller()
{
	byte n = 0;
	bool old_sleeps;

	do
	:: n < CALLS ->
		arg = n;
		d_step { old_sleeps = worker_sleeps; worker_sleeps = false;
			 caller_sleeps = false; posted = true };
		if
		:: old_sleeps -> wake(c2h_bit, c2h_any, c2h_irq)
		:: else
		fi;
		/* Spins for a while (or not at all), then sleeps. */
		do
		:: !posted -> break
#if MUTANT == 1 /* sets its bit without looking */
		:: posted -> caller_sleeps = true;
#else
		:: atomic { posted -> caller_sleeps = true };   /* cmpxchg */
#endif
			(caller_token); caller_token = false    /* thread_park() */
		od;
		assert(result == n);
		assert(executed == n + 1);
		n++;
progress:	skip
	:: n == CALLS -> break
	od
}

active proctype twin()
{
	bool old_sleeps;

end:	do
	:: posted ->
		result = arg;
		executed++;
		d_step { old_sleeps = caller_sleeps; posted = false;
			 caller_sleeps = false; worker_sleeps = false };
		if
#if MUTANT == 2 /* forgets the sleeping caller */
		:: old_sleeps -> skip
#else
		:: old_sleeps -> wake(h2c_bit, h2c_any, h2c_irq)
#endif
		:: else
		fi
#if MUTANT == 3 /* sleeps without looking */
	:: !posted && !worker_sleeps -> worker_sleeps = true;
#else
	:: atomic { !posted && !worker_sleeps -> worker_sleeps = true };        /* cmpxchg */
#endif
		/* Asleep: sees nothing until it is woken. */
end_w:		do
		:: worker_token -> worker_token = false;
			if :: posted -> break :: else fi
		od
	od
}

/* Linux's interrupt: takes `any` first, then the words. */
active proctype host_irq()
{
end:	do
	:: c2h_irq -> c2h_irq = false;
#if MUTANT != 4
		c2h_any = false;
#endif
		if
		:: c2h_bit -> c2h_bit = false; worker_token = true
		:: else
		fi;
#if MUTANT == 4 /* takes the words first */
		c2h_any = false
#endif
	od
}

active proctype cokernel_irq()
{
end:	do
	:: h2c_irq -> h2c_irq = false;
		h2c_any = false;
		if
		:: h2c_bit -> h2c_bit = false; caller_token = true
		:: else
		fi
	od
}
