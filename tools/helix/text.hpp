// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Small work on texts: splitting, quoting for a shell, the nearest name, matching a pattern.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace helix::tool {

std::vector<std::string> split(std::string_view text, char separator);
/// The words of `text`, separated by spaces or commas.
std::vector<std::string> words(std::string_view text);
std::string_view trim(std::string_view text);
std::string join(const std::vector<std::string>& parts, std::string_view separator);

/// `argument` as a POSIX shell reads it back.
std::string shell_quote(std::string_view argument);
std::string shell_command(const std::vector<std::string>& arguments);

/// Damerau-Levenshtein distance (optimal string alignment).
size_t edit_distance(std::string_view a, std::string_view b);
/// The candidate nearest to `name`, or an empty text when none is near enough to be meant.
std::string nearest(std::string_view name, const std::vector<std::string>& candidates);
/// "; did you mean "x"?" or nothing.
std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates);
/// For names whose parts are separated by dots and underscores: the candidates that have a part, or parts in a row, as
/// near to `name` as any has, at most five; none when none is near enough to be meant.
std::vector<std::string> nearest_by_part(std::string_view name, const std::vector<std::string>& candidates);

/// "1 thread", "2 threads", as the kernel says it; of at most 48 characters.
std::string counted(uint64_t number, std::string_view noun);

/// True if `pattern` is empty, part of `text`, or, with * and ?, matches all of it.
bool matches_filter(std::string_view text, std::string_view pattern);

/// FNV-1a, 64 bits.
uint64_t fingerprint(std::string_view bytes, uint64_t seed = 14695981039346656037u);

}  // namespace helix::tool
