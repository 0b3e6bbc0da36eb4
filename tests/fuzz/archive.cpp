// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Archives: members lie in the bytes, and what validate() accepts is iterated to its trailer.

#include "kernel/module/archive.hpp"

#include "tests/fuzz/fuzz_target.hpp"

namespace helix::fuzz {

void archive(Bytes input) {
    const bool valid = kernel::Archive::validate(input).ok();
    const kernel::Archive archive(input);
    size_t members = 0;
    size_t bytes = 0;
    for (const kernel::ArchiveEntry& entry : archive) {
        ++members;
        bytes += entry.data.size();
        touch(entry.name);
        touch(entry.data);
        HELIX_FUZZ_REQUIRE(entry.data.empty() ||
                           (entry.data.data() >= input.data() &&
                            entry.data.data() + entry.data.size() <= input.data() + input.size()));
        if (entry.is_file() && members < 16) {
            const Result<Bytes> found = archive.find(entry.name);
            HELIX_FUZZ_REQUIRE(found.ok());
            touch(found.value());
        }
    }
    HELIX_FUZZ_REQUIRE(members * 110 + bytes <= input.size());
    if (valid && !input.empty()) HELIX_FUZZ_REQUIRE((members + 1) * 110 + bytes <= input.size());
    archive.find("profile").ok();
}

}  // namespace helix::fuzz

HELIX_FUZZ_ENTRY(archive)
