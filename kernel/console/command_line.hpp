// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Splitting of a command line into commands and words, and the nearest valid word to a wrong one.
#pragma once

#include "helix/result.hpp"

namespace helix::kernel {

/// The words of one command. They point into the storage that was given to split_command.
struct CommandWords {
    static constexpr size_t kMaximum = 24;
    Text words[kMaximum];
    size_t count = 0;
};

/// Splits the first command off `line` and returns the number of characters it took, its end mark included; zero
/// only when `line` is empty. A command ends at `;` or a line break; words are separated by blanks; a `#` at the
/// start of a word begins a comment to the end of the line. 'single quotes' take everything as it is, inside
/// "double quotes" and outside a backslash takes the next character as it is. `storage` receives the unquoted words
/// and is at least as large as `line`. Pure. Errors: InvalidArgument (a quote is not closed, a backslash at the end,
/// too many words; the sentence says which).
Result<size_t> split_command(Text line, Span<char> storage, CommandWords& out);

/// The number of insertions, deletions, substitutions and exchanges of neighbours that turn `a` into `b`
/// (optimal string alignment; Damerau 1964). Texts are compared up to 32 characters.
size_t edit_distance(Text a, Text b);

/// Keeps the candidate that is nearest to a word, if any is near enough to have been meant.
class Nearest {
public:
    explicit Nearest(Text word) : word_(word), distance_(word.size() < 4 ? 2 : 2 + word.size() / 3) {}
    /// The candidate is copied.
    void offer(Text candidate) {
        const size_t distance = edit_distance(word_, candidate);
        if (distance >= distance_) return;
        distance_ = distance;
        best_.assign(candidate);
    }
    /// Empty when nothing is near.
    Text best() const { return best_.text(); }

private:
    Text word_;
    size_t distance_;  ///< offers must be below it
    FixedText<64> best_;
};

}  // namespace helix::kernel
