// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// The shell.
#include "kernel/console/shell.hpp"

#include "kernel/console/console_input.hpp"
#include "kernel/console/trace_text.hpp"
#include "kernel/kernel.hpp"
#include "kernel/panic.hpp"

#include <new>

namespace helix::kernel {

namespace {

constexpr Text kPrompt = "helix> ";

/// The console as the editor sees it: keystrokes cost few writes.
class Terminal final : public TextSink {
public:
    void write(Text text) override {
        for (char c : text) {
            if (used_ == sizeof(buffer_)) flush();
            buffer_[used_++] = c;
        }
    }
    void flush() {
        if (used_ > 0) arch::console_write(Text(buffer_, used_));
        used_ = 0;
    }

private:
    size_t used_ = 0;
    char buffer_[256];
};

/// Large (tens of KiB): lives on the heap, for as long as the kernel.
class Shell final : public Completer {
public:
    explicit Shell(Kernel& kernel)
        : kernel_(kernel),
          out_(kernel.heap, kernel.log),
          interactive_(boot_word(kernel.boot.command_line, "interactive") == "1"),
          json_(boot_word(kernel.boot.command_line, "json") == "1"),
          input_(kernel.threads),
          editor_(terminal_, interactive_ ? LineEditor::Mode::Interactive : LineEditor::Mode::Plain, this) {}

    /// Runs the commands of `script` until one fails or wants the end; false if one failed.
    bool run_script(Text script);
    /// Runs lines from the console to the end of input.
    void run_console();
    /// Prints the trace as `helix trace` reads it.
    void report_trace() {
        kernel_.trace.pause();
        kernel::report_trace(kernel_, out_);
        out_.finish();
    }
    /// What the session ends with.
    uint8_t status() const {
        return end_.status != SessionEnd::kByOutcome ? static_cast<uint8_t>(end_.status) : (failed_ ? 1 : 0);
    }

    void complete(Text before, CompletionCandidates& out) override;

private:
    /// Runs the commands of a line, all of them up to the first that fails.
    bool run_line(Text line, Span<char> storage);
    bool run_command(const CommandWords& words);
    Result<void> dispatch(const CommandWords& words, bool& json);
    bool report(const Error& error, bool json);
    bool report_interrupt(const Result<void>& result, bool json);
    bool is_interrupted() { return interactive_ && input_.is_interrupted(); }
    int read_byte() { return interactive_ ? input_.next() : arch::console_read(); }
    uint8_t next_byte();
    void print_banner();

