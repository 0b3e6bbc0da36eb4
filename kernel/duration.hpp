// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Durations and times as people read them: "12 ns", "3.456 us", "78.901 ms", "2.345 s", "60 s".
#pragma once

#include "helix/format.hpp"

namespace helix::kernel {

/// At most three digits behind the point, the rest cut off.
inline FixedText<24> describe_duration(uint64_t ns) {
    if (ns < 1000) return format<24>("{} ns", ns);
    uint64_t thousandths = ns;
    Text unit = " us";
    if (ns >= 1'000'000'000) {
        thousandths = ns / 1'000'000;
        unit = " s";
    } else if (ns >= 1'000'000) {
        thousandths = ns / 1000;
        unit = " ms";
    }
    FixedText<24> out = format<24>("{}", thousandths / 1000);
    if (thousandths % 1000 != 0) out.append('.');
    for (uint64_t place = 100; place > 0 && thousandths % 1000 != 0; place /= 10)
        out.append(static_cast<char>('0' + thousandths / place % 10));
    out.append(unit);
    return out;
}

/// The time of something since boot, in seconds: "12.345678".
[[gnu::noinline]] inline FixedText<24> describe_time(uint64_t ns) {
    const auto micros = format<24>("{}", ns / 1000 % 1'000'000);
    FixedText<24> out = format<24>("{}", ns / 1'000'000'000);
    out.append(Text(".000000").substr(0, 7 - micros.size()));
    out.append(micros.text());
    return out;
}

/// The same as it stands in front of a line of the log: "[   12.345678]".
[[gnu::noinline]] inline FixedText<24> describe_log_time(uint64_t ns) {
    const FixedText<24> time = describe_time(ns);
    FixedText<24> out(Text("[     ").substr(0, time.size() < 12 ? 13 - time.size() : 1));
    out.append(time.text());
    out.append(']');
    return out;
}

}  // namespace helix::kernel
