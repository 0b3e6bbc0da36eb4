// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// helix-allocator-bump: hands out blocks by moving a pointer, for boot and for systems that hardly free.
//
// Each size class fills one run of pages from its start to its end and then begins another. A block that comes back
// is only counted; it is not used again. Once all blocks of a full run are back, the run returns to the kernel. So
// refill is the shortest possible, and one block in use keeps its whole run.

#include "../spin_flag.hpp"
#include "helix/interfaces/allocator.hpp"
#include "helix/module.hpp"

class BumpAllocator final : public helix::Implements<helix::Allocator> {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"helix-allocator-bump"}
                                      .version(1, 0, 0)
                                      .description("Bump allocation in whole pages; reuses nothing, for boot")
                                      .author("Helix contributors")
                                      .license("MIT OR Apache-2.0")
                                      .flags(helix::ModuleFlags::Allocator | helix::ModuleFlags::HotReloadable)
                                      .provides({"helix.allocator"});

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        return {};
    }
    helix::Result<void> start() override { return {}; }
    /// The kernel takes the runs back once the last block is free; nothing is to be done here.
    helix::Result<void> stop() override { return {}; }
    bool is_healthy() const override { return self_check(); }

    // ---- helix.allocator. Any CPU, preemption off.

    size_t refill(uint32_t size_class, helix::Span<void*> blocks) override {
        if (size_class >= helix::kSizeClassCount) return 0;
        Class& own = classes_[size_class];
        const uint32_t size = helix::kSizeClasses[size_class];
        SpinFlagGuard guard(own.lock);
        ++own.refills;
        size_t count = 0;
        while (count < blocks.size()) {
            if (own.current == nullptr) {
                own.current = new_run(own, size_class);
                if (own.current == nullptr) break;
            }
            Run& run = *own.current;
            blocks[count++] = reinterpret_cast<uint8_t*>(&run) + sizeof(Run) + size_t{run.handed_out} * size;
            ++own.handed_out;
            if (++run.handed_out == run.capacity) own.current = nullptr;
        }
        return count;
    }

    void drain(uint32_t size_class, helix::Span<void* const> blocks) override {
        if (size_class >= helix::kSizeClassCount) return;
        Class& own = classes_[size_class];
        SpinFlagGuard guard(own.lock);
        ++own.drains;
        for (void* block : blocks) {
            Run& run = run_of(size_class, block);
            if (run.magic != kMagic || run.size_class != size_class || run.came_back == run.handed_out) {
                own.damaged = true;
                continue;
            }
            ++own.came_back;
            if (++run.came_back == run.capacity) {
                run.magic = 0;
                --own.runs;
                own.handed_out -= run.capacity;
                own.came_back -= run.capacity;
                context_->heap_pages_free(&run, pages_of_run(size_class));
            }
        }
    }

    helix::AllocatorStatistics statistics() const override {
        helix::AllocatorStatistics out{};
        for (uint32_t i = 0; i < helix::kSizeClassCount; ++i) {
            Class& own = classes_[i];
            SpinFlagGuard guard(own.lock);
            out.pages += own.runs * pages_of_run(i);
            if (own.current != nullptr) out.blocks_free += own.current->capacity - own.current->handed_out;
            out.blocks_in_use += own.handed_out - own.came_back;
            out.refills += own.refills;
            out.drains += own.drains;
        }
        return out;
    }

    bool self_check() const override {
        for (uint32_t i = 0; i < helix::kSizeClassCount; ++i) {
            Class& own = classes_[i];
            SpinFlagGuard guard(own.lock);
            if (own.damaged || own.came_back > own.handed_out) return false;
            if (own.handed_out > own.runs * capacity_of_run(i)) return false;
            const Run* run = own.current;
            if (run == nullptr) {
                // Every run is full: all its blocks were handed out.
                if (own.handed_out != own.runs * capacity_of_run(i)) return false;
                continue;
            }
            if (run->magic != kMagic || run->size_class != i || run->capacity != capacity_of_run(i)) return false;
            if (run->handed_out >= run->capacity || run->came_back > run->handed_out) return false;
            if (own.handed_out != (own.runs - 1) * capacity_of_run(i) + run->handed_out) return false;
        }
        return true;
    }

private:
    static constexpr uint32_t kMagic = 0x504d5542;  // "BUMP"

    /// Stands at the start of each run, followed by the blocks.
    struct alignas(16) Run {
        uint32_t magic;
        uint16_t size_class;
        uint16_t capacity;
        uint16_t handed_out;
        uint16_t came_back;
    };
    static_assert(sizeof(Run) == 16);

    struct Class {
        SpinFlag lock;
        bool damaged = false;    ///< a block came back that was not out
        Run* current = nullptr;  ///< has blocks left
        uint64_t runs = 0;
        // Of the runs held now.
        uint64_t handed_out = 0;
        uint64_t came_back = 0;
        uint64_t refills = 0;
        uint64_t drains = 0;
    };

    /// Runs are as long as it takes to lose little to the header; the kernel aligns them to their length.
    static constexpr size_t pages_of_run(uint32_t size_class) {
        const uint32_t size = helix::kSizeClasses[size_class];
        return size <= 512 ? 1 : size <= 1024 ? 2 : 4;
    }
    static constexpr uint16_t capacity_of_run(uint32_t size_class) {
        return static_cast<uint16_t>((pages_of_run(size_class) * helix::kPageSize - sizeof(Run)) /
                                     helix::kSizeClasses[size_class]);
    }
    static Run& run_of(uint32_t size_class, void* block) {
        return *reinterpret_cast<Run*>(reinterpret_cast<uintptr_t>(block) &
                                       ~(pages_of_run(size_class) * helix::kPageSize - 1));
    }
    Run* new_run(Class& own, uint32_t size_class) {
        auto pages = context_->heap_pages(size_class, pages_of_run(size_class));
        if (!pages.ok()) return nullptr;
        ++own.runs;
        auto* const run = static_cast<Run*>(pages.value());
        *run = Run{kMagic, static_cast<uint16_t>(size_class), capacity_of_run(size_class), 0, 0};
        return run;
    }

    const helix::Context* context_ = nullptr;
    mutable Class classes_[helix::kSizeClassCount];
};
HELIX_MODULE(BumpAllocator)
