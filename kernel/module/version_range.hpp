// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Semantic version ranges and the requirements that name them: "helix-execution >=1.2, <2".
#pragma once

#include "helix/result.hpp"

namespace helix::kernel {

/// "1", "1.2" or "1.2.3"; what is left out is 0. Errors: InvalidArgument.
Result<Version> parse_version(Text text);

/// A set of versions without gaps. Written as one to four comparators, separated by commas or spaces, that must all
/// hold. A version that leaves parts out stands for all versions that begin with it:
///   =1.2 or 1.2   1.2.0 up to, not including, 1.3.0
///   >=1.2  >1.2   from 1.2.0; from 1.3.0
///   <1.2   <=1.2  below 1.2.0; below 1.3.0
///   ^1.2.3        compatible: below the next change of the first part that is not 0 (2.0.0; ^0.2.3: 0.3.0)
///   ~1.2.3        from 1.2.3 below 1.3.0; ~1: below 2.0.0
class VersionRange {
public:
    static constexpr size_t kMaximumComparators = 4;

    /// Every version.
    constexpr VersionRange() = default;
    /// Errors: InvalidArgument, also when no version can satisfy all comparators.
    static Result<VersionRange> parse(Text text);

    constexpr bool contains(Version version) const {
        const uint64_t number = pack(version);
        return number >= low_ && number < high_;
    }

private:
    /// Versions as numbers that compare alike; one more is the next patch.
    static constexpr uint64_t pack(Version version) {
        return uint64_t{version.major} << 32 | uint64_t{version.minor} << 16 | version.patch;
    }

    uint64_t low_ = 0;
    uint64_t high_ = uint64_t{1} << 48;  ///< exclusive
};

/// What a dependency says: a module or capability, and which versions of it will do.
struct Requirement {
    FixedText<46> name;
    VersionRange range;
    bool has_range = false;

    /// Errors: InvalidArgument.
    static Result<Requirement> parse(Text text);
};

}  // namespace helix::kernel
