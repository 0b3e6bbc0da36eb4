// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Heap: the kernel's heap. Magazines for each CPU are mechanism and live here; where blocks come from is policy.
//
// After Bonwick and Adams, "Magazines and Vmem" (USENIX 2001), reduced to one magazine for each CPU and size class,
// filled and drained by halves. The policy that fills them is the current *owner*: an implementation of
// helix.allocator, or owner 0, a small one built in, which also answers whenever the current one cannot. A free finds
// the owner of a block by the PageInfo of its page, so owners come and go while their blocks live on.
#pragma once

#include "helix/abi.hpp"
#include "kernel/memory/builtin_allocator.hpp"
#include "kernel/memory/page_allocator.hpp"

namespace helix::kernel {

/// Blocks that pass between a magazine and a policy at a time, at most.
inline constexpr uint32_t kLargestBatch = 16;

/// How many blocks the magazine of a class holds, at least 4, and where its slots begin among those of a CPU.
struct MagazineLayout {
    uint32_t capacity[kSizeClassCount] = {};
    uint32_t first_slot[kSizeClassCount] = {};
    uint32_t slots = 0;

    consteval MagazineLayout() {
        for (uint32_t i = 0; i < kSizeClassCount; ++i) {
            const uint32_t by_bytes = 8192 / kSizeClasses[i];
            capacity[i] = by_bytes > 2 * kLargestBatch ? 2 * kLargestBatch : by_bytes < 4 ? 4 : by_bytes;
            first_slot[i] = slots;
            slots += capacity[i];
        }
    }
};
inline constexpr MagazineLayout kMagazines;

/// What is known of one owner.
struct HeapOwnerStatistics {
    enum class State : uint8_t { Vacant, Attached, Failed, Abandoned, Leaving };
    State state;
    uint64_t pages;   ///< held from the PageAllocator
    uint64_t blocks;  ///< taken from the policy and not given back: in use, or in magazines
    uint64_t refills;
    uint64_t drains;
    uint64_t dropped;  ///< blocks that came back after the owner had failed; their memory returns when it is detached
};

/// Any thread may call, with preemption on or off, but with no spin lock held: calls go to modules. Nothing blocks.
class Heap {
public:
    static constexpr uint8_t kBuiltin = 0;
    static constexpr size_t kMaximumOwners = 128;
    static constexpr size_t kLargestClass = kSizeClasses[kSizeClassCount - 1];

    constexpr Heap() = default;
    Heap(const Heap&) = delete;
    Heap& operator=(const Heap&) = delete;

    /// Once, before anything else. Owner 0 is current.
    void init(PageAllocator& pages);

    /// At least `size` bytes of unspecified content, aligned to `alignment`, a power of two; null when memory is
    /// short, or `alignment` above 2 MiB. More than 2,048 bytes, or an alignment above 16, take whole, contiguous
    /// pages.
    void* allocate(size_t size, size_t alignment = 16) HELIX_MAY_SPIN;
    /// `block` is what allocate returned, or null. Panics on what it can tell is nothing of the kind.
    void free(void* block) HELIX_MAY_SPIN;
    /// The usable size of a block: at least what was asked for.
    size_t size_of(const void* block) const;

    // ---- Policies. One caller at a time; see DESIGN.md on allocator swaps.

    /// Makes `implementation` an owner; `instance` is charged for calls. Errors: Busy when too many owners have
    /// blocks in use.
    Result<uint8_t> attach(Allocator* implementation, InstanceToken* instance);
    /// New blocks come from `owner` (0: the built-in). This CPU's magazines go back to their owners at once, those of
    /// another CPU when it uses the heap next or calls flush_this_cpu.
    void make_current(uint8_t owner);
    uint8_t current() const { return static_cast<uint8_t>(binding()); }
    /// If none of its blocks is in use or in a magazine, and it is not current: takes back the pages that it still
    /// holds, forgets it and returns true; from then on nothing calls it. False otherwise. A failed owner leaves in
    /// the same way, once the last of its blocks was freed.
    bool try_detach(uint8_t owner);
    /// It is not called again; if it was current, the built-in is. Its free blocks are given up until it is
    /// detached; blocks in use stay valid, and frees of them are only counted. Repeating it does nothing.
    void owner_failed(uint8_t owner);
    /// owner_failed, and detached by itself as soon as its last block is freed: `owner` means nothing to the caller any
    /// more. For an instance that is unmapped while blocks of it may be in use.
    void abandon(uint8_t owner);
    /// Returns this CPU's magazines to their owners if another owner became current. For CPUs that rarely allocate.
    void flush_this_cpu();
    /// Returns this CPU's magazines to their owners. For a CPU that goes offline.
    void leave_this_cpu();

