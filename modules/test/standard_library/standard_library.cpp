// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The parts of the standard library that a module may use link and work, and where they would throw the call ends.
//
// Built by clang in the tree and by both compilers outside of it (tests/system/standard_library.sh).

#include "helix/module.hpp"

#include <algorithm>
#include <bit>
#include <bitset>
#include <deque>
#include <expected>
#include <functional>
#include <string_view>
#include <vector>

#ifdef _LIBCPP_VERSION  // these live in the library of g++, not in its headers
#include <list>
#include <map>
#endif

class StandardLibrary final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"standard-library"}
                                      .version(1, 0, 0)
                                      .description("Uses the standard library as modules may")
                                      .license("MIT OR Apache-2.0")
                                      .flags(helix::ModuleFlags::Experimental);

    helix::Result<void> init(const helix::Context&) override { return {}; }
    helix::Result<void> start() override { return {}; }
    helix::Result<void> stop() override { return {}; }

    /// `count N` gives the bits of N set in 64, 32 and a bitset; `collect N` sums 1 to N by way of the containers;
    /// `find TEXT` gives the position of an x; `half N` half of N, if that is even, by way of std::expected; the others
    /// go wrong in the way of their name.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        const helix::Text text = helix::as_text(request.payload);
        uint64_t value = 0;
        (void)helix::parse_unsigned(text, value);
        if (request.request_type == "count") return count(value);
        if (request.request_type == "collect") return collect(value);
        if (request.request_type == "find") {
            const std::string_view view(text.data(), text.size());
            return helix::Response::ok(helix::format<24>("{}", static_cast<uint64_t>(view.find('x'))).text());
        }
        if (request.request_type == "half") {
            const helix::Result<uint64_t> number = half(value);
            if (!number.ok()) return number.error();
            return helix::Response::ok(helix::format<24>("{}", number.value()).text());
        }
        std::vector<uint64_t> numbers;
        if (request.request_type == "length") {
            numbers.reserve(SIZE_MAX - value);
        } else if (request.request_type == "range") {
            numbers.push_back(numbers.at(value));
        } else if (request.request_type == "function") {
            std::function<uint64_t()> nothing;
            if (value != 0) nothing = [] { return 1; };
            numbers.push_back(nothing());
        } else {
            return helix::ErrorCode::NotImplemented;
        }
        return helix::Response::ok(helix::format<24>("{}", numbers.size()).text());
    }

private:
    static std::expected<uint64_t, helix::Error> half(uint64_t value) {
        if (value % 2 != 0) return helix::Result<uint64_t>(helix::Error(helix::ErrorCode::OutOfRange, "it is odd"));
        return value / 2;
    }
    static helix::Result<helix::Response> count(uint64_t value) {
        uint64_t in_bitset = static_cast<uint64_t>(std::popcount(value));
#ifdef _LIBCPP_VERSION
        in_bitset = std::bitset<64>(value).count();
#endif
        const auto in_64 = static_cast<uint64_t>(std::popcount(value));
        const auto in_32 = static_cast<uint64_t>(std::popcount(static_cast<uint32_t>(value)));
        return helix::Response::ok(helix::format<40>("{} {} {}", in_64, in_32, in_bitset).text());
    }
    static helix::Result<helix::Response> collect(uint64_t upto) {
        std::vector<uint64_t> numbers;
        std::deque<uint64_t> ends;
        for (uint64_t i = 1; i <= upto; ++i) {
            numbers.push_back(i);
            ends.push_front(i);
        }
        std::ranges::sort(numbers, std::greater{});
        if (!std::ranges::equal(numbers, ends)) return helix::Response::err("vector and deque differ");
        uint64_t sum = 0;
        const std::function<void(uint64_t)> add = [&sum](uint64_t number) { sum += number; };
        std::ranges::for_each(numbers, add);
#ifdef _LIBCPP_VERSION
        std::map<uint64_t, uint64_t> by_number;
        std::list<uint64_t> chain;
        for (uint64_t number : numbers) {
            by_number[number] = number;
            chain.push_front(number);
        }
        if (!std::ranges::equal(chain, by_number, {}, {}, [](const auto& entry) { return entry.second; }))
            return helix::Response::err("list and map differ");
#endif
        return helix::Response::ok(helix::format<24>("{}", sum).text());
    }
};

HELIX_MODULE(StandardLibrary)
