/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs the fuzz target without a fuzzer: on the files named (AFL's @@, a crash
 * to look at), else on the corpus in the tree and on random scripts by seed.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/net/fuzz/fuzz.h"

#define RANDOM_SCRIPTS 3000u

static int run_file(const char *path)
{
    static uint8_t bytes[1 << 16];
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        return 1;
    }
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    LLVMFuzzerTestOneInput(bytes, n);
    return 0;
}

int main(int argc, char **argv)
{
    static uint8_t bytes[2048];
    unsigned files = 0;
    for (int k = 1; k < argc; k++)
        if (run_file(argv[k]))
            return 1;
    if (argc > 1)
        return 0;
    DIR *dir = opendir(fuzz_corpus);
    struct dirent *e;
    while (dir && (e = readdir(dir))) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", fuzz_corpus, e->d_name);
        if (e->d_name[0] != '.' && run_file(path) == 0)
            files++;
    }
    if (dir)
        closedir(dir);
    for (unsigned seed = 0; seed < RANDOM_SCRIPTS; seed++) {
        srand(seed);
        size_t n = (size_t)rand() % sizeof bytes;
        for (size_t i = 0; i < n; i++)
            bytes[i] = (uint8_t)(rand() >> 7);
        LLVMFuzzerTestOneInput(bytes, n);
    }
    printf("fuzz: %u files and %u random scripts\n", files, RANDOM_SCRIPTS);
    return 0;
}
