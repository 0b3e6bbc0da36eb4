// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Reading mangled names from left to right; whatever is not known ends it.

#include "kernel/module/function_name.hpp"

namespace helix::kernel {

namespace {

constexpr bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

class Mangled {
public:
    explicit Mangled(Text symbol) : rest_(symbol) {}

    bool read() {
        if (!take("_Z")) return false;
        skip_thunk();
        if (take("nw") || take("na")) return append("operator new"), true;
        if (take("dl") || take("da")) return append("operator delete"), true;
        const bool is_local = take("Z");  // of a function, whose name is told
        if (!(take("N") ? nested_name() : name())) return false;
        if (out_.empty()) return false;
        if (is_local) append("{local}");
        return true;
    }
    const FixedText<120>& readable() const { return out_; }

private:
    bool take(Text prefix) {
        if (!rest_.starts_with(prefix)) return false;
        rest_ = rest_.substr(prefix.size());
        return true;
    }
    /// Digits, which may be none.
    size_t number() {
        size_t value = 0;
        for (; !rest_.empty() && is_digit(rest_[0]); rest_ = rest_.substr(1))
            if (value <= rest_.size()) value = value * 10 + static_cast<size_t>(rest_[0] - '0');
        return value;
    }
    /// How `this` is adjusted before a virtual method is entered.
    void skip_thunk() {
        int offsets = take("Th") ? 1 : take("Tv") ? 2 : 0;
        for (; offsets > 0; --offsets) {
            (void)take("n");
            (void)number();
            (void)take("_");
        }
    }
    bool nested_name() {
        while (take("K") || take("V") || take("R") || take("O")) {
        }
        if (take("St")) append("std");
        while (!take("E"))
            if (!part()) return false;
        return !last_.empty();
    }
    bool part() {
        if (take("C1") || take("C2")) return repeat_class("");
        if (take("D0") || take("D1") || take("D2")) return repeat_class("~");
        return name();
    }
    /// A constructor or destructor has its class's name.
    bool repeat_class(Text before) {
        if (last_.empty()) return false;
        append(before);
        out_.append(last_);
        return true;
    }
    bool name() {
        (void)take("L");
        const size_t size = number();
        if (size == 0 || size > rest_.size()) return false;
        last_ = rest_.substr(0, size);
        rest_ = rest_.substr(size);
        if (!last_.starts_with("_GLOBAL__N")) append(last_);
        return true;
    }
    void append(Text part) {
        if (!out_.empty()) out_.append("::");
        out_.append(part);
    }

    Text rest_;
    Text last_;
    FixedText<120> out_;
};

}  // namespace

FixedText<120> function_name(Text symbol) {
    Mangled mangled(symbol);
    if (mangled.read()) return mangled.readable();
    return FixedText<120>(symbol);
}

}  // namespace helix::kernel
