// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Listing: rows that a command prints as a table or as an array of objects, whichever was asked for.
#pragma once

#include "kernel/console/commands.hpp"

namespace helix::kernel {

/// The caller gives the cells of each row in the order of the columns, which all have keys.
class Listing {
public:
    /// `scratch` is for the table.
    Listing(TextSink& out, bool json, Span<const Column> columns, Span<char> scratch);
    Listing(Invocation& invocation, Span<const Column> columns)
        : Listing(invocation.out, invocation.json, columns, invocation.scratch) {}
    Listing(const Listing&) = delete;
    Listing& operator=(const Listing&) = delete;

    void cell(Text text);
    template <typename T>
        requires(std::is_unsigned_v<T> && !std::is_same_v<T, bool>)
    void cell(T number) {
        number_cell(number, Shown::Number);
    }
    /// "12.345 ms", or nanoseconds in JSON.
    void duration(uint64_t ns) { number_cell(ns, Shown::Duration); }
    /// "1.234567", or nanoseconds in JSON.
    void time(uint64_t ns) { number_cell(ns, Shown::Time); }
    /// "12.3 %", or the thousandths in JSON.
    void share(uint64_t permille) { number_cell(permille, Shown::Share); }
    /// "yes" or "no", or true and false in JSON.
    void flag(bool is_so);
    /// "1,2,3", or an array in JSON; sixteen at most.
    void numbers(Span<const uint32_t> list);
    /// Once, behind the last row; `otherwise` is printed as by Table.
    void finish(Text otherwise = "(none)");
    /// The same, but the line of JSON goes on.
    void end(Text otherwise = "(none)");

private:
    enum class Shown : uint8_t { Number, Duration, Time, Share };

    void number_cell(uint64_t number, Shown how);
    void begin_cell();
    void end_cell();

    Span<const Column> columns_;
    Table table_;
    JsonWriter json_;
    TextSink& out_;
    const bool is_json_;
    size_t column_ = 0;
};

}  // namespace helix::kernel
