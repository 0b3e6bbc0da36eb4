// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Parsing of the compiled profile.

#include "kernel/module/profile.hpp"

#include "helix/format.hpp"
#include "helix/units.hpp"
#include "kernel/module/text_rules.hpp"

namespace helix::kernel {

namespace {

/// Cuts the first line off `rest`.
Text take_line(Text& rest) {
    const size_t end = rest.find('\n');
    const Text line = rest.substr(0, end);
    rest = end == SIZE_MAX ? Text() : rest.substr(end + 1);
    return line;
}

constexpr bool means_nothing(Text line) {
    return line.empty() || line[0] == '#';
}

[[gnu::noinline, gnu::cold]] Error refuse(ErrorCode code, size_t line, Text reason) {
    return Error(code, format("profile, line {}: {}", line, reason).text());
}

}  // namespace

Profile::Iterator& Profile::Iterator::operator++() {
    while (!rest_.empty()) {
        const Text line = take_line(rest_);
        if (means_nothing(line)) continue;
        const size_t equals = line.find('=');
        entry_ = {line.substr(0, equals), line.substr(equals + 1)};
        return *this;
    }
    entry_ = {{nullptr, 0}, {}};
    return *this;
}

Result<Profile> Profile::parse(Bytes bytes) {
    Profile profile;
    profile.text_ = as_text(bytes);
    Text rest = profile.text_;
    size_t entries = 0;
    for (size_t number = 1; !rest.empty(); ++number) {
        const Text line = take_line(rest);
        if (means_nothing(line)) continue;
        const size_t equals = line.find('=');
        if (equals == SIZE_MAX) return refuse(ErrorCode::InvalidArgument, number, "there is no '='; write key=value");
        const Text key = line.substr(0, equals);
        if (!is_valid_name(key))
            return refuse(ErrorCode::InvalidArgument, number,
                          format("\"{}\" is not a key", quoted<46>(key).text()).text());
        if (!is_printable(line.substr(equals + 1)))
            return refuse(ErrorCode::InvalidArgument, number,
                          format("the value of {} is not printable UTF-8", quoted<62>(key).text()).text());
        if (++entries > kMaximumEntries)
            return refuse(ErrorCode::OutOfRange, number, format("more than {} keys", kMaximumEntries).text());
        for (const ProfileEntry& earlier : profile) {
            if (earlier.key.data() == key.data()) break;
            if (earlier.key == key)
                return refuse(ErrorCode::AlreadyExists, number,
                              format("the key {} is there twice", quoted<62>(key).text()).text());
        }
    }
    return profile;
}

Text Profile::value(Text key, Text otherwise) const {
    for (const ProfileEntry& entry : *this)
        if (entry.key == key) return entry.value;
    return otherwise;
}

bool Profile::has(Text key) const {
    for (const ProfileEntry& entry : *this)
        if (entry.key == key) return true;
    return false;
}

Result<uint64_t> Profile::number(Text key) const {
    if (!has(key))
        return Error(ErrorCode::NotFound, format("the profile has no key {}", quoted<62>(key).text()).text());
    uint64_t out = 0;
    const Text text = value(key);
    if (!parse_unsigned(text, out))
        return Error(
            ErrorCode::InvalidArgument,
            format("profile, key {}: \"{}\" is not a number", quoted<62>(key).text(), quoted<24>(text).text()).text());
    return out;
}

}  // namespace helix::kernel
