// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What a conformance suite found: how much it checked, and what failed, as JSON.
#pragma once

#include "helix/format.hpp"
#include "helix/request.hpp"

namespace helix::conformance {

/// A small generator of random numbers (splitmix64, after Steele, Lea and Flood, OOPSLA 2014).
class Random {
public:
    explicit Random(uint64_t seed) : state_(seed) {}
    uint64_t next() {
        uint64_t z = state_ += 0x9E3779B97F4A7C15u;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        return z ^ (z >> 31);
    }
    /// 0 to `limit` - 1.
    uint32_t below(uint32_t limit) { return static_cast<uint32_t>(next() % limit); }

private:
    uint64_t state_;
};

/// Appends `text` as the inside of a JSON string; false if it did not fit.
template <size_t N>
bool append_json(FixedText<N>& out, Text text) {
    bool whole = true;
    for (char c : text) {
        if (c == '"' || c == '\\') whole = out.append('\\') && whole;
        whole = out.append(static_cast<unsigned char>(c) < ' ' ? ' ' : c) && whole;
    }
    return whole;
}

class Report {
public:
    /// Counts one check and, when it failed, notes `scenario` and the formatted sentence. Returns `passed`.
    template <typename... Arguments>
    bool check(bool passed, Text scenario, FormatString<std::type_identity_t<Arguments>...> sentence,
               const Arguments&... arguments) {
        ++checks_;
        if (!passed) fail(scenario, format(sentence, arguments...).text());
        return passed;
    }
    void fail(Text scenario, Text sentence) {
        ++failures_;
        if (failures_ > kNoted) return;
        if (failures_ == 1) {
            first_.assign(scenario);
            first_.append(": ");
            first_.append(sentence);
        }
        if (failures_ > 1) noted_.append(',');
        noted_.append('"');
        append_json(noted_, scenario);
        noted_.append(": ");
        append_json(noted_, sentence);
        noted_.append('"');
    }
    /// One more figure for the JSON object; not a check.
    void measured(Text name, uint64_t value) { measured_.append(format(",\"{}\":{}", name, value).text()); }

    uint64_t checks() const { return checks_; }
    uint64_t failures() const { return failures_; }
    Text first_failure() const { return first_.text(); }

    /// An error response that names the first failure, or everything as JSON.
    Response response(Text interface, Text module, uint64_t seed) const {
        if (failures_ != 0)
            return Response::err(format("{} fails {} of {} checks of {} (seed {}), first {}", module, failures_,
                                        checks_, interface, seed, first_)
                                     .text());
        return Response::ok(json(interface, module, seed).text());
    }
    FixedText<4000> json(Text interface, Text module, uint64_t seed) const {
        FixedText<4000> out;
        out.append(format("{{\"interface\":\"{}\",\"module\":\"", interface).text());
        append_json(out, module);
        out.append(format("\",\"seed\":{},\"checks\":{}", seed, checks_).text());
        out.append(measured_.text());
        out.append(",\"failures\":[");
        out.append(noted_.text());
        out.append("]}");
        return out;
    }

private:
    static constexpr uint64_t kNoted = 8;

    uint64_t checks_ = 0;
    uint64_t failures_ = 0;
    FixedText<180> first_;
    FixedText<3200> noted_;
    FixedText<200> measured_;
};

}  // namespace helix::conformance
