/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory SECONDS MEBIBYTES: keeps a working set in mappings of many sizes that
 * come and go, each filled with its own pattern and checked before it goes.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#define MAPPINGS 64

static struct { uint64_t *at; size_t bytes; uint64_t seed; } map[MAPPINGS];

static void check(int i)
{
	for (size_t k = 0; k < map[i].bytes / 8; k += 64)
		if (map[i].at[k] != map[i].seed + k) {
			printf("wrong at %p\n", (void *)&map[i].at[k]);
			exit(1);
		}
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 1);
	size_t most = (size_t)(argc > 2 ? atoi(argv[2]) : 16) << 20, used = 0;
	uint64_t random = 12345;

	while (time(NULL) < end) {
		int i = (int)((random = random * 6364136223846793005ull + 1442695040888963407ull) >> 33) % MAPPINGS;
		size_t bytes = (((random >> 20) & 1023) + 1) << 12;

		if (map[i].at) {
			check(i);
			munmap(map[i].at, map[i].bytes);
			used -= map[i].bytes;
			map[i].at = NULL;
		}
		if (random >> 60 == 0)
			bytes = 8 << 20;
		if (used + bytes > most)
			continue;
		map[i].at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (map[i].at == MAP_FAILED) {
			perror("mmap");
			return 1;
		}
		map[i].bytes = bytes;
		map[i].seed = random;
		used += bytes;
		for (size_t k = 0; k < bytes / 8; k += 64)
			map[i].at[k] = random + k;
	}
	for (int i = 0; i < MAPPINGS; i++)
		if (map[i].at)
			check(i);
	printf("right\n");
	return 0;
}
