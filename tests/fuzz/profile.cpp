// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Compiled profiles: an accepted one can be asked for each of its keys.

#include "kernel/module/profile.hpp"

#include "kernel/module/text_rules.hpp"
#include "kernel/module/version_range.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace helix::fuzz {

void profile(Bytes input) {
    const Result<kernel::Profile> parsed = kernel::Profile::parse(input);
    if (!parsed.ok()) {
        HELIX_FUZZ_REQUIRE(parsed.error().sentence().starts_with("profile, line "));
        return;
    }
    size_t entries = 0;
    for (const kernel::ProfileEntry& entry : parsed.value()) {
        if (++entries > 64) break;  // looking up is linear
        HELIX_FUZZ_REQUIRE(kernel::is_valid_name(entry.key) && kernel::is_printable(entry.value));
        HELIX_FUZZ_REQUIRE(parsed.value().has(entry.key));
        HELIX_FUZZ_REQUIRE(parsed.value().value(entry.key).data() == entry.value.data());
        parsed.value().number(entry.key).ok();
        for (Text word : kernel::Words(entry.value)) HELIX_FUZZ_REQUIRE(!word.empty() && word.find(' ') == SIZE_MAX);
        // Values double as version ranges and requirements, which come from modules.
        const Result<kernel::VersionRange> range = kernel::VersionRange::parse(entry.value);
        if (range.ok()) range.value().contains({1, 2, 3});
        const Result<kernel::Requirement> requirement = kernel::Requirement::parse(entry.value);
        if (requirement.ok()) HELIX_FUZZ_REQUIRE(kernel::is_valid_name(requirement.value().name.text()));
    }
}

}  // namespace helix::fuzz

HELIX_FUZZ_ENTRY(profile)
