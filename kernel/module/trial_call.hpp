// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// TrialCall: one call of a pure method, with all that is needed to put the same question to another implementation.
#pragma once

#include "kernel/module/instance.hpp"

namespace helix::kernel {

/// A method's answer in a form that two implementations can be compared by: for a Result whether it is well, then the
/// value or the error's code, then what the spans hold that it filled.
struct TrialAnswer {
    static constexpr size_t kCapacity = 512;

    uint16_t size = 0;
    uint8_t bytes[kCapacity];

    bool append(Instance& of, const void* from, size_t count);
    bool operator==(const TrialAnswer& other) const {
        return as_text({bytes, size}) == as_text({other.bytes, other.size});
    }
};

struct TrialCall {
    static constexpr size_t kData = 512;

    TrialCall();

    Text interface;
    void* implementation = nullptr;  ///< who was called
    const MethodShape* shape = nullptr;
    uint64_t words[MethodShape::kMaximumArguments] = {};  ///< the arguments as they were passed
    uint64_t hidden = 0;                                  ///< where the answer goes, if it goes to memory
    uint64_t epoch = 0;                                   ///< of who was called, when it was
    uint16_t data_size = 0;
    uint8_t data[kData];  ///< what the spans held before the call, one after the other
    TrialAnswer answer;

    /// Copies what the spans among the arguments hold, on behalf of `caller`. False if it cannot be read or is too
    /// much.
    bool copy_arguments(Instance& caller);
    /// Reads what was answered in the registers, or else at `hidden`. `spans` are where the arguments that are spans
    /// begin. False as above.
    bool read_answer(Instance& of, uint64_t rax, uint64_t rdx, const void* memory, const uint64_t* arguments,
                     TrialAnswer& out) const;
    /// Puts the question to `to`, an instance that nobody else calls, and reads its answer. Thread context, preemption
    /// on, no lock held. False if the answer cannot be read; None if there is one.
    GateFailure ask(const SlotTarget& to, TrialAnswer& out, bool& read);

    FixedText<100> describe_arguments() const;
    FixedText<100> describe(const TrialAnswer& answered) const;
};

}  // namespace helix::kernel
