/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random system calls and instructions, to see what survives them. Runs the same
 * on Linux and on a co-kernel.
 *
 *   fuzz [-s FIRST-SEED] [-n SEEDS | -t SECONDS] [-p PROCESSES] [-j THREADS]
 *        [-c CALLS] [-l LIMIT-MS] [-o CALL,...] FOLDER
 *
 * Each seed is a child with THREADS threads of CALLS calls each, in a folder, session
 * and uid of its own (60000 and up) under limits; PROCESSES of them run at once, a
 * dead one is followed by the next, what it left behind is killed. The sequence of a
 * thread depends on its seed and number alone, results that the kernel gives and
 * addresses it chooses aside, so `-s SEED -n 1` does the same again as far as threads
 * allow. Needs root, to give uids away; calls that a machine does not survive (reboot
 * and the like) are left out anyway. -o plays some calls only, fork, clone, rt_sigreturn and
 * `instructions` among them, to find out which it was. Status 0 unless the fuzzer itself could not go on.
 */
#include "apps/fuzz/fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void become(uint32_t slot)
{
	if (setresgid(GID, GID, GID) || setgroups(0, 0) ||
	    setresuid(FIRST_UID + slot, FIRST_UID + slot, FIRST_UID + slot)) {
		perror("fuzz: cannot take another uid");
		_exit(4);
	}
}

static void limit(int what, uint64_t value)
{
	setrlimit(what, &(struct rlimit){ value, value });
}

static pid_t start(uint32_t slot, uint64_t seed, const char *folder)
{
	char here[64];
	pid_t child = fork();
	int null;

	if (child)
		return child;
	setsid();
	snprintf(here, sizeof(here), "%u", slot);
	if (chdir(folder) || (mkdir(here, 0700) && errno != EEXIST) || chown(here, FIRST_UID + slot, GID) || chdir(here)) {
		perror("fuzz: its folder");
		_exit(4);
	}
	/* What the caller left open is no place for rubbish. */
	close_range(3, ~0u, 0);
	null = open("/dev/null", O_RDWR);
	for (int i = 0; i < 3; i++)
		dup2(null, i);
	limit(RLIMIT_FSIZE, 1 << 20);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_NOFILE, 64);
	limit(RLIMIT_NPROC, 600);
	limit(RLIMIT_AS, 512 << 20);
	limit(RLIMIT_MEMLOCK, 4 << 20);
	limit(RLIMIT_MSGQUEUE, 65536);
	become(slot);
	run_seed(seed);
	_exit(0);
}

/* System V objects outlive who made them. */
static void remove_ipc(uint32_t uid)
{
	struct shmid_ds shm;
	struct semid_ds sem;
	struct msqid_ds msg;
	int last, id;

	last = shmctl(0, SHM_INFO, (struct shmid_ds *)&(struct shm_info){ 0 });
	for (int i = 0; i <= last; i++)
		if ((id = shmctl(i, SHM_STAT, &shm)) >= 0 && shm.shm_perm.uid == uid)
			shmctl(id, IPC_RMID, 0);
	last = semctl(0, 0, SEM_INFO, &(struct seminfo){ 0 });
	for (int i = 0; i <= last; i++)
		if ((id = semctl(i, 0, SEM_STAT, &sem)) >= 0 && sem.sem_perm.uid == uid)
			semctl(id, 0, IPC_RMID);
	last = msgctl(0, MSG_INFO, (struct msqid_ds *)&(struct msginfo){ 0 });
	for (int i = 0; i <= last; i++)
		if ((id = msgctl(i, MSG_STAT, &msg)) >= 0 && msg.msg_perm.uid == uid)
			msgctl(id, IPC_RMID, 0);
}

/* What a seed left behind: processes that went their own ways, shared memory. */
static pid_t sweep(uint32_t slot)
{
	pid_t child = fork();

	if (child)
		return child;
	become(slot);
	remove_ipc(FIRST_UID + slot);
	kill(-1, SIGKILL);
	_exit(0);
}

struct slot {
	pid_t pid;
	bool sweeping;
	uint64_t seed, end;
};

