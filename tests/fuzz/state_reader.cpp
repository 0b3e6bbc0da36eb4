// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Saved states: the reader accepts only what is whole, and its getters stay inside.

#include "helix/state.hpp"

#include <vector>

#include "tests/fuzz/fuzz_target.hpp"

namespace helix::fuzz {

namespace {

void read(Bytes state) {
    Result<StateReader> opened = StateReader::open(state);
    if (!opened.ok()) {
        HELIX_FUZZ_REQUIRE(opened.error().code() == ErrorCode::Corrupt);
        return;
    }
    const StateReader& reader = opened.value();
    uint64_t elements[8];
    for (const char* name : {"a", "b", "counter", "text", "bytes", "list", "on", "negative", ""}) {
        const Text key = Text::from_c_string(name);
        const bool known = reader.contains(key);
        const Result<uint64_t> number = reader.get_unsigned(key);
        HELIX_FUZZ_REQUIRE(known || number.error().code() == ErrorCode::NotFound);
        reader.get_signed(key).ok();
        reader.get_boolean(key).ok();
        const Result<Text> text = reader.get_text(key);
        if (text.ok()) touch(text.value());
        const Result<Bytes> bytes = reader.get_bytes(key);
        if (bytes.ok()) touch(bytes.value());
        const Result<size_t> count = reader.get_array(key, elements);
        HELIX_FUZZ_REQUIRE(!count.ok() || count.value() <= 8);
    }
    reader.schema();
}

}  // namespace

void state_reader(Bytes input) {
    read(input);
    // A right checksum behind any body, which chance would not find.
    std::vector<uint8_t> whole(input.begin(), input.end());
    const uint32_t crc = crc32(input);
    whole.push_back(0x1A);
    for (int shift = 24; shift >= 0; shift -= 8) whole.push_back(static_cast<uint8_t>(crc >> shift));
    read(Bytes(whole));
}

}  // namespace helix::fuzz

HELIX_FUZZ_ENTRY(state_reader)
