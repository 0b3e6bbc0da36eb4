// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Output and Table.
#include "kernel/console/output.hpp"

#include "arch/seam.hpp"
#include "kernel/console/utf8.hpp"

namespace helix::kernel {

Output::~Output() {
    finish();
    if (buffer_ != nullptr) heap_.free(buffer_);
}

bool Output::grow() {
    const size_t capacity = capacity_ == 0 ? kFirstCapacity : capacity_ * 2;
    if (capacity > kMaximumCapacity) return false;
    auto* const buffer = static_cast<char*>(heap_.allocate(capacity));
    if (buffer == nullptr) return false;
    if (used_ > 0) __builtin_memcpy(buffer, buffer_, used_);
    if (buffer_ != nullptr) heap_.free(buffer_);
    buffer_ = buffer;
    capacity_ = capacity;
    return true;
}

void Output::write_out() {
    if (!echo_held_) log_.hold_echo();
    echo_held_ = true;
    if (used_ > 0) arch::console_write(Text(buffer_, used_));
    used_ = 0;
}

void Output::append(Text text) {
    while (text.size() > capacity_ - used_ && grow()) {
    }
    if (text.size() > capacity_ - used_) {
        write_out();
        if (text.size() > capacity_) {  // larger than any piece, or no memory for one
            arch::console_write(text);
            return;
        }
    }
    __builtin_memcpy(buffer_ + used_, text.data(), text.size());
    used_ += text.size();
}

/// `breaks`: the control characters that are let through.
void Output::append_printable(Text text, Text breaks) {
    size_t begin = 0;  // what is not appended yet and may be as it is
    for (size_t i = 0; i < text.size();) {
        const size_t length = character_length(text, i);
        if (length > 0 && (control_length(text, i) == 0 || breaks.find(text[i]) != SIZE_MAX)) {
            i += length;
            continue;
        }
        append(text.substr(begin, i - begin));
        const auto code = static_cast<uint8_t>(text[i]);
        constexpr Text kDigits = "0123456789abcdef";
        const char escape[] = {'\\', 'x', kDigits[code >> 4], kDigits[code & 15]};
        append(Text(escape, sizeof(escape)));
        begin = ++i;
    }
    append(text.substr(begin));
}

void Output::write(Text text) {
    append_printable(text, "\n\t");
}

void Output::write_line(Text text) {
    append_printable(text, "");
    append("\n");
}

void Output::finish() {
    if (used_ > 0) write_out();
    if (echo_held_) log_.release_echo();
    echo_held_ = false;
    // The longest output there ever was is not kept.
    if (capacity_ > kFirstCapacity) {
        heap_.free(buffer_);
        buffer_ = nullptr;
        capacity_ = 0;
    }
}

// A row is kept as its cells one behind the other, each with its size in front.

void Table::cell(Text text) {
    text = text.substr(0, kMaximumCell);
    const size_t reserved = columns_.size() - column_;  // a size for this cell and each that follows in the row
    if (used_ + reserved + text.size() > scratch_.size() && row_begin_ > 0) {
        // The rows that are complete go out; the cells of this one move to the front.
        print_rows(row_begin_);
        __builtin_memmove(scratch_.data(), scratch_.data() + row_begin_, used_ - row_begin_);
        used_ -= row_begin_;
        row_begin_ = 0;
    }
    text = text.substr(0, scratch_.size() - used_ - reserved);
    scratch_[used_++] = static_cast<char>(text.size());
    __builtin_memcpy(scratch_.data() + used_, text.data(), text.size());
    used_ += text.size();
    const size_t width = character_count(text);
    if (width > widths_[column_]) widths_[column_] = width;
    if (++column_ == columns_.size()) {
        column_ = 0;
        row_begin_ = used_;
    }
}

void Table::cell_of(uint64_t number) {
    cell(format<24>("{}", number).text());
}

void Table::print_rows(size_t end) {
    if (!titled_) {
        titled_ = true;
        for (size_t i = 0; i < columns_.size(); ++i) {
            const size_t width = character_count(Text::from_c_string(columns_[i].title));
            if (width > widths_[i]) widths_[i] = width;
        }
        for (size_t i = 0; i < columns_.size(); ++i) print_cell(i, Text::from_c_string(columns_[i].title));
    }
    size_t column = 0;
    for (size_t at = 0; at < end;) {
        const auto size = static_cast<uint8_t>(scratch_[at++]);
        print_cell(column, Text(scratch_.data() + at, size));
        at += size;
        column = column + 1 == columns_.size() ? 0 : column + 1;
    }
}

void Table::print_cell(size_t column, Text text) {
    const size_t width = character_count(text);
    const size_t fill = width < widths_[column] ? widths_[column] - width : 0;
    const bool right = columns_[column].align == Column::Align::Right;
    if (right) spaces_ += fill;
    if (!text.empty())
        for (; spaces_ > 0; --spaces_) out_.write(" ");
    out_.write(text);
    spaces_ += (right ? 0 : fill) + 2;
    if (column + 1 < columns_.size()) return;
    spaces_ = 0;
    out_.write("\n");
}

void Table::finish(Text otherwise) {
    if (row_begin_ > 0 || titled_) {
        print_rows(row_begin_);
    } else {
        out_.write(otherwise);
        out_.write("\n");
    }
    used_ = 0;
    row_begin_ = 0;
}

}  // namespace helix::kernel
