// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A heap with an allocator module plugged in, for the unit tests of such modules.
#pragma once

#include "helix/context.hpp"
#include "kernel/memory/heap.hpp"
#include "tests/unit/fake_port.hpp"

#include <memory>
#include <string>

namespace helix::test {

/// One instance of `Policy` (an Implements<Allocator>) with the kernel services it uses, attached to a heap.
template <typename Policy>
class AllocatorHost {
public:
    /// Every option has its default, except the first one if `first_option` is not empty.
    AllocatorHost(kernel::Heap& heap, std::string first_option = "")
        : heap_(heap), first_option_(std::move(first_option)) {
        services_.size = sizeof(Services);
        services_.config = [](InstanceToken* token, Text key) { return self(token).config(key); };
        services_.heap_pages = [](InstanceToken* token, uint32_t size_class, size_t count) {
            return self(token).heap_.policy_pages(self(token).owner, size_class, count);
        };
        services_.heap_pages_free = [](InstanceToken* token, void* pages, size_t count) {
            const Result<void> freed = self(token).heap_.policy_pages_free(self(token).owner, pages, count);
            EXPECT_TRUE(freed.ok());
        };
        context_ = std::make_unique<Context>(&services_, token(), InstanceId{1});
        owner = heap_.attach(&policy, token()).take();
        EXPECT_TRUE(policy.init(*context_).ok());
        EXPECT_TRUE(policy.start().ok());
    }

    Policy policy;
    uint8_t owner = 0;

private:
    static AllocatorHost& self(InstanceToken* token) { return *reinterpret_cast<AllocatorHost*>(token); }
    InstanceToken* token() { return reinterpret_cast<InstanceToken*>(this); }
    Result<Text> config(Text key) {
        if constexpr (requires { Policy::kOptions; }) {
            for (const Option& option : Policy::kOptions) {
                if (!(option.key == key)) continue;
                if (&option == &Policy::kOptions[0] && !first_option_.empty()) return Text(first_option_);
                return option.default_value.text();
            }
        }
        return ErrorCode::NotFound;
    }

    kernel::Heap& heap_;
    std::string first_option_;
    Services services_{};
    std::unique_ptr<Context> context_;
};

class AllocatorTest : public KernelTest {
protected:
    void SetUp() override {
        ASSERT_TRUE(pages.init(machine.memory()).ok());
        heap.init(pages);
    }

    kernel::PageAllocator pages;
    kernel::Heap heap;
};

}  // namespace helix::test
