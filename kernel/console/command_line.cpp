// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Splitting of command lines, edit distance.
#include "kernel/console/command_line.hpp"

#include "helix/format.hpp"

namespace helix::kernel {

Result<size_t> split_command(Text line, Span<char> storage, CommandWords& out) {
    out.count = 0;
    size_t used = 0;   // of storage; never more than was read of the line
    size_t begin = 0;  // of the current word in storage
    bool in_word = false;
    bool too_many = false;
    const auto put = [&](char c) {
        in_word = true;
        storage[used++] = c;
    };
    const auto finish_word = [&] {
        if (!in_word) return;
        if (out.count < CommandWords::kMaximum)
            out.words[out.count++] = Text(storage.data() + begin, used - begin);
        else
            too_many = true;
        begin = used;
        in_word = false;
    };
    if (storage.size() < line.size()) return Error(ErrorCode::InvalidArgument, "the storage is smaller than the line");

    size_t i = 0;
    bool ended = false;
    while (i < line.size() && !ended) {
        const char c = line[i++];
        if (c == ' ' || c == '\t') {
            finish_word();
        } else if (c == ';' || c == '\n' || c == '\r') {
            ended = true;
        } else if (c == '#' && !in_word) {
            while (i < line.size() && line[i] != '\n' && line[i] != '\r') ++i;
        } else if (c == '\'' || c == '"') {
            in_word = true;  // also when there is nothing between the quotes
            for (;;) {
                if (i == line.size())
                    return Error(ErrorCode::InvalidArgument,
                                 format("a quote {} is not closed; end it or write \\{}", c, c).text());
                char quoted = line[i++];
                if (quoted == c) break;
                if (quoted == '\\' && c == '"' && i < line.size()) quoted = line[i++];
                put(quoted);
            }
        } else if (c == '\\') {
            if (i == line.size())
                return Error(ErrorCode::InvalidArgument,
                             "a backslash at the end takes no character; write \\\\ for one");
            put(line[i++]);
        } else {
            put(c);
        }
    }
    finish_word();
    if (too_many)
        return Error(
            ErrorCode::InvalidArgument,
            format("a command has at most {} words; quote those that belong together", size_t{CommandWords::kMaximum})
                .text());
    return i;
}

size_t edit_distance(Text a, Text b) {
    constexpr size_t kLimit = 32;
    a = a.substr(0, kLimit);
    b = b.substr(0, kLimit);
    const auto smaller = [](size_t x, size_t y) { return x < y ? x : y; };
    uint8_t rows[3][kLimit + 1];
    for (size_t j = 0; j <= b.size(); ++j) rows[0][j] = static_cast<uint8_t>(j);
    for (size_t i = 1; i <= a.size(); ++i) {
        uint8_t* const row = rows[i % 3];
        const uint8_t* const above = rows[(i + 2) % 3];
        const uint8_t* const two_above = rows[(i + 1) % 3];
        row[0] = static_cast<uint8_t>(i);
        for (size_t j = 1; j <= b.size(); ++j) {
            const bool same = a[i - 1] == b[j - 1];
            size_t cost = smaller(above[j - 1] + (same ? 0u : 1u), smaller(above[j], row[j - 1]) + 1u);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                cost = smaller(cost, two_above[j - 2] + 1u);
            row[j] = static_cast<uint8_t>(cost);
        }
    }
    return rows[a.size() % 3][b.size()];
}

}  // namespace helix::kernel
