// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Scripts.

#include "script.hpp"

#include "failure.hpp"
#include "text.hpp"

#include <algorithm>
#include <charconv>
#include <regex>

namespace helix::tool {

namespace fs = std::filesystem;

namespace {

class ScriptParser {
public:
    ScriptParser(std::string_view text, const fs::path& file) : lines_(split(text, '\n')) { script_.file = file; }

    Script parse() {
        bool top = true;
        while (at_ < lines_.size()) {
            const std::string_view line = lines_[at_++];
            const std::string_view plain = trim(line);
            if (plain.starts_with("#")) {
                const std::string_view comment = trim(plain.substr(1));
                if (top && !comment.starts_with("SPDX-")) {
                    if (!script_.purpose.empty()) script_.purpose += ' ';
                    script_.purpose += comment;
                }
                continue;
            }
            if (plain.empty()) continue;
            top = false;
            const size_t colon = plain.find(':');
            if (line != plain && line.front() == ' ') fail("an indented line belongs to a block such as \"exec:\"");
            if (colon == std::string_view::npos) fail("expected \"key: value\"");
            setting(plain.substr(0, colon), trim(plain.substr(colon + 1)));
        }
        if (script_.commands.empty() && !script_.input)
            fail("there is nothing to do: \"exec:\" or \"input:\" is missing");
        if (!script_.commands.empty() && script_.input) fail("\"exec:\" and \"input:\" exclude each other");
        return std::move(script_);
    }

private:
    [[noreturn]] void fail(std::string_view sentence) const {
        throw Failure(ExitStatus::Failed, "{}:{}: {}", script_.file.string(), at_, sentence);
    }

    template <typename T>
    T number(std::string_view value) const {
        T out{};
        const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), out);
        if (error != std::errc() || end != value.data() + value.size()) fail(fmt::format("\"{}\" is no number", value));
        return out;
    }
    bool yes(std::string_view value) const {
        if (value != "yes" && value != "no") fail("expected yes or no");
        return value == "yes";
    }

    std::vector<std::string> block() {
        std::vector<std::string> out;
        while (at_ < lines_.size() && (lines_[at_].starts_with("  ") || trim(lines_[at_]).empty())) {
            const std::string_view line = trim(lines_[at_++]);
            if (!line.empty()) out.emplace_back(line);
        }
        return out;
    }

    void setting(std::string_view key, std::string_view value) {
        static const std::vector<std::string> kKeys{
            "profile", "arch",   "machine", "memory", "smp",  "timeout", "seeds",  "same",   "long",   "json",
            "icount",  "append", "file",    "status", "exec", "input",   "expect", "reject", "metrics"};
        if (key == "exec") {
            script_.commands = block();
        } else if (key == "input") {
            script_.input = join(block(), "\n") + "\n";
        } else if (key == "expect") {
            script_.expected = patterns();
        } else if (key == "reject") {
            script_.rejected = patterns();
        } else if (std::ranges::find(kKeys, key) == kKeys.end()) {
            fail(fmt::format("unknown key \"{}\"{}", key, did_you_mean(key, kKeys)));
        } else if (value.empty()) {
            fail(fmt::format("\"{}\" has no value", key));
        } else if (key == "profile") {
            script_.profile = value;
        } else if (key == "arch") {
            architectures(value);
        } else if (key == "machine") {
            script_.machines = words(value);
        } else if (key == "memory") {
            script_.memory_mb = number<uint64_t>(value);
        } else if (key == "smp") {
            script_.cpus = number<uint32_t>(value);
        } else if (key == "timeout") {
            script_.timeout_s = number<double>(value);
        } else if (key == "seeds") {
            seeds(value);
        } else if (key == "same") {
            script_.same = number<uint32_t>(value);
        } else if (key == "long") {
            script_.is_long = yes(value);
        } else if (key == "json") {
            script_.json = yes(value);
        } else if (key == "icount") {
            script_.count_instructions = yes(value);
        } else if (key == "append") {
            script_.append = value;
        } else if (key == "file") {
            script_.files.emplace_back(value);
        } else if (key == "metrics") {
            script_.metrics = words(value);
        } else {
            script_.status = number<int>(value);
        }
    }

    std::vector<std::string> patterns() {
        std::vector<std::string> out = block();
        for (const std::string& pattern : out) {
            if (pattern.size() < 2 || !pattern.starts_with("/") || !pattern.ends_with("/")) continue;
            try {
                std::regex(pattern.substr(1, pattern.size() - 2));
            } catch (const std::regex_error& error) {
                fail(fmt::format("{} is no regular expression: {}", pattern, error.what()));
            }
        }
        return out;
    }
    void architectures(std::string_view value) {
        for (const std::string& name : words(value)) {
            if (name != "x86_64" && name != "hosted") fail(fmt::format("no architecture \"{}\"; x86_64, hosted", name));
            script_.architectures.push_back(name == "hosted" ? Architecture::Hosted : Architecture::X86_64);
        }
    }
    /// "1 2 10-19"
    void seeds(std::string_view value) {
        for (const std::string& word : words(value)) {
            const size_t dash = word.find('-');
            const auto first = number<uint64_t>(std::string_view(word).substr(0, dash));
            const auto last =
                dash == std::string::npos ? first : number<uint64_t>(std::string_view(word).substr(dash + 1));
            if (last < first || last - first > 10000) fail("expected seeds such as \"1 2 10-19\"");
            for (uint64_t seed = first; seed <= last; ++seed) script_.seeds.push_back(seed);
        }
    }

