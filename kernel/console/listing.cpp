// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Listing.
#include "kernel/console/listing.hpp"

#include "kernel/duration.hpp"

namespace helix::kernel {

namespace {
Span<const Column> with_titles(Span<const Column> columns, Column (&out)[Table::kMaximumColumns]) {
    size_t count = 0;
    for (const Column& column : columns)
        if (!column.title.empty()) out[count++] = column;
    return {out, count};
}
}  // namespace

Listing::Listing(TextSink& out, bool json, Span<const Column> columns, Span<char> scratch)
    : columns_(columns), table_(out, with_titles(columns, shown_), scratch), json_(out), out_(out), is_json_(json) {
    if (is_json_) json_.begin_array();
}

/// False if the cell is not to be shown. In JSON its key is written.
bool Listing::begin_cell() {
    const Column& column = columns_[column_];
    if (!is_json_) return !column.title.empty();
    if (column_ == 0) json_.begin_object();
    if (!column.key.empty()) json_.key(column.key);
    return !column.key.empty();
}

void Listing::end_cell() {
    if (++column_ != columns_.size()) return;
    column_ = 0;
    if (is_json_) json_.end_object();
}

void Listing::cell(Text text) {
    if (begin_cell()) {
        if (is_json_)
            json_.value(text);
        else
            table_.cell(text);
    }
    end_cell();
}

void Listing::number_cell(uint64_t number, Shown how) {
    if (begin_cell()) {
        if (is_json_)
            json_.value(number);
        else if (how == Shown::Duration)
            table_.cell(describe_duration(number).text());
        else if (how == Shown::Time)
            table_.cell(describe_time(number).text());
        else if (how == Shown::Share)
            table_.cell(format<24>("{}.{} %", number / 10, number % 10).text());
        else
            table_.cell(number);
    }
    end_cell();
}

void Listing::flag(bool is_so) {
    if (begin_cell()) {
        if (is_json_)
            json_.value(is_so);
        else
            table_.cell(is_so ? Text("yes") : Text("no"));
    }
    end_cell();
}

void Listing::numbers(Span<const uint32_t> list) {
    if (begin_cell()) {
        if (is_json_) json_.begin_array();
        FixedText<100> text;
        for (const uint32_t number : list) {
            if (is_json_) {
                json_.value(number);
                continue;
            }
            if (!text.empty()) text.append('/');
            text.append(format<24>("{}", uint64_t{number}).text());
        }
        if (is_json_)
            json_.end_array();
        else
            table_.cell(text.text());
    }
    end_cell();
}

void Listing::end(Text otherwise) {
    if (is_json_)
        json_.end_array();
    else
        table_.finish(otherwise);
}

void Listing::finish(Text otherwise) {
    end(otherwise);
    if (is_json_) out_.write("\n");
}

}  // namespace helix::kernel
