// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Replacements: what one transaction puts into the places of modules, of one or of several at once.
#pragma once

#include "helix/request.hpp"
#include "kernel/memory/make.hpp"
#include "kernel/module/module_hold.hpp"

namespace helix::kernel {

/// What is asked for: a new instance of module `name`, of `file` or, if that is empty, of the file that it has.
struct Wanted {
    Text name;
    Text file;
};

/// One module of a transaction. Changed with the change lock held.
struct Replacement {
    ModuleRecord& record;
    const Text wanted;        ///< the file that was asked for; while the transaction lasts
    Image* image = nullptr;   ///< of the instance that is to come; while the transaction lasts
    FixedText<62> file;       ///< of the new instance; once that serves, of the one before
    FixedText<46> interface;  ///< for the history, as the next two
    FixedText<46> from;
    FixedText<46> to;
    Instance* old = nullptr;        ///< who served when the hold began
    Instance* candidate = nullptr;  ///< who is to serve, until it does
    Instance* spare = nullptr;      ///< initialised: who serves if the new one fails on probation
    Buffer buffer;
    Bytes state;  ///< what was saved, in `buffer`; the spare starts with it
    uint64_t saved_ns = 0;
    ModuleHold hold;

    Replacement(ModuleRecord& of, Text wanted_file) : record(of), wanted(wanted_file), hold(of) {}
};

/// On the kernel's heap, from the beginning of the transaction to the end of the probation.
class Replacements {
public:
    static constexpr size_t kMaximum = 8;

    Replacements() = default;
    Replacements(Replacements&& other) { *this = std::move(other); }
    Replacements& operator=(Replacements&& other) {
        std::swap(heap_, other.heap_);
        std::swap(items_, other.items_);
        std::swap(count_, other.count_);
        for (size_t i = 0; i < kMaximum; ++i) std::swap(order_[i], other.order_[i]);
        return *this;
    }
    ~Replacements() { clear(); }

    /// Makes room for `count`, kMaximum at most; there was none. False when memory is short.
    bool reserve(Heap& heap, size_t count) {
        heap_ = &heap;
        items_ = static_cast<Replacement*>(heap.allocate(count * sizeof(Replacement), alignof(Replacement)));
        return items_ != nullptr;
    }
    void add(ModuleRecord& record, Text wanted) {
        order_[count_] = static_cast<uint8_t>(count_);
        new (items_ + count_++) Replacement(record, wanted);
    }
    void clear() {
        while (count_ > 0) items_[--count_].~Replacement();
        if (items_ != nullptr) heap_->free(items_);
        items_ = nullptr;
    }

    size_t size() const { return count_; }
    /// In the order in which they were asked for.
    Replacement* begin() const { return items_; }
    Replacement* end() const { return items_ + count_; }
    /// Providers before those who need them.
    Replacement& operator[](size_t i) const { return items_[order_[i]]; }
    void exchange(size_t i, size_t k) { std::swap(order_[i], order_[k]); }
    /// Null if the module of `record` does not take part.
    Replacement* find(const ModuleRecord& record) const {
        for (Replacement& replacement : *this)
            if (&replacement.record == &record) return &replacement;
        return nullptr;
    }

private:
    Heap* heap_ = nullptr;
    Replacement* items_ = nullptr;
    size_t count_ = 0;
    uint8_t order_[kMaximum] = {};
};

}  // namespace helix::kernel
