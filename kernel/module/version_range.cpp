// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Parsing of versions, version ranges and requirements.

#include "kernel/module/version_range.hpp"

#include "helix/format.hpp"
#include "kernel/module/text_rules.hpp"

namespace helix::kernel {

namespace {

constexpr bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
constexpr bool is_separator(char c) {
    return c == ' ' || c == ',';
}
constexpr bool is_operator(char c) {
    return c == '<' || c == '>' || c == '=' || c == '^' || c == '~';
}

[[gnu::noinline, gnu::cold]] Error not_a_version(Text text) {
    return Error(
        ErrorCode::InvalidArgument,
        format("\"{}\" is not a version; write one to three numbers up to 65535, as in 1.2.3", quoted<40>(text).text())
            .text());
}

/// A version that may leave parts out.
struct PartialVersion {
    uint64_t number;  ///< packed, what is missing is 0
    uint32_t parts;   ///< 1 to 3
    uint16_t part[3];

    /// What must be added to step to the next version of the last part that is given.
    uint64_t step() const { return uint64_t{1} << (16 * (3 - parts)); }
};

bool parse_partial(Text text, PartialVersion& out) {
    out = {};
    size_t i = 0;
    while (true) {
        if (out.parts == 3 || i == text.size() || !is_digit(text[i])) return false;
        if (text[i] == '0' && i + 1 < text.size() && is_digit(text[i + 1])) return false;  // semver: no leading zero
        uint32_t value = 0;
        while (i < text.size() && is_digit(text[i])) {
            value = value * 10 + static_cast<uint32_t>(text[i++] - '0');
            if (value > UINT16_MAX) return false;
        }
        out.part[out.parts++] = static_cast<uint16_t>(value);
        if (i == text.size()) break;
        if (text[i++] != '.') return false;
    }
    out.number = uint64_t{out.part[0]} << 32 | uint64_t{out.part[1]} << 16 | out.part[2];
    return true;
}

}  // namespace

Result<Version> parse_version(Text text) {
    PartialVersion version;
    if (!parse_partial(text, version)) return not_a_version(text);
    return Version{version.part[0], version.part[1], version.part[2]};
}

Result<VersionRange> VersionRange::parse(Text text) {
    VersionRange range;
    size_t comparators = 0;
    size_t i = 0;
    bool after_comma = false;
    while (true) {
        while (i < text.size() && is_separator(text[i])) {
            if (text[i] == ',' && (comparators == 0 || after_comma))
                return Error(ErrorCode::InvalidArgument,
                             format("the version range \"{}\" has a comma without a comparator before it",
                                    quoted<62>(text).text())
                                 .text());
            after_comma |= text[i++] == ',';
        }
        if (i == text.size()) break;
        if (++comparators > kMaximumComparators)
            return Error(ErrorCode::InvalidArgument, format("the version range \"{}\" has more than {} comparators",
                                                            quoted<62>(text).text(), kMaximumComparators)
                                                         .text());
        after_comma = false;
        size_t start = i;
        while (i < text.size() && is_operator(text[i])) ++i;
        const Text symbol = text.substr(start, i - start);
        while (i < text.size() && text[i] == ' ') ++i;
        start = i;
        while (i < text.size() && !is_separator(text[i]) && !is_operator(text[i])) ++i;
        const Text version_text = text.substr(start, i - start);
        PartialVersion version;
        if (!parse_partial(version_text, version)) return not_a_version(version_text);

        uint64_t low = 0;
        uint64_t high = uint64_t{1} << 48;
        if (symbol.empty() || symbol == "=") {
            low = version.number;
            high = version.number + version.step();
        } else if (symbol == ">=") {
            low = version.number;
        } else if (symbol == ">") {
            low = version.number + version.step();
        } else if (symbol == "<") {
            high = version.number;
        } else if (symbol == "<=") {
            high = version.number + version.step();
        } else if (symbol == "^") {
            low = version.number;
            uint32_t first = 0;
            while (first + 1 < version.parts && version.part[first] == 0) ++first;
            const uint64_t unit = uint64_t{1} << (16 * (2 - first));
            high = (version.number / unit + 1) * unit;
        } else if (symbol == "~") {
            low = version.number;
            const uint64_t unit = version.parts == 1 ? uint64_t{1} << 32 : uint64_t{1} << 16;
            high = (version.number / unit + 1) * unit;
        } else {
            return Error(
                ErrorCode::InvalidArgument,
                format("\"{}\" is not a comparator; use =, <, <=, >, >=, ^ or ~", quoted<20>(symbol).text()).text());
        }
        if (low > range.low_) range.low_ = low;
        if (high < range.high_) range.high_ = high;
    }
    if (comparators == 0) return Error(ErrorCode::InvalidArgument, "the version range is empty");
    if (after_comma)
        return Error(ErrorCode::InvalidArgument,
                     format("the version range \"{}\" ends with a comma", quoted<62>(text).text()).text());
    if (range.low_ >= range.high_)
        return Error(ErrorCode::InvalidArgument, format("no version satisfies \"{}\"", quoted<62>(text).text()).text());
    return range;
}

Result<Requirement> Requirement::parse(Text text) {
    size_t i = 0;
    while (i < text.size() && !is_separator(text[i]) && !is_operator(text[i])) ++i;
    Requirement requirement;
    const Text name = text.substr(0, i);
    if (!is_valid_name(name) || name.size() > decltype(requirement.name)::capacity())
        return Error(ErrorCode::InvalidArgument,
                     format("\"{}\" does not start with a name of 1 to 46 letters, digits, '.', '_' or '-'",
                            quoted<62>(text).text())
                         .text());
    requirement.name.assign(name);
    while (i < text.size() && text[i] == ' ') ++i;
    if (i < text.size()) {
        requirement.range = TRY(VersionRange::parse(text.substr(i)));
        requirement.has_range = true;
    }
    return requirement;
}

}  // namespace helix::kernel