    // ---- Services for policies. Any thread context, also inside refill and drain.

    /// `count` contiguous pages for blocks of `size_class`, aligned to the next power of two of `count`.
    /// Errors: OutOfMemory; InvalidArgument; InvalidState when `owner` is not attached.
    Result<void*> policy_pages(uint8_t owner, uint32_t size_class, size_t count);
    /// Errors: InvalidArgument, with nothing freed, unless all of the pages belong to `owner`.
    Result<void> policy_pages_free(uint8_t owner, void* pages, size_t count);

    // ---- Numbers. Any thread context.

    MemoryStatistics statistics() const;
    /// Bytes in blocks handed out, each counted with its usable size: equal again after equal allocations and frees.
    uint64_t bytes_in_use() const;
    HeapOwnerStatistics owner_statistics(uint8_t owner) const;
    /// Refills that were refused whole since boot because a policy broke its contract.
    uint64_t violations() const { return __atomic_load_n(&violations_, __ATOMIC_RELAXED); }

private:
    using OwnerState = HeapOwnerStatistics::State;

    struct Owner {
        Allocator* implementation = nullptr;  // fixed while attached
        InstanceToken* instance = nullptr;    // fixed while attached
        // Atomic counters. `blocks` is raised before a refill and lowered after a drain: while it is zero and the
        // owner is not current, no CPU is inside it.
        uint64_t blocks = 0;
        uint64_t pages = 0;
        uint64_t refills = 0;
        uint64_t drains = 0;
        uint64_t dropped = 0;
    };

    /// One CPU's part. Used on that CPU with preemption off; only bytes_in_use is read by others.
    struct CpuCache {
        uint64_t binding;       ///< the heap's binding_ when the magazines were last empty: owner in the low 8 bits
        uint64_t bytes_in_use;  ///< what was allocated minus what was freed on this CPU; only the sum has a meaning
        bool inside;            ///< a policy is being called: what it allocates comes from the built-in
        uint32_t counts[kSizeClassCount];
        void* slots[kMagazines.slots];
    };
    static_assert(sizeof(CpuCache) <= kPageSize);

    CpuCache* this_cache();
    void add_bytes(CpuCache* cache, uint64_t bytes);
    void flush(CpuCache& cache);
    void fill(CpuCache& cache, uint32_t size_class);
    void* allocate_large(size_t size, size_t alignment);
    void* allocate_builtin(uint32_t size_class);
    size_t refill(uint8_t owner, uint32_t size_class, Span<void*> out);
    void drain(uint8_t owner, uint32_t size_class, Span<void* const> blocks);
    void give_up(uint8_t owner, OwnerState state) HELIX_REQUIRES(lock_);
    bool leave(uint8_t owner);
    bool is_batch_sound(uint8_t owner, uint32_t size_class, Span<void* const> batch);
    OwnerState state_of(uint8_t owner) const HELIX_READS_UNLOCKED {
        OwnerState state;
        __atomic_load(&states_[owner], &state, __ATOMIC_SEQ_CST);
        return state;
    }
    void set_state(uint8_t owner, OwnerState state) HELIX_REQUIRES(lock_) {
        __atomic_store(&states_[owner], &state, __ATOMIC_SEQ_CST);
    }
    uint64_t binding() const HELIX_READS_UNLOCKED { return __atomic_load_n(&binding_, __ATOMIC_SEQ_CST); }
    /// `owner` is current from now on.
    void bind(uint8_t owner) HELIX_REQUIRES(lock_) {
        __atomic_store_n(&binding_, ((binding_ >> 8) + 1) << 8 | owner, __ATOMIC_SEQ_CST);
    }

    PageAllocator* pages_ = nullptr;
    BuiltinAllocator builtin_;
    CpuCache* caches_[arch::kMaximumCpus] = {};  // each made by its CPU
    uint64_t bytes_in_use_ = 0;                  // atomic; of what was allocated while a CPU had no cache
    uint64_t violations_ = 0;                    // atomic
    SpinLock lock_ HELIX_RANK(Heap);
    /// Counts changes of the current owner above the low 8 bits, which name it. Atomic.
    uint64_t binding_ HELIX_GUARDED_BY(lock_) = kBuiltin;
    OwnerState states_[kMaximumOwners] HELIX_GUARDED_BY(lock_) = {};  // atomic
    Owner owners_[kMaximumOwners];
};

}  // namespace helix::kernel
