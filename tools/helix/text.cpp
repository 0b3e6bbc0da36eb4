// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Small work on texts.

#include "text.hpp"

#include "helix/format.hpp"

#include <algorithm>

namespace helix::tool {

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    size_t begin = 0;
    for (;;) {
        const size_t end = text.find(separator, begin);
        parts.emplace_back(text.substr(begin, end - begin));
        if (end == std::string_view::npos) return parts;
        begin = end + 1;
    }
}

std::vector<std::string> words(std::string_view text) {
    std::vector<std::string> out;
    std::string word;
    for (char c : text) {
        if (c == ' ' || c == '\t' || c == ',' || c == '\n') {
            if (!word.empty()) out.push_back(std::move(word));
            word.clear();
        } else {
            word += c;
        }
    }
    if (!word.empty()) out.push_back(std::move(word));
    return out;
}

std::string_view trim(std::string_view text) {
    const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
    return text;
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
    std::string out;
    for (const std::string& part : parts) {
        if (&part != parts.data()) out += separator;
        out += part;
    }
    return out;
}

std::string shell_quote(std::string_view argument) {
    constexpr std::string_view kPlain = "%+,-./0123456789:=@ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";
    if (!argument.empty() && argument.find_first_not_of(kPlain) == std::string_view::npos) return std::string(argument);
    std::string out = "'";
    for (char c : argument) {
        if (c == '\'')
            out += "'\\''";
        else
            out += c;
    }
    return out + "'";
}

std::string shell_command(const std::vector<std::string>& arguments) {
    std::string out;
    for (const std::string& argument : arguments) {
        if (!out.empty()) out += ' ';
        out += shell_quote(argument);
    }
    return out;
}

size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<size_t> before(b.size() + 1), previous(b.size() + 1), current(b.size() + 1);
    for (size_t j = 0; j <= b.size(); ++j) previous[j] = j;
    for (size_t i = 1; i <= a.size(); ++i) {
        current[0] = i;
        for (size_t j = 1; j <= b.size(); ++j) {
            current[j] = std::min({previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (a[i - 1] != b[j - 1])});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                current[j] = std::min(current[j], before[j - 2] + 1);
        }
        std::swap(before, previous);
        std::swap(previous, current);
    }
    return previous[b.size()];
}

std::string nearest(std::string_view name, const std::vector<std::string>& candidates) {
    const std::string* best = nullptr;
    size_t best_distance = std::max<size_t>(2, name.size() / 3) + 1;
    for (const std::string& candidate : candidates) {
        size_t distance = edit_distance(name, candidate);
        // Who types the beginning of a name means it.
        if (name.size() >= 3 && candidate.starts_with(name)) distance = std::min<size_t>(distance, 1);
        // Of equals the longer one: letters are left out more often than added.
        const bool nearer = distance < best_distance ||
                            (best != nullptr && distance == best_distance && candidate.size() > best->size());
        if (nearer && distance < std::max(name.size(), candidate.size())) {
            best = &candidate;
            best_distance = distance;
        }
    }
    return best == nullptr ? std::string() : *best;
}

std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates) {
    const std::string near = nearest(name, candidates);
    return near.empty() ? std::string() : "; did you mean \"" + near + "\"?";
}

std::vector<std::string> nearest_by_part(std::string_view name, const std::vector<std::string>& candidates) {
    constexpr size_t kShown = 5;
    const auto is_separator = [](char c) { return c == '.' || c == '_'; };
    const size_t enough = std::max<size_t>(1, name.size() / 3);
    size_t best = enough;
    std::vector<std::string> out;
    for (const std::string& candidate : candidates) {
        size_t distance = enough + 1;
        for (size_t begin = 0; begin < candidate.size(); ++begin) {
            if (begin > 0 && !is_separator(candidate[begin - 1])) continue;
            for (size_t end = begin + 1; end <= candidate.size(); ++end)
                if (end == candidate.size() || is_separator(candidate[end]))
                    distance =
                        std::min(distance, edit_distance(name, std::string_view(candidate).substr(begin, end - begin)));
        }
        if (distance > best) continue;
        if (distance < best) out.clear();
        best = distance;
        if (out.size() < kShown) out.push_back(candidate);
    }
    return out;
}

std::string counted(uint64_t number, std::string_view noun) {
    const auto text = helix::counted(number, {noun.data(), noun.size()});
    return {text.text().data(), text.size()};
}

namespace {
bool matches_glob(std::string_view text, std::string_view pattern) {
    size_t t = 0, p = 0, star = std::string_view::npos, mark = 0;
    while (t < text.size()) {
        if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
            ++t, ++p;
        } else if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            mark = t;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            t = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}
}  // namespace

bool matches_filter(std::string_view text, std::string_view pattern) {
    if (pattern.find_first_of("*?") == std::string_view::npos) return text.find(pattern) != std::string_view::npos;
    return matches_glob(text, pattern);
}

uint64_t fingerprint(std::string_view bytes, uint64_t seed) {
    uint64_t hash = seed;
    for (char c : bytes) hash = (hash ^ static_cast<uint8_t>(c)) * 1099511628211u;
    return hash;
}

}  // namespace helix::tool
