// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The peer `poco`, or nothing where POCO is not there.

#include "poco_peer.hpp"

#if HELIX_POCO

#include "poco_class.hpp"

#include <Poco/ClassLoader.h>
#include <Poco/Exception.h>
#include <time.h>

#include <cstdio>
#include <memory>
#include <string>

namespace helix::benchmark {

namespace {

using Loader = Poco::ClassLoader<PocoClass>;

uint64_t now_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

/// `measure`, or `failed` if it throws.
template <typename Measure, typename Value>
Value caught(Measure measure, Value failed) {
    try {
        return measure();
    } catch (const Poco::Exception& error) {
        fprintf(stderr, "%s\n", error.displayText().c_str());
        return failed;
    }
}

}  // namespace

bool has_poco() {
    return true;
}

uint64_t time_poco_load() {
    static Loader loader;
    static const std::string file = HELIX_POCO_ONE, name = "implementor-0";
    return caught(
        [&] {
            const uint64_t begin = now_ns();
            loader.loadLibrary(file);
            const bool works = std::unique_ptr<PocoClass>(loader.create(name))->add_one(1) == 2;
            loader.unloadLibrary(file);
            return works ? now_ns() - begin : 0;
        },
        uint64_t{0});
}

std::vector<double> time_poco_lookups(PocoNames names) {
    constexpr size_t kBatches = 1000;
    constexpr size_t kLookups = 100;
    const std::string file = names == PocoNames::One ? HELIX_POCO_ONE : HELIX_POCO_THOUSAND;
    const std::string name = names == PocoNames::One ? "implementor-0" : "implementor-500";
    return caught(
        [&] {
            Loader loader;
            loader.loadLibrary(file);
            std::vector<double> samples;
            for (size_t batch = 0; batch < kBatches; ++batch) {
                const uint64_t begin = now_ns();
                for (size_t i = 0; i < kLookups; ++i) {
                    const auto* found = &loader.classFor(name);
                    asm volatile("" ::"r"(found));
                }
                samples.push_back(static_cast<double>(now_ns() - begin) / kLookups);
            }
            loader.unloadLibrary(file);
            return samples;
        },
        std::vector<double>());
}

}  // namespace helix::benchmark

#else

namespace helix::benchmark {

bool has_poco() {
    return false;
}
uint64_t time_poco_load() {
    return 0;
}
std::vector<double> time_poco_lookups(PocoNames) {
    return {};
}

}  // namespace helix::benchmark

#endif
