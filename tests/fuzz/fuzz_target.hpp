// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What a fuzz target is: a function over bytes that traps when a promise is broken.
//
// The same function is driven by libFuzzer (helix_fuzz_NAME) and, over the committed corpus, by the unit tests.
#pragma once

#include "helix/types.hpp"

/// A broken promise ends the process, also without a sanitizer.
#define HELIX_FUZZ_REQUIRE(condition)       \
    do {                                    \
        if (!(condition)) __builtin_trap(); \
    } while (false)

#if defined(HELIX_FUZZER)
#define HELIX_FUZZ_ENTRY(name)                                                \
    extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);  \
    extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) { \
        helix::fuzz::name(helix::Bytes(data, size));                          \
        return 0;                                                             \
    }
#else
#define HELIX_FUZZ_ENTRY(name)
#endif

namespace helix::fuzz {

void elf(Bytes input);
void archive(Bytes input);
void profile(Bytes input);
void shell_line(Bytes input);
void source_line(Bytes input);
void state_reader(Bytes input);

/// Reads every byte, so that a sanitizer sees a span that leads outside.
inline uint64_t touch(Bytes bytes) {
    uint64_t sum = 0;
    for (uint8_t byte : bytes) sum += byte;
    return sum;
}
inline uint64_t touch(Text text) {
    return touch(as_bytes(text));
}

}  // namespace helix::fuzz
