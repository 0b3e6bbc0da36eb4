// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The conformance suite of helix.allocator: fills and drains batches of every class and writes every byte of them.
//
// Every block holds a pattern that is its own while it is out, so that overlapping blocks betray each other. One
// caller at a time; everything is given back at the end.
#pragma once

#include "helix/interfaces/allocator.hpp"
#include "helix/result.hpp"
#include "report.hpp"

namespace helix::conformance {

/// `Target` has `call<&Allocator::METHOD>(arguments…)` that returns a Result, like Handle<Allocator>.
template <typename Target>
class AllocatorConformance {
public:
    static constexpr uint32_t kBatch = 32;
    static constexpr uint32_t kHeld = 256;
    static constexpr uint32_t kSteps = 600;

    void run(const Target& target, uint64_t seed, Report& report) {
        target_ = &target;
        report_ = &report;
        random_ = Random(seed);
        for (uint32_t& count : held_count_) count = 0;
        const auto before = target.template call<&Allocator::statistics>();
        if (!answered("statistics", before)) return;
        if (!each_class(before.value()) || !random_batches(before.value())) return;
        give_back(before.value());
    }

private:
    template <typename R>
    bool answered(Text scenario, const R& result) {
        if (result.ok()) return true;
        report_->fail(scenario, result.error().sentence());
        return false;
    }
    static uint64_t pattern(const void* block, uint32_t size_class) {
        return reinterpret_cast<uintptr_t>(block) * 0x9E3779B97F4A7C15u + size_class;
    }
    static void write(void* block, uint32_t size_class) {
        auto* words = static_cast<uint64_t*>(block);
        for (uint32_t i = 0; i < kSizeClasses[size_class] / 8; ++i) words[i] = pattern(block, size_class) + i;
    }
    static bool intact(const void* block, uint32_t size_class) {
        const auto* words = static_cast<const uint64_t*>(block);
        for (uint32_t i = 0; i < kSizeClasses[size_class] / 8; ++i)
            if (words[i] != pattern(block, size_class) + i) return false;
        return true;
    }
    bool sound(Text scenario, const AllocatorStatistics& before) {
        const auto checked = target_->template call<&Allocator::self_check>();
        if (!answered(scenario, checked)) return false;
        if (!report_->check(checked.value(), scenario, "self_check failed")) return false;
        const auto statistics = target_->template call<&Allocator::statistics>();
        if (!answered(scenario, statistics)) return false;
        uint64_t out = 0;
        for (uint32_t count : held_count_) out += count;
        return report_->check(statistics.value().blocks_in_use - before.blocks_in_use == out, scenario,
                              "statistics counts {} more blocks in use, {} are",
                              statistics.value().blocks_in_use - before.blocks_in_use, out);
    }
    /// Fills up to `count` blocks and holds them. Fewer are no failure while memory is short.
    bool take(Text scenario, uint32_t size_class, uint32_t count) {
        void* batch[kBatch] = {};
        const auto filled = target_->template call<&Allocator::refill>(size_class, Span<void*>(batch, count));
        if (!answered(scenario, filled)) return false;
        if (!report_->check(filled.value() <= count, scenario, "refill claims {} blocks of {}", filled.value(), count))
            return false;
        filled_ += filled.value();
        for (uint32_t i = 0; i < filled.value(); ++i) {
            void* block = batch[i];
            if (!report_->check(block != nullptr && reinterpret_cast<uintptr_t>(block) % 16 == 0, scenario,
                                "a block of class {} is null or not aligned to 16", kSizeClasses[size_class]))
                return false;
            for (uint32_t other = 0; other < kSizeClassCount; ++other) {
                for (uint32_t j = 0; j < held_count_[other]; ++j) {
                    const auto a = reinterpret_cast<uintptr_t>(block);
                    const auto b = reinterpret_cast<uintptr_t>(held_[other][j]);
                    const bool apart = a + kSizeClasses[size_class] <= b || b + kSizeClasses[other] <= a;
                    if (!apart) {
                        report_->check(false, scenario, "a block of {} bytes overlaps one of {} that is in use",
                                       kSizeClasses[size_class], kSizeClasses[other]);
                        return false;
                    }
                }
            }
            report_->check(true, scenario, "apart");
            write(block, size_class);
            held_[size_class][held_count_[size_class]++] = block;
        }
        return true;
    }
    /// Gives back `count` random blocks of those held.
    bool give(Text scenario, uint32_t size_class, uint32_t count) {
        void* batch[kBatch] = {};
        for (uint32_t i = 0; i < count; ++i) {
            uint32_t& held = held_count_[size_class];
            const uint32_t chosen = random_.below(held);
            batch[i] = held_[size_class][chosen];
            held_[size_class][chosen] = held_[size_class][--held];
            if (!report_->check(intact(batch[i], size_class), scenario, "a block of {} bytes was overwritten",
                                kSizeClasses[size_class]))
                return false;
        }
        return answered(scenario,
                        target_->template call<&Allocator::drain>(size_class, Span<void* const>(batch, count)));
    }

    bool each_class(const AllocatorStatistics& before) {
        constexpr Text kScenario = "a batch of each class";
        for (uint32_t size_class = 0; size_class < kSizeClassCount; ++size_class) {
            filled_ = 0;
            if (!take(kScenario, size_class, kBatch)) return false;
            if (!report_->check(filled_ > 0, kScenario, "no block of {} bytes", kSizeClasses[size_class])) return false;
            if (!sound(kScenario, before)) return false;
            if (!give(kScenario, size_class, held_count_[size_class]) || !sound(kScenario, before)) return false;
        }
        return true;
    }
    bool random_batches(const AllocatorStatistics& before) {
        constexpr Text kScenario = "random batches";
        for (uint32_t step = 0; step < kSteps; ++step) {
            const uint32_t size_class = random_.below(kSizeClassCount);
            const uint32_t held = held_count_[size_class];
            const uint32_t room = kHeld - held;
            const uint32_t count = 1 + random_.below(kBatch);
            if (random_.below(5) < 3) {
                if (count <= room && !take(kScenario, size_class, count)) return false;
            } else if (held > 0) {
                if (!give(kScenario, size_class, count < held ? count : held)) return false;
            }
            if (step % 32 == 0 && !sound(kScenario, before)) return false;
        }
        return true;
    }
    bool give_back(const AllocatorStatistics& before) {
        constexpr Text kScenario = "everything comes back";
        for (uint32_t size_class = 0; size_class < kSizeClassCount; ++size_class) {
            while (held_count_[size_class] > 0) {
                const uint32_t held = held_count_[size_class];
                if (!give(kScenario, size_class, held < kBatch ? held : kBatch)) return false;
            }
        }
        return sound(kScenario, before);
    }

    const Target* target_ = nullptr;
    Report* report_ = nullptr;
    Random random_{0};
    uint64_t filled_ = 0;
    uint32_t held_count_[kSizeClassCount] = {};
    void* held_[kSizeClassCount][kHeld] = {};
};

}  // namespace helix::conformance
