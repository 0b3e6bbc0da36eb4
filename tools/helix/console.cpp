// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What the tool says.

#include "console.hpp"

#include "failure.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace helix::tool {

namespace {
bool wants_color(ColorMode mode, int descriptor) {
    if (mode != ColorMode::Automatic) return mode == ColorMode::Always;
    const char* no_color = getenv("NO_COLOR");
    const char* terminal = getenv("TERM");
    if (no_color != nullptr && *no_color != '\0') return false;
    return isatty(descriptor) && (terminal == nullptr || strcmp(terminal, "dumb") != 0);
}

/// False when the other side is gone.
bool write_all(int descriptor, std::string_view text) {
    while (!text.empty()) {
        const ssize_t count = write(descriptor, text.data(), text.size());
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        text.remove_prefix(static_cast<size_t>(count));
    }
    return true;
}
}  // namespace

Console::Console(ColorMode color, Verbosity verbosity)
    : verbosity_(verbosity),
      color_output_(wants_color(color, STDOUT_FILENO)),
      color_messages_(wants_color(color, STDERR_FILENO)),
      messages_on_terminal_(isatty(STDERR_FILENO) != 0) {}

void Console::data(std::string_view text) {
    const std::lock_guard lock(mutex_);
    clear_progress();
    if (!write_all(STDOUT_FILENO, text)) throw Failure(ExitStatus::Environment, "cannot write to standard output");
}

void Console::error(std::string_view sentence) {
    message(Style::Red, "error: ", sentence);
}
void Console::warning(std::string_view sentence) {
    if (verbosity_ != Verbosity::Quiet) message(Style::Yellow, "warning: ", sentence);
}
void Console::notice(std::string_view sentence) {
    if (verbosity_ != Verbosity::Quiet) message(Style::Plain, "", sentence);
}
void Console::detail(std::string_view sentence) {
    if (verbosity_ == Verbosity::Verbose) message(Style::Dim, "", sentence);
}

void Console::message(Style style, std::string_view label, std::string_view sentence) {
    const std::lock_guard lock(mutex_);
    clear_progress();
    if (label.empty())
        write_all(STDERR_FILENO, styled_message(style, sentence) + "\n");
    else
        write_all(STDERR_FILENO, fmt::format("helix: {}{}\n", styled_message(style, label), sentence));
}

void Console::progress(std::string_view text) {
    const std::lock_guard lock(mutex_);
    if (!shows_progress()) return;
    clear_progress();
    if (text.empty()) return;
    winsize size{};
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1) text = text.substr(0, size.ws_col - 1);
    write_all(STDERR_FILENO, text);
    progress_shown_ = true;
}

void Console::clear_progress() {
    if (progress_shown_) write_all(STDERR_FILENO, "\r\033[K");
    progress_shown_ = false;
}

std::string Console::apply(Style style, std::string_view text, bool color) {
    if (!color || style == Style::Plain) return std::string(text);
    const char* code = "0";
    switch (style) {
        case Style::Plain: break;
        case Style::Bold: code = "1"; break;
        case Style::Dim: code = "2"; break;
        case Style::Red: code = "31"; break;
        case Style::Green: code = "32"; break;
        case Style::Yellow: code = "33"; break;
        case Style::Cyan: code = "36"; break;
    }
    return fmt::format("\033[{}m{}\033[0m", code, text);
}

}  // namespace helix::tool
