// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The editor, driven by scripted bytes; what a terminal would show is worked out by a small emulation.
#include "kernel/console/line_editor.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace helix::kernel {
namespace {

/// One row of a terminal, as far as the editor uses it: what stands in it and where the cursor is.
class TerminalRow final : public TextSink {
public:
    void write(Text text) override {
        all.append(text.data(), text.size());
        for (char c : text) put(c);
    }
    std::string all;
    std::string row;
    size_t column = 0;

private:
    void put(char c) {
        if (!escape_.empty() || c == '\x1b') {
            escape_ += c;
            if (escape_.size() > 2 && c >= '@') {
                if (c == 'K') row.resize(column);
                if (c == 'D') column -= std::stoul(escape_.substr(2));
                escape_.clear();
            }
            return;
        }
        if (c == '\r' || c == '\n') {
            if (c == '\n') row.clear();
            column = 0;
            return;
        }
        if (c == '\a') return;
        if (column < row.size())
            row[column] = c;
        else
            row += c;
        ++column;
    }
    std::string escape_;
};

class WordCompleter final : public Completer {
public:
    explicit WordCompleter(std::vector<std::string> words) : words_(std::move(words)) {}
    void complete(Text, CompletionCandidates& out) override {
        for (const std::string& word : words_) out.offer(Text(word));
    }

private:
    std::vector<std::string> words_;
};

struct Session {
    explicit Session(LineEditor::Mode mode = LineEditor::Mode::Interactive, Completer* completer = nullptr)
        : editor(terminal, mode, completer) {
        editor.begin("> ");
    }
    /// Feeds `bytes`; finished lines are collected, end of input and dropped lines as words in angle brackets.
    void type(std::string_view bytes) {
        for (char c : bytes) {
            switch (editor.feed(static_cast<uint8_t>(c))) {
                case LineEditor::Action::Continue: break;
                case LineEditor::Action::Line:
                    lines.emplace_back(editor.line().data(), editor.line().size());
                    editor.begin("> ");
                    break;
                case LineEditor::Action::TooLong:
                    lines.emplace_back("<too long>");
                    editor.begin("> ");
                    break;
                case LineEditor::Action::EndOfInput: lines.emplace_back("<end>"); break;
            }
        }
    }
    std::string line() const { return {editor.line().data(), editor.line().size()}; }

