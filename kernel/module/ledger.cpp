// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Ledger: memory of one module instance.

#include "kernel/module/ledger.hpp"

#include "kernel/panic.hpp"

#include <new>

namespace helix::kernel {

void* Ledger::allocate(size_t size, size_t alignment) {
    if (size > size_t{1} << 30 || alignment > kPageSize || (alignment & (alignment - 1)) != 0) return nullptr;
    if (alignment < 16) alignment = 16;
    const size_t before = alignment > sizeof(LedgerBlock) ? alignment : sizeof(LedgerBlock);
    auto* const start = static_cast<uint8_t*>(heap_.allocate(before + size, alignment));
    if (start == nullptr) return nullptr;
    auto* const header = new (start + before - sizeof(LedgerBlock)) LedgerBlock();
    header->ledger = this;
    header->size = static_cast<uint32_t>(size);
    header->offset = static_cast<uint32_t>(before - sizeof(LedgerBlock));
    SpinLockGuard guard(lock_);
    list_.push_back(*header);
    ++blocks_;
    bytes_ += size;
    return header + 1;
}

void Ledger::free(void* block) {
    LedgerBlock& header = header_of(block);
    HELIX_ASSERT(header.ledger != nullptr);
    Ledger& ledger = *header.ledger;
    {
        SpinLockGuard guard(ledger.lock_);
        ledger.list_.erase(ledger.list_.iterator_to(header));
        --ledger.blocks_;
        ledger.bytes_ -= header.size;
    }
    header.ledger = nullptr;
    ledger.heap_.free(reinterpret_cast<uint8_t*>(&header) - header.offset);
}

void Ledger::transfer(void* block, Ledger& to) {
    LedgerBlock& header = header_of(block);
    Ledger& from = *header.ledger;
    if (&from == &to) return;
    {
        SpinLockGuard guard(from.lock_);
        from.list_.erase(from.list_.iterator_to(header));
        --from.blocks_;
        from.bytes_ -= header.size;
    }
    header.ledger = &to;
    SpinLockGuard guard(to.lock_);
    to.list_.push_back(header);
    ++to.blocks_;
    to.bytes_ += header.size;
}

bool Ledger::owns(const void* block) {
    SpinLockGuard guard(lock_);
    for (const LedgerBlock& header : list_)
        if (&header + 1 == block) return true;
    return false;
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

}  // namespace helix::kernel