static int usage(void)
{
	fprintf(stderr, "usage: fuzz [-s FIRST-SEED] [-n SEEDS | -t SECONDS] [-p PROCESSES] [-j THREADS] [-c CALLS] [-l LIMIT-MS] [-o CALL,...] FOLDER\n");
	return 2;
}

struct stats *stats;
uint32_t thread_count = 4, call_count = 400, limit_ms = 3000;

int main(int argc, char **argv)
{
	uint64_t seed = 1, left = UINT64_MAX, end = UINT64_MAX, seeds = 0, killed = 0, died[65] = { 0 };
	uint64_t told = now_ms();
	struct slot slots[MAX_SLOTS] = { 0 };
	uint32_t processes = 2, busy = 0;
	const char *only = 0;
	int opt;

	if (argc > 1 && !strcmp(argv[1], "--nop"))
		return 0;
	while ((opt = getopt(argc, argv, "s:n:t:p:j:c:l:o:")) != -1) {
		uint64_t n = optarg ? strtoull(optarg, 0, 0) : 0;

		switch (opt) {
		case 's': seed = n; break;
		case 'n': left = n; break;
		case 't': end = now_ms() + n * 1000; break;
		case 'p': processes = (uint32_t)n; break;
		case 'j': thread_count = (uint32_t)n; break;
		case 'c': call_count = (uint32_t)n; break;
		case 'l': limit_ms = (uint32_t)n; break;
		case 'o': only = optarg; break;
		default: return usage();
		}
	}
	if (optind + 1 != argc || !processes || processes > MAX_SLOTS || !thread_count || thread_count > MAX_THREADS ||
	    (left == UINT64_MAX && end == UINT64_MAX))
		return usage();
	if (geteuid()) {
		fprintf(stderr, "fuzz: only root can give the fuzzed programs uids of their own\n");
		return 2;
	}
	prepare_calls(only);
	stats = mmap(0, sizeof(*stats), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (stats == MAP_FAILED || prctl(PR_SET_CHILD_SUBREAPER, 1)) {
		perror("fuzz");
		return 2;
	}
	for (;;) {
		int status;
		pid_t pid_;

		for (uint32_t i = 0; i < processes; i++) {
			struct slot *s = &slots[i];

			if (!s->pid && left && now_ms() < end) {
				*s = (struct slot){ .pid = start(i, seed, argv[optind]), .seed = seed, .end = now_ms() + 2 * limit_ms };
				if (s->pid < 0) {
					perror("fuzz: fork");
					return 2;
				}
				seed++, seeds++, left--, busy++;
			} else if (s->pid && !s->sweeping && now_ms() > s->end) {
				kill(s->pid, SIGKILL);
				s->end = UINT64_MAX;
				killed++;
			}
		}
		if (!busy)
			break;
		/* For who wants to know which seed it was that hurt. */
		if (now_ms() > told + 20000) {
			printf("seeds before %lu\n", seed);
			fflush(stdout);
			told = now_ms();
		}
		pid_ = waitpid(-1, &status, WNOHANG);
		if (pid_ <= 0) {
			usleep(5000);
			continue;
		}
		for (uint32_t i = 0; i < processes; i++) {
			struct slot *s = &slots[i];

			if (s->pid != pid_)
				continue;	/* an orphan */
			if (s->sweeping) {
				*s = (struct slot){ 0 };
				busy--;
				continue;
			}
			if (WIFEXITED(status) && WEXITSTATUS(status) == 4) {
				fprintf(stderr, "fuzz: seed %lu could not begin\n", s->seed);
				return 2;
			}
			died[WIFSIGNALED(status) ? WTERMSIG(status) % 65 : 0]++;
			s->pid = sweep(i);
			s->sweeping = true;
			if (s->pid < 0) {
				perror("fuzz: fork");
				return 2;
			}
		}
	}
	printf("%lu seeds, %lu calls that ended well, %lu with an error, %lu faults; %lu out of time; ends:", seeds,
	       stats->good, stats->bad, stats->faults, killed);
	for (int i = 0; i < 65; i++)
		if (died[i])
			printf(" %s %lu", i ? sigabbrev_np(i) ? sigabbrev_np(i) : "realtime" : "exit", died[i]);
	printf("\n");
	return 0;
}
