// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Trace files. The format is described in "Trace Event Format" by the Chromium authors.

#include "trace_file.hpp"

#include "failure.hpp"
#include "text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <vector>

namespace helix::tool {

using nlohmann::json;

namespace {

// "Processes" of the file: groups of lanes.
constexpr int kCpus = 1;
constexpr int kModules = 2;
// Lanes of the second.
constexpr int kTransactions = 1;
constexpr int kStates = 2;

struct Entry {
    uint64_t time_ns = 0;
    uint32_t cpu = 0;
    std::string kind;
    std::string detail;
    uint32_t id = 0;
    std::string name;
    uint32_t other_id = 0;
    std::string other_name;
};

/// Those of the same time stay in their order.
template <typename Item, typename Time>
void sort_by_time(std::vector<Item>& items, Time time) {
    std::vector<size_t> order(items.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::ranges::sort(order,
                      [&](size_t a, size_t b) { return std::pair(time(items[a]), a) < std::pair(time(items[b]), b); });
    std::vector<Item> sorted;
    sorted.reserve(items.size());
    for (const size_t i : order) sorted.push_back(std::move(items[i]));
    items = std::move(sorted);
}

std::string thread_label(uint32_t id, const std::string& name) {
    return name.empty() ? fmt::format("thread {}", id) : name;
}

class Converter {
public:
    explicit Converter(std::vector<Entry> entries, uint64_t lost) : entries_(std::move(entries)), lost_(lost) {
        sort_by_time(entries_, [](const Entry& entry) { return entry.time_ns; });
        // The table of threads knows the names of the living; of the others those who created them told.
        for (const Entry& entry : entries_)
            if (entry.kind == "thread") created_[entry.id] = entry.name;
    }

    std::string convert() {
        lanes();
        if (lost_ != 0 && !entries_.empty())
            mark(entries_.front(), kModules, kTransactions, fmt::format("{} entries before were overwritten", lost_),
                 "g", "trace");
        for (const Entry& entry : entries_) add(entry);
        finish();
        json created = json::array();
        for (const auto& [id, name] : created_) created.push_back(id);
        return json{{"displayTimeUnit", "ns"},
                    {"otherData", {{"lost", lost_}, {"created", created}}},
                    {"traceEvents", events_}}
                   .dump(-1, ' ', false, json::error_handler_t::replace) +
               "\n";
    }

private:
    struct Running {
        uint32_t id = 0;
        std::string name;
        uint64_t since_ns = 0;
    };
    struct Open {
        std::string name;
        uint64_t since_ns = 0;
    };

    static double microseconds(uint64_t ns) { return static_cast<double>(ns) / 1000; }

    json& event(const char* phase, uint64_t time_ns, int group, uint32_t lane, std::string_view name) {
        events_.push_back(
            {{"ph", phase}, {"ts", microseconds(time_ns)}, {"pid", group}, {"tid", lane}, {"name", name}});
        return events_.back();
    }
    void slice(uint64_t from_ns, uint64_t to_ns, int group, uint32_t lane, std::string_view name, json arguments) {
        json& slice = event("X", from_ns, group, lane, name);
        slice["dur"] = microseconds(to_ns - from_ns);
        slice["args"] = std::move(arguments);
    }
    /// `scope`: "t" marks the lane, "g" all of them.
    void mark(const Entry& entry, int group, uint32_t lane, std::string_view name, const char* scope,
              const char* category) {
        mark_at(entry.time_ns, group, lane, name, scope, category);
    }
    void mark_at(uint64_t time_ns, int group, uint32_t lane, std::string_view name, const char* scope,
                 const char* category) {
        json& mark = event("i", time_ns, group, lane, name);
        mark["s"] = scope;
        mark["cat"] = category;
    }

    void lanes() {
        const auto name = [&](const char* what, int group, uint32_t lane, const std::string& text) {
            json& named = event("M", 0, group, lane, what);
            named["args"] = {{"name", text}};
        };
        name("process_name", kCpus, 0, "CPUs");
        name("process_name", kModules, 0, "Modules");
        name("thread_name", kModules, kTransactions, "transactions");
        name("thread_name", kModules, kStates, "states");
        std::set<uint32_t> cpus;
        for (const Entry& entry : entries_) cpus.insert(entry.cpu);
        for (const uint32_t cpu : cpus) name("thread_name", kCpus, cpu, fmt::format("CPU {}", cpu));
    }

    void add(const Entry& entry) {
        if (entry.kind == "switch") return add_switch(entry);
        if (entry.kind == "wake") return add_wake(entry);
        if (entry.kind == "migration")
            return mark(
                entry, kCpus, entry.cpu,
                fmt::format("{} comes from CPU {} ({})", label(entry.id, entry.name), entry.other_id, entry.detail),
                "t", "migration");
        if (entry.kind == "thread")
            return mark(entry, kCpus, entry.cpu, "created " + label(entry.id, entry.name), "t", "thread");
        if (entry.kind == "cpu")
            return mark(entry, kCpus, entry.id, fmt::format("CPU {} is {}", entry.id, entry.detail), "g", "cpu");
        if (entry.kind == "module")
            return mark(entry, kModules, kStates, fmt::format("{}: {}", entry.name, entry.detail), "t", "module");
        if (entry.kind == "failure")
            return mark(entry, kCpus, entry.cpu, fmt::format("{} failed: {}", entry.name, entry.detail), "g",
                        "failure");
        if (entry.kind == "request" || entry.kind == "event") return add_call(entry);
        if (entry.kind == "phase") return add_phase(entry);
        if (entry.kind == "transaction") return add_transaction(entry);
        if (entry.kind == "resumed")
            return mark(entry, kCpus, entry.cpu, "nothing was recorded before this", "g", "trace");
    }

    std::string label(uint32_t id, const std::string& name) const {
        const auto created = created_.find(id);
        return thread_label(id, name.empty() && created != created_.end() ? created->second : name);
    }

    void end_turn(uint32_t cpu, uint64_t now_ns, const std::string& why) {
        const auto found = running_.find(cpu);
        if (found == running_.end() || found->second.id == 0) return;
        const Running& running = found->second;
        slice(running.since_ns, now_ns, kCpus, cpu, running.name, {{"thread", running.id}, {"ended", why}});
    }
    void add_switch(const Entry& entry) {
        end_turn(entry.cpu, entry.time_ns, entry.detail);
        running_[entry.cpu] = {entry.id, label(entry.id, entry.name), entry.time_ns};
        const auto flow = woken_.find(entry.id);
        if (flow == woken_.end()) return;
        json& end = event("f", entry.time_ns, kCpus, entry.cpu, "wake");
        end["id"] = flow->second;
        end["cat"] = "wake";
        end["bp"] = "e";
        woken_.erase(flow);
    }
    void add_wake(const Entry& entry) {
        const std::string who = label(entry.id, entry.name);
        const bool signalled = entry.detail == "signalled";
        mark(entry, kCpus, entry.cpu,
             signalled ? fmt::format("{} wakes {}", label(entry.other_id, entry.other_name), who)
                       : fmt::format("{} wakes up: {}", who, entry.detail),
             "t", "wake");
        // An arrow needs a slice to start from. One that leads nowhere is none: it is drawn once both ends are known.
        const auto found = running_.find(entry.cpu);
        if (!signalled || found == running_.end() || found->second.id == 0) return;
        const auto [woken, first] = woken_.try_emplace(entry.id, 0);
        if (!first) starts_.erase(woken->second);
        woken->second = ++flows_;
        starts_[flows_] = {entry.time_ns, entry.cpu};
    }

    void add_call(const Entry& entry) {
        std::vector<std::pair<std::string, std::string>>& calls = calls_[entry.other_id];
        const std::string id = fmt::format("thread {}", entry.other_id);
        if (entry.detail == "begin") {
            calls.push_back({entry.kind, entry.name});
        } else if (calls.empty() || calls.back().first != entry.kind) {
            return;  // its beginning was overwritten
        }
        json& call = event(entry.detail == "begin" ? "b" : "e", entry.time_ns, kModules, kStates, calls.back().second);
        call["cat"] = entry.kind;
        call["id"] = id;
        if (entry.detail == "error") call["args"] = {{"result", "error"}};
        if (entry.detail != "begin") calls.pop_back();
    }

    void add_phase(const Entry& entry) {
        end_phase(entry);
        phases_[entry.other_id] = {entry.detail, entry.time_ns};
        begun_.try_emplace(entry.other_id, entry.time_ns);
    }
    void end_phase(const Entry& entry) {
        const auto phase = phases_.find(entry.other_id);
        if (phase == phases_.end()) return;
        slice(phase->second.since_ns, entry.time_ns, kModules, kTransactions, phase->second.name, json::object());
        phases_.erase(phase);
    }
    void add_transaction(const Entry& entry) {
        const std::string what = fmt::format("{}: {}", entry.name, entry.detail);
        // The entry was made when all was cleaned up; what came of it was so from the commit on.
        const auto last = phases_.find(entry.other_id);
        const bool commits = last != phases_.end() && last->second.name == "commit" &&
                             (entry.detail == "committed" || entry.detail == "restarted");
        mark_at(commits ? last->second.since_ns : entry.time_ns, kModules, kTransactions, what, "g", "transaction");
        end_phase(entry);
        if (const auto begun = begun_.find(entry.other_id); begun != begun_.end()) {
            slice(begun->second, entry.time_ns, kModules, kTransactions, what, json::object());
            begun_.erase(begun);
        }
    }

    void finish() {
        const uint64_t end_ns = entries_.empty() ? 0 : entries_.back().time_ns;
        for (const auto& [cpu, running] : running_) end_turn(cpu, end_ns, "end of the trace");
        for (const auto& [thread, calls] : calls_) {
            for (auto call = calls.rbegin(); call != calls.rend(); ++call) {
                json& end = event("e", end_ns, kModules, kStates, call->second);
                end["cat"] = call->first;
                end["id"] = fmt::format("thread {}", thread);
            }
        }
        for (const auto& [thread, id] : woken_) starts_.erase(id);
        for (const auto& [id, start] : starts_) {
            json& begin = event("s", start.first, kCpus, start.second, "wake");
            begin["id"] = id;
            begin["cat"] = "wake";
        }
    }

    std::vector<Entry> entries_;
    const uint64_t lost_;
    json events_ = json::array();
    std::map<uint32_t, std::string> created_;                   // threads of which that is known
    std::map<uint32_t, Running> running_;                       // by CPU
    std::map<uint32_t, uint64_t> woken_;                        // thread to arrow
    std::map<uint64_t, std::pair<uint64_t, uint32_t>> starts_;  // arrow to time and CPU
    uint64_t flows_ = 0;
    std::map<uint32_t, std::vector<std::pair<std::string, std::string>>> calls_;  // by thread: kind and name
    std::map<uint32_t, Open> phases_;                                             // by thread
    std::map<uint32_t, uint64_t> begun_;                                          // transactions, by thread
};

}  // namespace

std::string TraceLineFilter::feed(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (taking_) {
            if (c == '\n') {
                taking_ = false;
                undecided_ = true;
            } else {
                line_ += c;
            }
            continue;
        }
        if (!undecided_) {
            out += c;
            undecided_ = c == '\n';
            continue;
        }
        current_ += c;
        if (current_ == kTraceLine) {
            line_ = std::exchange(current_, {});
            taking_ = true;
        } else if (!kTraceLine.starts_with(current_)) {
            undecided_ = c == '\n';
            out += std::exchange(current_, {});
        }
    }
    return out;
}

std::string TraceLineFilter::finish() {
    return std::exchange(current_, {});
}

std::string make_trace_file(std::string_view line) {
    try {
        const json trace = json::parse(line);
        std::vector<Entry> entries;
        for (const json& entry : trace.at("helix_trace")) {
            const auto text = [&](const char* key) { return entry.at(key).get<std::string>(); };
            const auto number = [&](const char* key) { return entry.at(key).get<uint32_t>(); };
            entries.push_back({entry.at("time_ns").get<uint64_t>(), number("cpu"), text("kind"), text("detail"),
                               number("id"), text("name"), number("other_id"), text("other_name")});
        }
        return Converter(std::move(entries), trace.at("lost").get<uint64_t>()).convert();
    } catch (const json::exception& error) {
        throw Failure(ExitStatus::Failed, "the kernel's trace cannot be read: {}", error.what());
    }
}

namespace {

/// Reads a trace file as a viewer does, and says what does not fit together.
class Checker {
public:
    std::string check(const json& file, std::string& summary) {
        const json& other = file.at("otherData");
        whole_ = other.at("lost") == 0;
        for (const json& id : other.at("created")) created_.insert(id.get<uint32_t>());
        std::vector<json> events = file.at("traceEvents");
        sort_by_time(events, [](const json& event) { return event.at("ts").get<double>(); });
        for (const json& event : events) {
            add(event);
            if (!problem_.empty()) return problem_;
        }
        for (const auto& [id, arrow] : arrows_)
            if (!arrow.from || !arrow.to || *arrow.from > *arrow.to + kRounding)
                return fmt::format("arrow {} does not lead forward from one thread to another", id);
        for (const auto& [id, depth] : calls_)
            if (depth != 0) return fmt::format("a call of {} does not end", id);
        if (slices_ == 0) return "no thread ever ran";
        summary =
            fmt::format("{}, {}, {}, {}, {}, {}", counted(lanes_.size(), "CPU"), counted(threads_.size(), "thread"),
                        counted(slices_, "turn"), counted(marks_["wake"], "wake-up"),
                        counted(marks_["transaction"], "transaction"), counted(marks_["failure"], "failure"));
        if (!whole_) summary += fmt::format("; {} entries were overwritten", other.at("lost").get<uint64_t>());
        return {};
    }

private:
    // Times are kept as microseconds with a fraction: two that were equal may differ in the last digit.
    static constexpr double kRounding = 0.0005;