    TerminalRow terminal;
    LineEditor editor;
    std::vector<std::string> lines;
};

using Lines = std::vector<std::string>;

TEST(LineEditor, PlainModeEchoesNothingAndTakesEveryLineEnd) {
    Session session(LineEditor::Mode::Plain);
    session.type("one\ntwo\r\nthree\r\n\nx\x03last\x04");
    EXPECT_EQ(session.lines, (Lines{"one", "two", "three", "", "last"}));
    EXPECT_TRUE(session.editor.ended());
    EXPECT_EQ(session.terminal.all, "");
    session.type("x");
    EXPECT_EQ(session.lines.back(), "<end>");
}

TEST(LineEditor, PlainModeEndsAtControlDOnAnEmptyLine) {
    Session session(LineEditor::Mode::Plain);
    session.type("a\n\x04");
    EXPECT_EQ(session.lines, (Lines{"a", "<end>"}));
}

TEST(LineEditor, PlainModeDropsALineThatIsTooLongAndSaysSo) {
    Session session(LineEditor::Mode::Plain);
    session.type(std::string(LineEditor::kCapacity, 'a') + "\n" + std::string(LineEditor::kCapacity + 1, 'b') +
                 "\nnext\n");
    EXPECT_EQ(session.lines, (Lines{std::string(LineEditor::kCapacity, 'a'), "<too long>", "next"}));
}

TEST(LineEditor, EditsInTheMiddle) {
    struct Case {
        const char* what;
        const char* typed;
        const char* line;
        size_t cursor;
    };
    const Case cases[] = {
        {"typing", "abc", "abc", 3},
        {"backspace", "abc\x7f\b", "a", 1},
        {"backspace at the start", "\x7f", "", 0},
        {"arrows", "ac\x1b[Db", "abc", 2},
        {"arrows stop at the ends", "ab\x1b[D\x1b[D\x1b[D\x1b[Dx\x1b[C\x1b[C\x1b[C\x1b[Cy", "xaby", 4},
        {"application arrows", "ac\x1bODb", "abc", 2},
        {"home and end", "bc\x1b[Ha\x1b[Fd", "abcd", 4},
        {"home and end by number", "bc\x1b[1~a\x1b[4~d", "abcd", 4},
        {"Ctrl-A and Ctrl-E",
         "bc\x01"
         "a\x05"
         "d",
         "abcd", 4},
        {"delete", "abc\x1b[D\x1b[D\x1b[3~", "ac", 1},
        {"Ctrl-D in a line", "abc\x01\x04", "bc", 0},
        {"Ctrl-K", "abc\x1b[D\x0b", "ab", 2},
        {"Ctrl-U", "abc\x1b[D\x15", "c", 0},
        {"Ctrl-W", "swap one  two  \x17", "swap one  ", 10},
        {"Ctrl-C",
         "abc\x03"
         "d",
         "d", 1},
        {"key with modifier", "ab\x1b[1;5Dc", "acb", 2},
        {"unknown escape", "a\x1b[99xb\x1bzc", "abc", 3},
        {"unknown control",
         "a\x0e\x1d"
         "b",
         "ab", 2},
    };
    for (const Case& c : cases) {
        Session session;
        session.type(c.typed);
        EXPECT_EQ(session.line(), c.line) << c.what;
        EXPECT_EQ(session.terminal.row, std::string("> ") + c.line) << c.what;
        EXPECT_EQ(session.terminal.column, 2 + c.cursor) << c.what;
    }
}

TEST(LineEditor, MovesAndErasesWholeCharacters) {
    Session session;
    session.type("a€ü\x1b[D\x1b[D\x7f");
    EXPECT_EQ(session.line(), "€ü");
    session.type("\x1b[3~x");
    EXPECT_EQ(session.line(), "xü");
}

TEST(LineEditor, ScrollsALineThatDoesNotFit) {
    Session session;
    std::string text;
    for (int i = 0; i < 100; ++i) text += static_cast<char>('0' + i % 10);
    session.type(text);
    EXPECT_EQ(session.terminal.row, "> " + text.substr(100 - 77));
    EXPECT_EQ(session.terminal.column, 79u);
    session.type("\x01");
    EXPECT_EQ(session.terminal.row, "> " + text.substr(0, 77));
    EXPECT_EQ(session.terminal.column, 2u);
}

TEST(LineEditor, RefusesMoreThanItsCapacityWithTheBell) {
    Session session;
    session.type(std::string(LineEditor::kCapacity, 'a'));
    session.terminal.all.clear();
    session.type("b");
    EXPECT_EQ(session.terminal.all, "\a");
    EXPECT_EQ(session.line(), std::string(LineEditor::kCapacity, 'a'));
}

TEST(LineEditor, WalksTheHistoryAndBackToTheDraft) {
    Session session;
    session.type("first\nsecond\nsecond\n\ndraft\x1b[A");
    EXPECT_EQ(session.line(), "second");
    session.type("\x1b[A");
    EXPECT_EQ(session.line(), "first");
    session.type("\x1b[A");
    EXPECT_EQ(session.line(), "first");
    session.type("\x1b[B\x1b[B");
    EXPECT_EQ(session.line(), "draft");
    session.type("\x10\x10!\n");
    EXPECT_EQ(session.lines.back(), "first!");
    EXPECT_EQ(session.editor.history(0), "first!");
}

TEST(LineEditor, KeepsTheLatest64Lines) {
    Session session;
    for (int i = 0; i < 100; ++i) session.type("line" + std::to_string(i) + "\n");
    EXPECT_EQ(session.editor.history(0), "line99");
    EXPECT_EQ(session.editor.history(63), "line36");
    EXPECT_TRUE(session.editor.history(64).empty());
}

TEST(LineEditor, ForgetsOldLinesWhenLongOnesNeedTheRoom) {
    Session session;
    for (char c = 'a'; c <= 'z'; ++c) session.type(std::string(1000, c) + "\n");
    EXPECT_EQ(session.editor.history(0), Text(std::string(1000, 'z')));
    EXPECT_EQ(session.editor.history(7), Text(std::string(1000, 's')));
    EXPECT_TRUE(session.editor.history(8).empty());
}

TEST(LineEditor, EndsAtControlDOnAnEmptyLine) {
    Session session;
    session.type("a\n\x04");
    EXPECT_EQ(session.lines, (Lines{"a", "<end>"}));
}

TEST(LineEditor, CompletesAUniqueWordWithABlank) {
    WordCompleter words({"modules", "memory", "help"});
    Session session(LineEditor::Mode::Interactive, &words);
    session.type("h\tx");
    EXPECT_EQ(session.line(), "help x");
}

TEST(LineEditor, CompletesAsFarAsTheCandidatesAgreeThenListsThem) {
    WordCompleter words(
        {"helix-scheduler-priority", "helix-scheduler-round-robin", "helix-scheduler-priority", "other"});
    Session session(LineEditor::Mode::Interactive, &words);
    session.type("swap he\t");
    EXPECT_EQ(session.line(), "swap helix-scheduler-");
    session.type("\t");
    EXPECT_NE(session.terminal.all.find("helix-scheduler-priority  helix-scheduler-round-robin  "), std::string::npos);
    EXPECT_EQ(session.terminal.all.find("other"), std::string::npos);
    EXPECT_EQ(session.terminal.row, "> swap helix-scheduler-");
    session.type("p\t");
    EXPECT_EQ(session.line(), "swap helix-scheduler-priority ");
}

TEST(LineEditor, CompletesInTheMiddleWithoutASecondBlank) {
    WordCompleter words({"modules"});
    Session session(LineEditor::Mode::Interactive, &words);
    session.type("mo --json\x01\x1b[C\x1b[C\t");
    EXPECT_EQ(session.line(), "modules --json");
}

}  // namespace
}  // namespace helix::kernel
