// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// What the tool says: data on standard output, messages on standard error, colour where it is wanted.
#pragma once

#include <fmt/format.h>

#include <mutex>
#include <string>
#include <string_view>

namespace helix::tool {

enum class ColorMode { Automatic, Always, Never };
enum class Style { Plain, Bold, Dim, Red, Green, Yellow, Cyan };
enum class Verbosity { Quiet, Normal, Verbose };

/// Any thread may call; each call writes its line whole.
class Console {
public:
    Console(ColorMode color, Verbosity verbosity);

    /// Data, on standard output, without a newline of its own. Throws Failure when nobody reads it any more.
    void data(std::string_view text);
    template <typename... Arguments>
    void line(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
        data(fmt::format(format, std::forward<Arguments>(arguments)...) + "\n");
    }

    /// Messages, on standard error. Quiet drops all but errors; details appear with -v only.
    void error(std::string_view sentence);
    void warning(std::string_view sentence);
    void notice(std::string_view sentence);
    void detail(std::string_view sentence);
    /// One line that the next call replaces; only on a terminal. An empty text clears it.
    void progress(std::string_view text);

    /// `text` in `style` if standard output (or standard error) shows colour.
    std::string styled(Style style, std::string_view text) const { return apply(style, text, color_output_); }
    std::string styled_message(Style style, std::string_view text) const { return apply(style, text, color_messages_); }

    /// Whether progress shows anything; otherwise a notice now and then says what is going on.
    bool shows_progress() const { return messages_on_terminal_ && verbosity_ != Verbosity::Quiet; }
    Verbosity verbosity() const { return verbosity_; }

private:
    static std::string apply(Style style, std::string_view text, bool color);
    void message(Style style, std::string_view label, std::string_view sentence);
    void clear_progress();

    std::mutex mutex_;
    Verbosity verbosity_;
    bool color_output_;
    bool color_messages_;
    bool messages_on_terminal_;
    bool progress_shown_ = false;
};

}  // namespace helix::tool
