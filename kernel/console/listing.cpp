// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Listing.
#include "kernel/console/listing.hpp"

#include "kernel/duration.hpp"

namespace helix::kernel {

Listing::Listing(TextSink& out, bool json, Span<const Column> columns, Span<char> scratch)
    : columns_(columns), table_(out, columns, scratch), json_(out), out_(out), is_json_(json) {
    if (is_json_) json_.begin_array();
}

void Listing::begin_cell() {
    if (!is_json_) return;
    if (column_ == 0) json_.begin_object();
    json_.key(Text::from_c_string(columns_[column_].key));
}

void Listing::end_cell() {
    if (++column_ != columns_.size()) return;
    column_ = 0;
    if (is_json_) json_.end_object();
}

void Listing::cell(Text text) {
    begin_cell();
    if (is_json_)
        json_.value(text);
    else
        table_.cell(text);
    end_cell();
}

void Listing::number_cell(uint64_t number, Shown how) {
    begin_cell();
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
    end_cell();
}

void Listing::flag(bool is_so) {
    begin_cell();
    if (is_json_)
        json_.value(is_so);
    else
        table_.cell(is_so ? Text("yes") : Text("no"));
    end_cell();
}

void Listing::numbers(Span<const uint32_t> list) {
    FixedText<186> text;
    if (is_json_) text.append('[');
    for (size_t i = 0; i < list.size(); ++i) {
        if (i != 0) text.append(',');
        text.append(format<24>("{}", uint64_t{list[i]}).text());
    }
    if (is_json_) text.append(']');
    begin_cell();
    if (is_json_)
        json_.raw(text.text());
    else
        table_.cell(text.text());
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
