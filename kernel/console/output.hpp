// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Output: what a shell command prints; and Table, rows in aligned columns.
#pragma once

#include "kernel/console/json.hpp"
#include "kernel/console/log.hpp"
#include "kernel/memory/heap.hpp"

namespace helix::kernel {

/// Collects text and writes it to the console in pieces of at most 16 KiB, whatever the amount. While a command's
/// text is partly written, log lines wait, so that they never stand inside it. One thread at a time; thread context.
class Output final : public TextSink {
public:
    Output(Heap& heap, Log& log) : heap_(heap), log_(log) {}
    ~Output();
    Output(const Output&) = delete;
    Output& operator=(const Output&) = delete;

    /// What no terminal should be sent, as modules might, comes out as \xNN.
    void write(Text text) override;
    /// The same in one line: line breaks within `text` come out as \x0a.
    void write_line(Text text);
    /// Writes what is collected. To be called at the end of each command.
    void finish();
    /// Forgets what is collected and not written yet.
    void discard() { used_ = 0; }

private:
    static constexpr size_t kFirstCapacity = 1024;
    static constexpr size_t kMaximumCapacity = 16 * 1024;

    bool grow();
    void write_out();
    void append(Text text);
    void append_printable(Text text, Text breaks);

    Heap& heap_;
    Log& log_;
    char* buffer_ = nullptr;
    size_t capacity_ = 0;
    size_t used_ = 0;
    bool echo_held_ = false;
};

struct Column {
    enum class Align : uint8_t { Left, Right };
    const char* title;
    Align align = Align::Left;
    const char* key = nullptr;  ///< for Listing: the member of the same meaning
};

/// Rows in columns as wide as their widest cell. Rows are kept in `scratch` until it is full or finish is called; a
/// table that does not fit there is printed in parts, whose columns can only become wider. Lines do not end in
/// blanks. The caller gives as many cells as there are columns in each row; a cell is cut at 200 bytes,
/// or at what is left of a scratch that is too small for a row (it has at least a byte for each column).
class Table {
public:
    static constexpr size_t kMaximumColumns = 12;

    Table(TextSink& out, Span<const Column> columns, Span<char> scratch)
        : out_(out), columns_(columns), scratch_(scratch) {}

    void cell(Text text);
    template <typename T>
        requires std::is_integral_v<T>
    void cell(T number) {
        static_assert(std::is_unsigned_v<T> && !std::is_same_v<T, bool>);
        cell_of(number);
    }
    /// Prints the rest; with no row at all, `otherwise` on a line of its own.
    void finish(Text otherwise = "(none)");

private:
    static constexpr size_t kMaximumCell = 200;

    void cell_of(uint64_t number);
    void print_rows(size_t end);
    void print_cell(size_t column, Text text);

    TextSink& out_;
    Span<const Column> columns_;
    Span<char> scratch_;
    size_t used_ = 0;
    size_t row_begin_ = 0;  ///< in scratch, of the row that is being filled
    size_t column_ = 0;
    bool titled_ = false;
    size_t spaces_ = 0;  ///< due before the next text in the line; none are left at its end
    size_t widths_[kMaximumColumns] = {};
};

}  // namespace helix::kernel
