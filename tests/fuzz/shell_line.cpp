// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What is typed at the shell: any bytes are edited into lines, and any line splits into commands, within what was
// given.

#include <memory>
#include <string>
#include <vector>

#include "kernel/console/command_line.hpp"
#include "kernel/console/line_editor.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace helix::fuzz {

namespace {

using kernel::CommandWords;
using kernel::LineEditor;

/// What stands for `word` in a command line, whatever is in it.
std::string quoted(Text word) {
    std::string out = "'";
    for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
}

void split(Text line) {
    std::vector<char> storage(line.size());
    while (!line.empty()) {
        CommandWords words;
        const Result<size_t> taken = kernel::split_command(line, Span<char>(storage), words);
        if (!taken.ok()) {
            HELIX_FUZZ_REQUIRE(taken.error().code() == ErrorCode::InvalidArgument);
            return;
        }
        HELIX_FUZZ_REQUIRE(taken.value() > 0 && taken.value() <= line.size());
        HELIX_FUZZ_REQUIRE(words.count <= CommandWords::kMaximum);
        line = line.substr(taken.value());
        std::string again;
        for (size_t i = 0; i < words.count; ++i) {
            const Text word = words.words[i];
            HELIX_FUZZ_REQUIRE(word.data() >= storage.data() &&
                               word.data() + word.size() <= storage.data() + storage.size());
            again += quoted(word) + " ";
        }
        // Words that are quoted again come back as they were.
        std::vector<char> other(again.size());
        CommandWords copies;
        const Result<size_t> whole = kernel::split_command(Text(again), Span<char>(other), copies);
        HELIX_FUZZ_REQUIRE(whole.ok() && whole.value() == again.size() && copies.count == words.count);
        for (size_t i = 0; i < words.count; ++i) HELIX_FUZZ_REQUIRE(copies.words[i] == words.words[i]);
        // As the shell does with a word that it does not know.
        if (words.count == 0) continue;
        const Text command = words.words[0];
        kernel::Nearest nearest(command);
        for (const char* known : {"help", "modules", "memory"}) nearest.offer(Text::from_c_string(known));
        HELIX_FUZZ_REQUIRE(kernel::edit_distance(command, command) == 0);
        for (size_t i = 1; i < words.count; ++i)
            HELIX_FUZZ_REQUIRE(kernel::edit_distance(command, words.words[i]) ==
                               kernel::edit_distance(words.words[i], command));
    }
}

class Terminal final : public kernel::TextSink {
public:
    void write(Text text) override { touch(text); }
};

/// Offers words that begin alike, and whatever stands before.
class Words final : public kernel::Completer {
public:
    void complete(Text before, kernel::CompletionCandidates& out) override {
        for (const char* word : {"help", "helix-scheduler-fair", "helix-scheduler-priority", "modules"})
            out.offer(Text::from_c_string(word));
        out.offer(before.substr(kernel::last_word_begin(before)));
        out.offer(before);
    }
};

void type(Bytes typed, LineEditor::Mode mode) {
    Terminal terminal;
    Words words;
    // Of its own size on the heap, so that a sanitizer sees a step outside.
    const auto editor = std::make_unique<LineEditor>(terminal, mode, &words);
    editor->begin("helix> ");
    for (const uint8_t byte : typed) {
        const LineEditor::Action action = editor->feed(byte);
        HELIX_FUZZ_REQUIRE(editor->line().size() <= LineEditor::kCapacity);
        if (action == LineEditor::Action::EndOfInput) {
            HELIX_FUZZ_REQUIRE(editor->ended());
            break;
        }
        if (action == LineEditor::Action::Continue) continue;
        HELIX_FUZZ_REQUIRE(action != LineEditor::Action::TooLong || mode == LineEditor::Mode::Plain);
        if (action == LineEditor::Action::Line) split(editor->line());
        editor->redraw(terminal);
        editor->begin("helix> ");
    }
    editor->redraw(terminal);
    for (size_t n = 0; n <= LineEditor::kHistoryLines; ++n) touch(editor->history(n));
}

}  // namespace

void shell_line(Bytes input) {
    split(as_text(input));
    type(input, LineEditor::Mode::Plain);
    type(input, LineEditor::Mode::Interactive);
}

}  // namespace helix::fuzz

HELIX_FUZZ_ENTRY(shell_line)