    std::vector<std::string> lines_;
    size_t at_ = 0;
    Script script_;
};

/// Where `pattern` is found in `line` from `from` on: the end of the match, or npos.
size_t match_end(const std::string& line, size_t from, const std::string& pattern) {
    if (pattern.size() >= 2 && pattern.starts_with("/") && pattern.ends_with("/")) {
        std::smatch match;
        const auto flags = from == 0 ? std::regex_constants::match_default : std::regex_constants::match_prev_avail;
        const std::regex expression(pattern.substr(1, pattern.size() - 2));
        if (!std::regex_search(line.begin() + static_cast<std::ptrdiff_t>(from), line.end(), match, expression, flags))
            return std::string::npos;
        return from + static_cast<size_t>(match.position() + match.length());
    }
    const size_t at = line.find(pattern, from);
    return at == std::string::npos ? at : at + pattern.size();
}

}  // namespace

Script parse_script(std::string_view text, const fs::path& file) {
    return ScriptParser(text, file).parse();
}

std::string Script::command_text() const {
    return join(commands, "; ");
}

RunOptions run_options(const Script& script, const Variant& variant, const Workspace& workspace) {
    RunOptions options;
    // A profile beside the script, else one of the tree.
    const fs::path beside = script.file.parent_path() / script.profile;
    options.profile =
        script.profile.find('/') != std::string::npos || !fs::exists(beside) ? script.profile : beside.string();
    if (script.profile.find('/') != std::string::npos && fs::exists(beside)) options.profile = beside.string();
    options.architecture = variant.architecture;
    if (variant.architecture == Architecture::X86_64) options.machine = variant.machine;
    options.count_instructions = script.count_instructions && variant.architecture == Architecture::X86_64;
    options.cpus = script.cpus;
    options.memory_mb = script.memory_mb;
    if (!script.input) options.commands = script.command_text();
    for (std::string file : script.files) {
        constexpr std::string_view kModules = "${modules}";
        if (file.starts_with(kModules))
            file = workspace.modules().string() + file.substr(kModules.size());
        else if (!fs::path(file).is_absolute())
            file = (workspace.root / file).string();
        options.files.push_back(file);
    }
    options.append = script.append;
    options.json = script.json;
    options.replay = variant.seed;
    options.timeout_s = script.timeout_s;
    return options;
}

std::string repeating_command(const Script& script, const Variant& variant, const Workspace& workspace) {
    const RunOptions options = run_options(script, variant, workspace);
    std::vector<std::string> out{"./helix", "run", options.profile, "--arch",
                                 std::string(name_of(variant.architecture))};
    const auto add = [&](std::initializer_list<std::string> more) { out.insert(out.end(), more); };
    if (options.machine != "q35") add({"--machine", options.machine});
    if (options.cpus != 1) add({"--smp", std::to_string(options.cpus)});
    if (options.memory_mb) add({"--memory", std::to_string(*options.memory_mb)});
    if (options.count_instructions) add({"--icount"});
    if (options.replay) add({"--replay", std::to_string(*options.replay)});
    for (const std::string& file : options.files) add({"--file", Workspace::shown(file)});
    if (!options.append.empty()) add({"--append", options.append});
    if (options.json) add({"--json"});
    if (options.commands) add({"--exec", *options.commands});
    std::string command = shell_command(out);
    if (script.input) command = "printf %s " + shell_quote(*script.input) + " | " + command;
    return command;
}

std::string compare_output(const Script& script, std::string_view output) {
    const std::vector<std::string> lines = split(output, '\n');
    size_t line = 0, from = 0;
    for (size_t i = 0; i < script.expected.size(); ++i) {
        size_t end = std::string::npos;
        while (line < lines.size() && (end = match_end(lines[line], from, script.expected[i])) == std::string::npos) {
            ++line;
            from = 0;
        }
        if (line == lines.size())
            return fmt::format("expected {}{}, which did not come", script.expected[i],
                               i == 0 ? "" : " after " + script.expected[i - 1]);
        from = end;
    }
    for (const std::string& pattern : script.rejected)
        for (const std::string& text : lines)
            if (match_end(text, 0, pattern) != std::string::npos)
                return fmt::format("{} came, which must not: {}", pattern, text);
    return {};
}

}  // namespace helix::tool