    struct Arrow {
        std::optional<double> from, to;
    };

    void add(const json& event) {
        const std::string phase = event.at("ph");
        const double at = event.at("ts");
        const auto number = [&](const char* key) { return event.at(key).get<uint64_t>(); };
        if (phase == "X" && event.at("pid") == kCpus) {
            double& end = lanes_[number("tid")];
            if (at + kRounding < end)
                problem_ = fmt::format("CPU {} runs two threads at {} us: {} begins, another ends at {}", number("tid"),
                                       at, event.at("name").get<std::string>(), end);
            end = at + event.at("dur").get<double>();
            const uint32_t thread = event.at("args").at("thread");
            if (whole_ && !created_.contains(thread))
                problem_ = fmt::format("thread {} runs at {} us, but was never created", thread, at);
            if (const double elsewhere = ends_[thread]; at + kRounding < elsewhere)
                problem_ = fmt::format("thread {} runs twice at {} us", thread, at);
            ends_[thread] = end;
            threads_.insert(thread);
            ++slices_;
        } else if (phase == "s") {
            arrows_[number("id")].from = at;
        } else if (phase == "f") {
            arrows_[number("id")].to = at;
        } else if (phase == "b" || phase == "e") {
            const std::string id = event.at("id");
            calls_[id] += phase == "b" ? 1 : -1;
            if (calls_[id] < 0) problem_ = fmt::format("a call of {} ends at {} us, but did not begin", id, at);
        } else if (phase == "i") {
            ++marks_[event.at("cat")];
        }
    }

    bool whole_ = false;
    std::string problem_;
    std::set<uint32_t> created_;
    std::set<uint32_t> threads_;
    std::map<uint64_t, double> lanes_;  // by CPU: where its last slice ends
    std::map<uint32_t, double> ends_;   // the same by thread
    std::map<uint64_t, Arrow> arrows_;
    std::map<std::string, int> calls_;
    std::map<std::string, size_t> marks_;
    size_t slices_ = 0;
};

}  // namespace

uint64_t overwritten_entries(std::string_view file) {
    return json::parse(file).at("otherData").at("lost").get<uint64_t>();
}

std::string trace_file_problem(std::string_view text, std::string& summary) {
    try {
        return Checker().check(json::parse(text), summary);
    } catch (const json::exception& error) {
        return error.what();
    }
}

}  // namespace helix::tool
