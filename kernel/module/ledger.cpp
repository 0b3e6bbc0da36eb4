// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Ledger: memory of one module instance.

#include "kernel/module/ledger.hpp"

#include "kernel/panic.hpp"

#include <new>

namespace helix::kernel {

void* Ledger::allocate(size_t size, size_t alignment, uint32_t site) {
    if (size > size_t{1} << 30 || alignment > kPageSize || (alignment & (alignment - 1)) != 0) return nullptr;
    if (alignment < 16) alignment = 16;
    const size_t before = alignment > sizeof(LedgerBlock) ? alignment : sizeof(LedgerBlock);
    auto* const start = static_cast<uint8_t*>(heap_.allocate(before + size, alignment));
    if (start == nullptr) return nullptr;
    auto* const header = new (start + before - sizeof(LedgerBlock)) LedgerBlock();
    header->ledger = this;
    header->size = size;
    header->lead = static_cast<uint64_t>(__builtin_ctzll(before));
    header->site = site;
    SpinLockGuard guard(lock_);
    list_.push_back(*header);
    ++blocks_;
    bytes_ += size;
    return header + 1;
}

void Ledger::free(void* block) {
    Ledger* const ledger = header_of(block).ledger;
    const bool freed = ledger != nullptr && ledger->try_free(block);
    HELIX_ASSERT(freed);
}

bool Ledger::try_free(void* block) {
    LedgerBlock& header = header_of(block);
    {
        SpinLockGuard guard(lock_);
        if (header.ledger != this) return false;
        remove(header);
        header.ledger = nullptr;
    }
    heap_.free(reinterpret_cast<uint8_t*>(&header + 1) - (size_t{1} << header.lead));
    return true;
}

bool Ledger::hand_over(const void* block, size_t size, Ledger& to) {
    LedgerBlock* found = nullptr;
    {
        SpinLockGuard guard(lock_);
        for (LedgerBlock& header : list_)
            if (&header + 1 == block) found = &header;
        if (found == nullptr || found->size < size) return false;
        remove(*found);
        found->ledger = &to;  // nobody who frees it for this ledger succeeds any more
    }
    SpinLockGuard guard(to.lock_);
    to.list_.push_back(*found);
    ++to.blocks_;
    to.bytes_ += found->size;
    return true;
}

void Ledger::remove(LedgerBlock& header) {
    list_.erase(list_.iterator_to(header));
    --blocks_;
    bytes_ -= header.size;
}

void Ledger::release_all() {
    for (;;) {
        LedgerBlock* header = nullptr;
        {
            SpinLockGuard guard(lock_);
            if (list_.empty()) return;
            header = &list_.front();
        }
        free(header + 1);
    }
}

size_t Ledger::sites(Span<LedgerSite> out) {
    constexpr size_t kLookedAt = 1'000;
    size_t count = 0;
    size_t looked_at = 0;
    SpinLockGuard guard(lock_);
    for (const LedgerBlock& header : list_) {
        if (looked_at++ == kLookedAt) break;
        if (header.site == 0) continue;
        size_t i = 0;
        while (i < count && out[i].site != header.site) ++i;
        if (i == out.size()) continue;
        if (i == count) out[count++] = {.site = static_cast<uint32_t>(header.site)};
        ++out[i].blocks;
        out[i].bytes += header.size;
    }
    return count;
}

}  // namespace helix::kernel
