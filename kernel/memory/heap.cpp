// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Heap: magazines, owners and whole-page blocks.

#include "kernel/memory/heap.hpp"

#include "kernel/memory/failure_injection.hpp"
#include "kernel/panic.hpp"
#include "kernel/thread/gates.hpp"

namespace helix::kernel {

namespace {

constexpr size_t kGrain = 16;

/// The class of a size, by units of 16 bytes.
struct ClassTable {
    uint8_t class_of[Heap::kLargestClass / kGrain + 1];
};
consteval ClassTable make_class_table() {
    ClassTable table{};
    uint8_t size_class = 0;
    for (size_t units = 0; units <= Heap::kLargestClass / kGrain; ++units) {
        if (units * kGrain > kSizeClasses[size_class]) ++size_class;
        table.class_of[units] = size_class;
    }
    return table;
}
constexpr ClassTable kClassTable = make_class_table();

void add(uint64_t& counter, uint64_t amount) {
    __atomic_fetch_add(&counter, amount, __ATOMIC_SEQ_CST);
}
void subtract(uint64_t& counter, uint64_t amount) {
    __atomic_fetch_sub(&counter, amount, __ATOMIC_SEQ_CST);
}
uint64_t load(const uint64_t& counter) {
    return __atomic_load_n(&counter, __ATOMIC_SEQ_CST);
}

}  // namespace

void Heap::init(PageAllocator& pages) {
    pages_ = &pages;
    builtin_.init(pages);
    owners_[kBuiltin].implementation = &builtin_;
    SpinLockGuard guard(lock_);
    set_state(kBuiltin, OwnerState::Attached);
}

/// The calling CPU's part, made at its first use; null when there is no memory for it. Preemption off.
Heap::CpuCache* Heap::this_cache() {
    CpuCache*& cache = caches_[current_cpu()];
    if (__builtin_expect(cache == nullptr, 0)) {
        auto page = pages_->allocate(1);
        if (!page.ok()) return nullptr;
        auto* const fresh = static_cast<CpuCache*>(arch::direct_map(page.value()));
        __builtin_memset(fresh, 0, sizeof(CpuCache));
        fresh->binding = binding();
        __atomic_store_n(&cache, fresh, __ATOMIC_RELEASE);
    }
    return cache;
}

/// `bytes` may be negative, as a two's complement.
void Heap::add_bytes(CpuCache* cache, uint64_t bytes) {
    if (cache != nullptr)
        __atomic_store_n(&cache->bytes_in_use, cache->bytes_in_use + bytes, __ATOMIC_RELAXED);
    else
        add(bytes_in_use_, bytes);
}

void* Heap::allocate(size_t size, size_t alignment) {
    lock_order::require_none("Heap::allocate");
    if (alignment == 0 || (alignment & (alignment - 1)) != 0 || fails_on_purpose(Attempt::Allocation)) return nullptr;
    if (size > kLargestClass || alignment > kGrain) return allocate_large(size, alignment);
    const uint32_t size_class = kClassTable.class_of[(size + kGrain - 1) / kGrain];

    PreemptionGuard guard;
    CpuCache* const cache = this_cache();
    void* block = nullptr;
    if (__builtin_expect(cache == nullptr || cache->inside, 0)) {
        block = allocate_builtin(size_class);
    } else {
        if (__builtin_expect(cache->binding != binding(), 0)) flush(*cache);
        if (cache->counts[size_class] == 0) fill(*cache, size_class);
        block = cache->counts[size_class] != 0
                    ? cache->slots[kMagazines.first_slot[size_class] + --cache->counts[size_class]]
                    : allocate_builtin(size_class);
    }
    if (block != nullptr) add_bytes(cache, kSizeClasses[size_class]);
    return block;
}

void Heap::free(void* block) {
    if (block == nullptr) return;
    lock_order::require_none("Heap::free");
    const arch::PhysicalAddress address = arch::physical_of(block);
    const PageInfo* const info = pages_->find_info(address);
    if (info == nullptr || info->state != PageInfo::State::Allocated) panic("Heap: freed what is not in use");
    const uint8_t owner = info->owner;
    const uint32_t size_class = info->size_class;

    PreemptionGuard guard;
    CpuCache* const cache = this_cache();
    if (size_class == kLargeBlock) {
        const size_t pages = info->value;
        if (pages == 0 || address % kPageSize != 0) panic("Heap: freed the inside of a block");
        add_bytes(cache, 0 - pages * kPageSize);
        pages_->free(address, pages);
        return;
    }
    if (size_class >= kSizeClassCount || address % kGrain != 0) panic("Heap: freed what is no block of the heap");
    add_bytes(cache, 0 - uint64_t{kSizeClasses[size_class]});

    if (__builtin_expect(cache != nullptr && !cache->inside, 1)) {
        if (__builtin_expect(cache->binding != binding(), 0)) flush(*cache);
        if (__builtin_expect(owner == static_cast<uint8_t>(cache->binding), 1)) {
            void** const slots = cache->slots + kMagazines.first_slot[size_class];
            uint32_t& count = cache->counts[size_class];
            if (__builtin_expect(count == kMagazines.capacity[size_class], 0)) {
                // The oldest half leaves. Copied first: the policy is called with the magazine in order.
                const uint32_t batch = count / 2;
                void* leaving[kLargestBatch];
                __builtin_memcpy(leaving, slots, batch * sizeof(void*));
                __builtin_memmove(slots, slots + batch, (count - batch) * sizeof(void*));
                count -= batch;
                slots[count++] = block;
                cache->inside = true;
                drain(owner, size_class, Span<void* const>(leaving, batch));
                cache->inside = false;
                return;
            }
            slots[count++] = block;
            return;
        }
    }
    void* const leaving[] = {block};
    const bool was_inside = cache != nullptr && cache->inside;
    if (cache != nullptr) cache->inside = true;
    drain(owner, size_class, leaving);
    if (cache != nullptr) cache->inside = was_inside;
}

size_t Heap::size_of(const void* block) const {
    const PageInfo& info = pages_->info(arch::physical_of(block));
    if (info.size_class == kLargeBlock) return size_t{info.value} * kPageSize;
    if (info.size_class >= kSizeClassCount) panic("Heap: asked for the size of what is no block of the heap");
    return kSizeClasses[info.size_class];
}

void* Heap::allocate_large(size_t size, size_t alignment) {
    if (size > pages_->total_pages() * kPageSize || alignment > arch::kDirectMapAlignment) return nullptr;
    const size_t pages = size <= kPageSize ? 1 : (size + kPageSize - 1) / kPageSize;
    // The allocator aligns a run to the next power of two of its length; what is only there for the alignment goes
    // back.
    const size_t aligned_pages = alignment / kPageSize > pages ? alignment / kPageSize : pages;
    auto run = pages_->allocate(aligned_pages, {kBuiltin, kLargeBlock});
    if (!run.ok()) return nullptr;
    if (aligned_pages > pages) pages_->free(run.value() + pages * kPageSize, aligned_pages - pages);
    pages_->info(run.value()).value = static_cast<uint32_t>(pages);
    PreemptionGuard guard;
    add_bytes(this_cache(), pages * kPageSize);
    return arch::direct_map(run.value());
}

void* Heap::allocate_builtin(uint32_t size_class) {
    void* block[1] = {};
    return refill(kBuiltin, size_class, block) == 1 ? block[0] : nullptr;
}

/// Gives all blocks in the magazines back to the owner that they came from. Preemption off.
void Heap::flush(CpuCache& cache) {
    const auto owner = static_cast<uint8_t>(cache.binding);
    cache.inside = true;
    for (uint32_t size_class = 0; size_class < kSizeClassCount; ++size_class) {
        while (cache.counts[size_class] != 0) {
            uint32_t& count = cache.counts[size_class];
            const uint32_t batch = count < kLargestBatch ? count : kLargestBatch;
            count -= batch;
            drain(owner, size_class, Span<void* const>(cache.slots + kMagazines.first_slot[size_class] + count, batch));
        }
    }
    cache.binding = binding();
    cache.inside = false;
}

/// Fills half of an empty magazine from the current owner, if it can. Preemption off.
void Heap::fill(CpuCache& cache, uint32_t size_class) {
    void* batch[kLargestBatch];
    cache.inside = true;
    const size_t count = refill(static_cast<uint8_t>(cache.binding), size_class,
                                Span<void*>(batch, kMagazines.capacity[size_class] / 2));
    cache.inside = false;
    __builtin_memcpy(cache.slots + kMagazines.first_slot[size_class], batch, count * sizeof(void*));
    cache.counts[size_class] = static_cast<uint32_t>(count);
}

/// Asks `owner` for blocks and returns how many it gave; none when it failed or broke its contract. Preemption off,
/// no lock held.
size_t Heap::refill(uint8_t owner, uint32_t size_class, Span<void*> out) {
    Owner& record = owners_[owner];
    add(record.blocks, out.size());
    size_t count = 0;
    if (owner == kBuiltin) {
        count = builtin_.refill(size_class, out);
        add(record.refills, 1);
    } else if (current() == owner && state_of(owner) == OwnerState::Attached) {
        // It was current after `blocks` was raised, so whoever wants to detach it sees that and leaves it alone.
        GateResult<size_t> answer;
        const GateFailure failure =
            call_module<&Allocator::refill>(record.instance, record.implementation, &answer.value, size_class, out);
        add(record.refills, 1);
        if (failure != GateFailure::None) {
            owner_failed(owner);
        } else if (answer.value > out.size() || !is_batch_sound(owner, size_class, {out.data(), answer.value})) {
            add(violations_, 1);
            owner_failed(owner);
        } else if (state_of(owner) == OwnerState::Attached) {
            count = answer.value;
        }
    }
    subtract(record.blocks, out.size() - count);
    return count;
}

/// Gives blocks back to `owner`; counts them if it failed. Preemption off, no lock held.
void Heap::drain(uint8_t owner, uint32_t size_class, Span<void* const> blocks) {
    Owner& record = owners_[owner];
    if (owner == kBuiltin) {
        builtin_.drain(size_class, blocks);
        add(record.drains, 1);
    } else if (state_of(owner) == OwnerState::Attached) {
        const GateFailure failure =
            call_module<&Allocator::drain>(record.instance, record.implementation, nullptr, size_class, blocks);
        add(record.drains, 1);
        if (failure != GateFailure::None) owner_failed(owner);
    }
    const OwnerState state = state_of(owner);
    if (state == OwnerState::Failed || state == OwnerState::Abandoned) add(record.dropped, blocks.size());
    const uint64_t left = __atomic_sub_fetch(&record.blocks, blocks.size(), __ATOMIC_SEQ_CST);
    // Between abandon and the last block exactly one of the two sees both: whoever comes second.
    if (left == 0 && state_of(owner) == OwnerState::Abandoned) (void)leave(owner);
}

/// Every block is aligned, lies whole in pages that were given to `owner` for the class, and appears once.
bool Heap::is_batch_sound(uint8_t owner, uint32_t size_class, Span<void* const> batch) {
    for (size_t i = 0; i < batch.size(); ++i) {
        const auto address = reinterpret_cast<uint64_t>(batch[i]);
        if (address == 0 || address % kGrain != 0) return false;
        const arch::PhysicalAddress first = arch::physical_of(batch[i]);
        const arch::PhysicalAddress last = first + kSizeClasses[size_class] - 1;
        for (arch::PhysicalAddress at = first;; at = last) {
            const PageInfo* info = pages_->find_info(at);
            if (info == nullptr || info->state != PageInfo::State::Allocated || info->owner != owner ||
                info->size_class != size_class)
                return false;
            if (at / kPageSize == last / kPageSize) break;
        }
        for (size_t j = 0; j < i; ++j)
            if (batch[j] == batch[i]) return false;
    }
    return true;
}

Result<uint8_t> Heap::attach(Allocator* implementation, InstanceToken* instance) {
    SpinLockGuard guard(lock_);
    for (uint8_t i = 1; i < kMaximumOwners; ++i) {
        if (state_of(i) != OwnerState::Vacant) continue;
        Owner& record = owners_[i];
        record.implementation = implementation;
        record.instance = instance;
        for (uint64_t* counter : {&record.blocks, &record.pages, &record.refills, &record.drains, &record.dropped})
            __atomic_store_n(counter, 0, __ATOMIC_RELAXED);
        set_state(i, OwnerState::Attached);
        return i;
    }
    return Error(ErrorCode::Busy, "too many earlier allocator policies still have blocks in use");
}

void Heap::make_current(uint8_t owner) {
    {
        SpinLockGuard guard(lock_);
        if (owner >= kMaximumOwners || state_of(owner) != OwnerState::Attached)
            panic("Heap: made an owner current that is not attached");
        bind(owner);
    }
    flush_this_cpu();
}

void Heap::flush_this_cpu() {
    lock_order::require_none("Heap::flush_this_cpu");
    PreemptionGuard guard;
    CpuCache* const cache = caches_[current_cpu()];
    if (cache != nullptr && !cache->inside && cache->binding != binding()) flush(*cache);
}

void Heap::leave_this_cpu() {
    lock_order::require_none("Heap::leave_this_cpu");
    PreemptionGuard guard;
    CpuCache* const cache = caches_[current_cpu()];
    if (cache != nullptr && !cache->inside) flush(*cache);
}

bool Heap::try_detach(uint8_t owner) {
    if (owner == kBuiltin || owner >= kMaximumOwners) return false;
    flush_this_cpu();
    return leave(owner);
}

/// Forgets `owner` if nothing of it is in use.
bool Heap::leave(uint8_t owner) {
    Owner& record = owners_[owner];
    {
        SpinLockGuard guard(lock_);
        const OwnerState state = state_of(owner);
        if (state == OwnerState::Vacant || state == OwnerState::Leaving) return false;
        if (current() == owner || load(record.blocks) != 0) return false;
        set_state(owner, OwnerState::Leaving);
    }
    // Nobody is inside it and policy_pages refuses it: its pages do not change any more.
    if (load(record.pages) != 0) pages_->free_all_owned(owner);
    SpinLockGuard guard(lock_);
    __atomic_store_n(&record.pages, 0, __ATOMIC_RELAXED);
    set_state(owner, OwnerState::Vacant);
    return true;
}

void Heap::owner_failed(uint8_t owner) {
    if (owner == kBuiltin || owner >= kMaximumOwners) return;
    SpinLockGuard guard(lock_);
    if (state_of(owner) == OwnerState::Attached) give_up(owner, OwnerState::Failed);
}

void Heap::abandon(uint8_t owner) {
    if (owner == kBuiltin || owner >= kMaximumOwners) return;
    {
        SpinLockGuard guard(lock_);
        const OwnerState state = state_of(owner);
        if (state != OwnerState::Attached && state != OwnerState::Failed) return;
        give_up(owner, OwnerState::Abandoned);
    }
    (void)try_detach(owner);
}

/// It is not asked again; if it was current, the built-in is.
void Heap::give_up(uint8_t owner, OwnerState state) {
    set_state(owner, state);
    if (current() == owner) bind(kBuiltin);
}

Result<void*> Heap::policy_pages(uint8_t owner, uint32_t size_class, size_t count) {
    if (owner == kBuiltin || owner >= kMaximumOwners || size_class >= kSizeClassCount)
        return Error(ErrorCode::InvalidArgument, "no such owner or size class");
    // Under the lock, so that a detach sees either no page or all of them.
    SpinLockGuard guard(lock_);
    if (state_of(owner) != OwnerState::Attached)
        return Error(ErrorCode::InvalidState, "this allocator policy is not attached to the heap");
    const arch::PhysicalAddress run = TRY(pages_->allocate(count, {owner, static_cast<uint8_t>(size_class)}));
    add(owners_[owner].pages, count);
    return arch::direct_map(run);
}

Result<void> Heap::policy_pages_free(uint8_t owner, void* pages, size_t count) {
    SpinLockGuard guard(lock_);
    if (owner == kBuiltin || owner >= kMaximumOwners || !pages_->free_owned(arch::physical_of(pages), count, owner))
        return Error(ErrorCode::InvalidArgument, "these pages do not belong to this allocator policy");
    subtract(owners_[owner].pages, count);
    return {};
}

uint64_t Heap::bytes_in_use() const {
    uint64_t sum = load(bytes_in_use_);
    for (CpuCache* const& slot : caches_) {
        const CpuCache* cache = __atomic_load_n(&slot, __ATOMIC_ACQUIRE);
        if (cache != nullptr) sum += __atomic_load_n(&cache->bytes_in_use, __ATOMIC_RELAXED);
    }
    return sum;
}

MemoryStatistics Heap::statistics() const {
    uint64_t heap_pages = builtin_.statistics().pages;
    for (size_t i = 1; i < kMaximumOwners; ++i) heap_pages += load(owners_[i].pages);
    return {pages_->total_pages(), pages_->free_pages(), heap_pages, bytes_in_use(), kPageSize};
}

HeapOwnerStatistics Heap::owner_statistics(uint8_t owner) const {
    if (owner >= kMaximumOwners) return {};
    const Owner& record = owners_[owner];
    return {state_of(owner),     owner == kBuiltin ? builtin_.statistics().pages : load(record.pages),
            load(record.blocks), load(record.refills),
            load(record.drains), load(record.dropped)};
}

}  // namespace helix::kernel