    Kernel& kernel_;
    Output out_;
    SessionEnd end_;
    bool interactive_;
    bool json_;
    bool failed_ = false;
    Terminal terminal_;
    ConsoleInput input_;  ///< used when a person sits there; a script is read when it is wanted
    LineEditor editor_;
    char words_[LineEditor::kCapacity];
    char scratch_[8 * 1024];
};

/// Ctrl-C ended the waits of a command, or its line before it began.
bool Shell::report_interrupt(const Result<void>& result, bool json) {
    FixedText<Error::kCapacity> sentence("interrupted");
    if (!result.ok() && result.error().code() != ErrorCode::Cancelled && result.error().code() != ErrorCode::TimedOut)
        sentence = format("interrupted: {}", result.error().sentence());
    if (json) return report(Error(ErrorCode::Cancelled, sentence.text()), json);
    out_.write_line(sentence.text());
    out_.finish();
    return false;
}

bool Shell::report(const Error& error, bool json) {
    failed_ = true;
    if (json) {
        JsonWriter writer(out_);
        writer.begin_object();
        writer.field("error", error.sentence());
        writer.end_object();
        out_.write("\n");
    } else {
        out_.write("error: ");
        out_.write_line(error.sentence());
    }
    out_.finish();
    return false;
}

Result<void> Shell::dispatch(const CommandWords& words, bool& json) {
    const Command* const command = find_command(words.words[0]);
    Text arguments[CommandWords::kMaximum];
    size_t count = 0;
    bool explain = false;
    Text option;
    bool options_ended = false;
    bool contradict = false;
    Text unknown;
    Text option_value;
    bool lacks_value = false;
    for (size_t i = 1; i < words.count; ++i) {
        const Text word = words.words[i];
        if (options_ended || !word.starts_with("--"))
            arguments[count++] = word;
        else if (word == "--")
            options_ended = true;
        else if (word == "--json")
            json = true;
        else if (word == "--help")
            explain = true;
        else if (command != nullptr && command->has_option(word)) {
            contradict |= !option.empty() && option != word;
            option = word;
            if (!command->options_take_value) continue;
            lacks_value = ++i == words.count;
            if (!lacks_value) option_value = words.words[i];
        } else if (unknown.empty())
            unknown = word;
    }
    if (command == nullptr) return unknown_command(words.words[0]);
    Invocation invocation{kernel_,
                          *command,
                          Span<const Text>(arguments, count),
                          json,
                          option,
                          option_value,
                          out_,
                          Span<char>(scratch_),
                          end_,
                          interactive_ ? &input_ : nullptr};
    if (explain) {
        const Text own_name[] = {command->name};
        invocation.arguments = own_name;
        return run_help(invocation);
    }
    if (contradict)
        return Error(ErrorCode::InvalidArgument,
                     format("{} takes one of {} at a time", command->name, command->options).text());
    if (!unknown.empty())
        return Error(
            ErrorCode::InvalidArgument,
            format("{} has no option {}; it takes {}{}--json and --help, and -- ends the options", command->name,
                   unknown.substr(0, 40), command->options, command->options.empty() ? Text() : Text(", "))
                .text());
    const bool too_few = count < command->required || lacks_value;
    if (too_few || (command->accepted != Command::kAnyNumber && count > command->accepted))
        return Error(
            ErrorCode::InvalidArgument,
            format("{} {}; usage: {}{}{}", command->name,
                   too_few ? Text("needs more arguments") : Text("takes fewer arguments (quote one with spaces)"),
                   command->name, command->usage.empty() ? Text() : Text(" "), command->usage)
                .text());
    for (size_t i = 0; i < count; ++i)
        if (arguments[i].empty() && command->kind(i) != ArgumentKind::Other)
            return Error(ErrorCode::InvalidArgument,
                         format("\"\" is no name; usage: {} {}", command->name, command->usage).text());
    const auto result = command->run(invocation);
    if (result.ok()) return {};
    // The word that was not found is most likely the first one that names nothing.
    for (size_t i = 0; i < count; ++i) {
        const Error better = with_suggestion(kernel_, result.error(), command->kind(i),
                                             Span<const Text>(words.words, words.count), arguments[i]);
        if (better.sentence() != result.error().sentence()) return better;
    }
    return result.error();
}

bool Shell::run_command(const CommandWords& words) {
    bool json = json_;
    const auto result = dispatch(words, json);
    if (!result.ok()) out_.discard();
    if (is_interrupted()) return report_interrupt(result, json);
    if (!result.ok()) return report(result.error(), json);
    out_.finish();
    return true;
}

bool Shell::run_line(Text line, Span<char> storage) {
    while (!line.empty() && !end_.wanted) {
        CommandWords words;
        const auto taken = split_command(line, storage, words);
        if (!taken.ok()) return report(taken.error(), json_);
        line = line.substr(taken.value());
        if (words.count > 0 && !run_command(words)) return false;
    }
    return true;
}

bool Shell::run_script(Text script) {
    if (script.empty()) return true;
    auto* const storage = static_cast<char*>(kernel_.heap.allocate(script.size()));
    if (storage == nullptr) return report(Error(ErrorCode::OutOfMemory, "no memory to run the file exec"), json_);
    const bool succeeded = run_line(script, Span<char>(storage, script.size()));
    kernel_.heap.free(storage);
    return succeeded;
}

uint8_t Shell::next_byte() {
    int byte = read_byte();
    if (byte >= 0) return static_cast<uint8_t>(byte);
    terminal_.flush();
    if (interactive_) {
        // From here on a log line that is echoed redraws what is being typed.
        struct Line final : TextSink {
            void write(Text part) override { fits &= text.append(part); }
            FixedText<200> text;
            bool fits = true;
        } line;
        editor_.redraw(line);
        kernel_.log.set_input_line(line.fits ? line.text.text() : Text());
    }
    while (byte < 0) {
        if (interactive_)
            input_.wait();
        else
            kernel_.threads.wait_console_input();
        byte = read_byte();
    }
    if (interactive_) kernel_.log.set_input_line({});
    return static_cast<uint8_t>(byte);
}

void Shell::print_banner() {
    size_t count = 0;
    kernel_.modules.for_each([&](ModuleRecord&) { ++count; });
    out_.print("Helix 0.1.0, profile {}, {}; type help\n", kernel_.profile.value("profile.name", "(none)"),
               counted(count, "module"));
    out_.finish();
}

void Shell::run_console() {
    if (interactive_) {
        if (const auto started = input_.start(); !started.ok()) panic(started.error().sentence());
        print_banner();
    }
    while (!end_.wanted && !editor_.ended()) {
        editor_.begin(kPrompt);
        auto action = LineEditor::Action::Continue;
        while (action == LineEditor::Action::Continue) action = editor_.feed(next_byte());
        terminal_.flush();
        switch (action) {
            case LineEditor::Action::Continue: break;
            case LineEditor::Action::Line:
                if (interactive_) input_.begin_command();
                run_line(editor_.line(), Span<char>(words_));
                if (interactive_) input_.end_command();
                break;
            case LineEditor::Action::TooLong:
                report(Error(ErrorCode::InvalidArgument,
                             format("a line is longer than {} bytes; split it", size_t{LineEditor::kCapacity}).text()),
                       json_);
                break;
            case LineEditor::Action::EndOfInput: break;
        }
    }
    // A person who made a mistake on the way did not fail.
    if (interactive_) failed_ = false;
}

void Shell::complete(Text before, CompletionCandidates& out) {
    // Only the command that is being typed matters; what stands before it is skipped command by command.
    CommandWords words;
    size_t begin = 0;
    const size_t word_begin = last_word_begin(before);
    for (;;) {
        const Text rest = before.substr(begin, word_begin - begin);
        if (rest.empty()) break;
        const auto taken = split_command(rest, Span<char>(words_), words);
        if (!taken.ok()) return;
        const char last = rest[taken.value() - 1];
        if (taken.value() == rest.size() && last != ';') break;
        begin += taken.value();
        words.count = 0;
    }
    if (words.count == 0) {
        offer_candidates(kernel_, ArgumentKind::Command, {}, out);
        return;
    }
    const Command* const command = find_command(words.words[0]);
    if (before.substr(word_begin).starts_with("-")) {
        for (const Text own : Words(command != nullptr ? command->options : Text())) out.offer(own);
        out.offer("--json");
        out.offer("--help");
        return;
    }
    if (command == nullptr) return;
    const bool names_cpu = words.words[words.count - 1] == "--canary";
    offer_candidates(kernel_, names_cpu ? ArgumentKind::Cpu : command->kind(words.count - 1),
                     Span<const Text>(words.words, words.count), out);
}

}  // namespace

void shut_down(Kernel& kernel, uint8_t status) {
    constexpr uint64_t kTellNs = 5'000'000'000;  // a policy need not let the thread run that tells them
    auto told = kernel.modules.emit(Event::make_shutdown());
    if (told.ok()) told = kernel.modules.drain_events(kTellNs);
    if (!told.ok()) kernel.log.warning("kernel", "shutdown: not all modules were told: {}", told.error().sentence());
    kernel.modules.stop_all();
    arch::power_off(status);
}

void run_shell(Kernel& kernel) {
    void* const memory = kernel.heap.allocate(sizeof(Shell), alignof(Shell));
    if (memory == nullptr) panic("no memory for the shell");
    Shell& shell = *new (memory) Shell(kernel);
    if (boot_word(kernel.boot.command_line, "report") == "boot")
        arch::console_write(format<48>("boot: {} cycles\n", kernel.boot_cycles).text());
    if (const auto script = Archive(kernel.boot.initrd).find(kScriptFile); script.ok())
        (void)shell.run_script(as_text(script.value()));
    else
        shell.run_console();
    if (boot_word(kernel.boot.command_line, "report") == "trace") shell.report_trace();
    const uint8_t status = shell.status();
    shut_down(kernel, status);
}

}  // namespace helix::kernel
