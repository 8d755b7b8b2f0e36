/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/net/cmocka_net.h"
#include "cokernel/net/siphash.h"

static void matches_the_papers_vector(void **state)
{
    struct siphash_key k = { 0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull };
    uint8_t in[15];
    for (unsigned i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)i;
    assert_true(siphash24(&k, in, 15) == 0xa129ca6149be45e5ull); /* SipHash paper, appendix A */
    assert_true(siphash24(&k, in, 0) == 0x726fdb47dd0e0e31ull);
}

static void depends_on_key_and_every_word(void **state)
{
    struct siphash_key a = { 1, 2 }, b = { 1, 3 };
    struct siphash_state s = siphash_begin(&a), t = siphash_begin(&b), u = siphash_begin(&a);
    siphash13_word(&s, 7);
    siphash13_word(&t, 7);
    siphash13_word(&u, 8);
    uint64_t hs = siphash13_end(&s, 1);
    assert_true(hs != siphash13_end(&t, 1));
    assert_true(hs != siphash13_end(&u, 1));
}

static void a_pair_of_words_is_sixteen_bytes(void **state)
{
    struct siphash_key key = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };
    uint64_t words[2] = { 0x0123456789abcdef, 0xfedcba9876543210 };
    assert_int_equal(siphash24_pair(&key, words[0], words[1]), siphash24(&key, words, sizeof words));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_the_papers_vector),
        cmocka_unit_test(depends_on_key_and_every_word),
        cmocka_unit_test(a_pair_of_words_is_sixteen_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
