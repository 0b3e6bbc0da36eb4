// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// LineEditor: turns typed bytes into lines, with editing, history and completion on a terminal.
#pragma once

#include "kernel/console/text_sink.hpp"

namespace helix::kernel {

/// Receives the candidates of a completion. Texts are used before offer returns.
class CompletionCandidates {
public:
    virtual void offer(Text candidate) = 0;

protected:
    ~CompletionCandidates() = default;
};

/// Knows what could stand at a place of a command line.
class Completer {
public:
    /// Offers what could stand as the last word of `before`, the line up to the cursor. Need not look at what is typed
    /// of that word already. Called on the editor's thread, up to twice for one key.
    virtual void complete(Text before, CompletionCandidates& out) = 0;

protected:
    ~Completer() = default;
};

/// The start of the last word of `before`: behind the last blank, `;` or quote.
size_t last_word_begin(Text before);

/// Fed byte by byte, one thread at a time. In plain mode nothing is echoed and only line ends, Ctrl-C and Ctrl-D
/// mean anything; in interactive mode the terminal understands the usual ANSI escape codes and is 80 columns wide.
class LineEditor {
public:
    static constexpr size_t kCapacity = 1024;
    static constexpr size_t kHistoryLines = 64;
    static constexpr size_t kColumns = 80;

    enum class Mode : uint32_t { Plain, Interactive };
    enum class Action : uint32_t {
        Continue,
        Line,     ///< line() is complete
        TooLong,  ///< plain mode only: a line above kCapacity was dropped
        EndOfInput,
    };

    /// `terminal` and `completer` (may be null) outlive the editor.
    LineEditor(TextSink& terminal, Mode mode, Completer* completer)
        : terminal_(terminal), completer_(completer), mode_(mode) {}

    /// Starts a new line and shows `prompt`, which must live until the line is complete.
    void begin(Text prompt);
    Action feed(uint8_t byte);
    /// The line as typed, until begin.
    Text line() const { return {line_, size_}; }
    /// Input has ended behind a last line without a line end.
    bool ended() const { return ended_; }

    /// Writes what shows prompt and line again, with the cursor where it is, on a terminal row that holds anything.
    void redraw(TextSink& out) const;

    /// The n-th line of the history, 0 the latest; empty beyond its end.
    Text history(size_t n) const;

private:
    enum class Escape : uint8_t { None, Started, Bracket };

    Action feed_plain(uint8_t byte);
    Action feed_interactive(uint8_t byte);
    void feed_escape(char c);
    void control(char c);
    void insert(Text text);
    void erase(size_t from, size_t to);
    size_t before_cursor() const;  ///< start of the character left of the cursor
    size_t after_cursor() const;   ///< end of the character at the cursor
    void replace_line(Text text);
    void browse_history(bool older);
    void remember();
    void complete(bool again);
    void refresh() { redraw(terminal_); }
    void bell() { terminal_.write("\a"); }

    TextSink& terminal_;
    Completer* completer_;
    Mode mode_;
    Text prompt_;
    bool ended_ = false;
    bool too_long_ = false;
    bool after_return_ = false;  ///< the last byte was CR: a LF that follows belongs to it
    bool after_tab_ = false;
    Escape escape_ = Escape::None;
    uint32_t escape_number_ = 0;
    size_t size_ = 0;
    size_t cursor_ = 0;    ///< byte offset, always at the start of a character
    size_t browsing_ = 0;  ///< 0: the line being written; n: history(n - 1)
    size_t draft_size_ = 0;
    size_t history_used_ = 0;
    size_t history_count_ = 0;
    char line_[kCapacity];
    char draft_[kCapacity];   ///< the line being written, while the history is shown
    char history_[8 * 1024];  ///< oldest first, each line followed by a zero
};

}  // namespace helix::kernel
