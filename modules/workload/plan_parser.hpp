// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Reads workload files: a subset of the JSON that rt-app reads (github.com/scheduler-tools/rt-app, doc/tutorial.txt).
//
// One reader for all: the tool, which names file, line and column before anything boots, the module, and the program
// that runs the same file on another kernel. Nothing is copied and nothing allocated.
#pragma once

#include "helix/format.hpp"
#include "plan.hpp"

namespace helix::workload {

/// What is wrong with a file, and where; both count from 1.
struct PlanProblem {
    uint32_t line = 0;
    uint32_t column = 0;
    FixedText<186> sentence;
};

/// Some ten kilobytes; one text at a time.
class PlanParser {
public:
    /// Whether `text` is a workload; then `plan` is what it says. Otherwise `problem` is the first mistake.
    bool parse(Text text, Plan& plan, PlanProblem& problem) {
        text_ = text;
        plan_ = &plan;
        problem_ = &problem;
        at_ = key_count_ = 0;
        static_assert(std::is_trivially_copyable_v<Plan>);
        __builtin_memset(static_cast<void*>(&plan), 0, sizeof(plan));  // a new one would not fit on a small stack
        orders_.clear();
        bool has_tasks = false;
        const bool read = object("the file", [&](Text key, size_t) {
            if (key == "global") return global();
            if (key != "tasks") return unknown(key, "the file", "global and tasks");
            has_tasks = true;
            return object("\"tasks\"", [&](Text name, size_t at) { return task(name, at); });
        });
        if (!read || !skip_blank()) return false;
        if (at_ != text_.size()) return wrong(at_, "the file ends with its first }; there is more behind it");
        if (!has_tasks || plan.task_count == 0) return wrong(0, "there are no \"tasks\"");
        return ends() && barriers_meet();
    }

private:
    static constexpr uint64_t kMicrosecond = 1000;
    static constexpr uint64_t kLongestUs = 3'600'000'000;
    static constexpr uint64_t kMostLoops = 10'000'000;

    /// Which locks were taken while which others were held, transitively: bit n of `after[m]` is n after m.
    struct LockOrders {
        uint64_t after[Plan::kMaximumResources] = {};
        void clear() { *this = LockOrders{}; }
        void note(uint32_t held, uint32_t taken) {
            const uint64_t more = uint64_t{1} << taken | after[taken];
            after[held] |= more;
            for (uint64_t& set : after)
                if ((set >> held & 1) != 0) set |= more;
        }
    };

    // ---- What may stand where.

    bool global() {
        return object("\"global\"", [&](Text key, size_t) {
            if (key != "duration") return unknown(key, "\"global\"", "duration");
            uint64_t milliseconds = 0;
            if (!number(key, 1, 3'600'000, milliseconds, 3)) return false;
            plan_->duration_ns = milliseconds * 1'000'000;
            return true;
        });
    }

    bool task(Text name, size_t at) {
        if (plan_->task_count == Plan::kMaximumTasks)
            return wrong(at, format("there are more than {} tasks", Plan::kMaximumTasks).text());
        if (!is_name(name, at)) return false;
        const uint32_t index = plan_->task_count;
        Task& task = plan_->tasks[index];
        task.name.assign(name);
        task.instances = 1;
        task.priority = kDefaultPriority;
        task.loops = Task::kForEver;
        task.first_phase = plan_->phase_count;
        task_at_[index] = at;
        bool has_phases = false;
        Phase* own = nullptr;  // of a task whose steps stand in it
        held_ = 0;
        has_slice_ = reserves_ = false;
        const bool read = object("a task", [&](Text key, size_t key_at) {
            if (key == "phases") {
                if (own != nullptr) return wrong(key_at, "a task has \"phases\" or steps of its own, not both");
                has_phases = true;
                return object("\"phases\"",
                              [&](Text phase_name, size_t phase_at) { return phase(task, phase_name, phase_at); });
            }
            bool known = false;
            if (!attribute(task, key, known)) return false;
            if (known) return true;
            Step step{};
            if (!is_step(key, step))
                return unknown(key, "a task",
                               "instance, loop, delay, priority, weight, slice, dl-runtime, dl-deadline, dl-period, "
                               "cpus, phases and steps");
            if (has_phases) return wrong(key_at, "a task has \"phases\" or steps of its own, not both");
            if (own == nullptr) {
                own = add_phase(task, key_at);
                if (own == nullptr) return false;
            }
            return action(*own, step, key, key_at);
        });
        if (!read) return false;
        if (task.phase_count == 0) return wrong(at, format("task \"{}\" does nothing: it has no steps", name).text());
        if (held_ != 0) return still_held(at);
        if (!task.attributes.is_valid() || (reserves_ && (has_slice_ || !task.attributes.reserves())))
            return wrong(at, format("task \"{}\": dl-runtime needs a dl-period, both more than 0, with dl-runtime <= "
                                    "dl-deadline <= dl-period <= 10 s, and no slice",
                                    name)
                                 .text());
        plan_->thread_count += task.instances;
        if (plan_->thread_count > Plan::kMaximumThreads)
            return wrong(at, format("with this task there are more than {} threads", Plan::kMaximumThreads).text());
        ++plan_->task_count;
        return true;
    }

    /// `known`: the key is that of an attribute.
    bool attribute(Task& task, Text key, bool& known) {
        SchedulingAttributes& wanted = task.attributes;
        known = true;
        uint64_t value = 0;
        if (key == "instance") {
            if (!number(key, 1, Plan::kMaximumThreads, value)) return false;
            task.instances = static_cast<uint32_t>(value);
        } else if (key == "loop") {
            return loops(key, task.loops, true);
        } else if (key == "delay") {
            return microseconds(key, 0, task.delay_ns);
        } else if (key == "priority") {
            if (!number(key, 0, kPriorityLevels - 1, value)) return false;
            task.priority = static_cast<uint32_t>(value);
        } else if (key == "weight") {
            if (!number(key, SchedulingAttributes::kMinimumWeight, SchedulingAttributes::kMaximumWeight, value))
                return false;
            wanted.weight = static_cast<uint32_t>(value);
        } else if (key == "slice") {
            has_slice_ = true;
            return microseconds(key, 1, wanted.runtime_ns);
        } else if (key == "dl-runtime") {
            reserves_ = true;
            return microseconds(key, 1, wanted.runtime_ns);
        } else if (key == "dl-deadline") {
            reserves_ = true;
            return microseconds(key, 1, wanted.deadline_ns);
        } else if (key == "dl-period") {
            reserves_ = true;
            return microseconds(key, 1, wanted.period_ns);
        } else if (key == "cpus") {
            return cpus(key, task.cpus);
        } else {
            known = false;
        }
        return true;
    }
    bool phase(Task& task, Text name, size_t at) {
        if (!is_name(name, at)) return false;
        Phase* const phase = add_phase(task, at);
        if (phase == nullptr) return false;
        const bool read = object("a phase", [&](Text key, size_t key_at) {
            if (key == "loop") return loops(key, phase->loops, false);
            Step step{};
            if (!is_step(key, step))
                return unknown(key, "a phase", "loop and steps: run, sleep, timer, lock, unlock, barrier, yield");
            return action(*phase, step, key, key_at);
        });
        if (!read) return false;
        if (phase->action_count == 0) return wrong(at, format("phase \"{}\" has no steps", name).text());
        return held_ == 0 || still_held(at);
    }
    Phase* add_phase(Task& task, size_t at) {
        if (plan_->phase_count == Plan::kMaximumPhases) {
            wrong(at, format("there are more than {} phases", Plan::kMaximumPhases).text());
            return nullptr;
        }
        Phase& phase = plan_->phases[plan_->phase_count++];
        phase.loops = 1;
        phase.first_action = plan_->action_count;
        ++task.phase_count;
        return &phase;
    }

    /// The step that `key` names: keys are unique, so digits behind the name tell several of a kind apart.
    static bool is_step(Text key, Step& step) {
        constexpr struct {
            Text name;
            Step step;
        } kSteps[] = {{"run", Step::Run},    {"sleep", Step::Sleep},   {"timer", Step::Timer},
                      {"lock", Step::Lock},  {"unlock", Step::Unlock}, {"barrier", Step::Barrier},
                      {"yield", Step::Yield}};
        size_t size = key.size();
        while (size > 0 && key[size - 1] >= '0' && key[size - 1] <= '9') --size;
        for (const auto& known : kSteps) {
            if (key.substr(0, size) != known.name) continue;
            step = known.step;
            return true;
        }
        return false;
    }

    bool action(Phase& phase, Step step, Text key, size_t at) {
        if (plan_->action_count == Plan::kMaximumActions)
            return wrong(at, format("there are more than {} steps", Plan::kMaximumActions).text());
        Action& action = plan_->actions[plan_->action_count];
        action.step = step;
        action_at_[plan_->action_count++] = at;
        ++phase.action_count;
        Text word;
        switch (step) {
            case Step::Run:
            case Step::Sleep: return microseconds(key, 1, action.duration_ns);
            case Step::Timer: return timer(action);
            case Step::Yield: return string(word) && (word.empty() || wrong(value_at_, "\"yield\" takes \"\""));
            case Step::Lock:
            case Step::Unlock:
            case Step::Barrier: break;
        }
        if (!string(word) || !is_name(word, value_at_) || !find_resource(word, step == Step::Barrier, action.resource))
            return false;
        return step == Step::Barrier ? meet(word)
               : step == Step::Lock  ? take(action.resource, word)
                                     : give_back(action.resource, word);
    }
    bool timer(Action& action) {
        const size_t at = at_;
        const bool read = object("\"timer\"", [&](Text key, size_t) {
            Text word;
            if (key == "period") return microseconds(key, 1, action.duration_ns);
            if (key == "ref")
                return string(word) &&
                       (word == "unique" || wrong(value_at_, "\"ref\" takes \"unique\": each thread has a timer"));
            if (key == "mode")
                return string(word) && (word == "absolute" || wrong(value_at_, "\"mode\" takes \"absolute\""));
            return unknown(key, "\"timer\"", "period, ref and mode");
        });
        return read && (action.duration_ns != 0 || wrong(at, "a timer needs a \"period\""));
    }

    // ---- Locks and barriers. `held_` are the locks that the task holds at this place of the file.

    bool find_resource(Text name, bool is_barrier, uint32_t& out) {
        for (out = 0; out < plan_->resource_count; ++out) {
            const Resource& known = plan_->resources[out];
            if (!(known.name == name)) continue;
            return known.is_barrier == is_barrier ||
                   wrong(value_at_,
                         format("\"{}\" is a {} elsewhere", name, known.is_barrier ? Text("barrier") : Text("lock"))
                             .text());
        }
        if (out == Plan::kMaximumResources)
            return wrong(value_at_, format("there are more than {} locks and barriers", out).text());
        plan_->resources[plan_->resource_count++] = {FixedText<24>(name), is_barrier, 0};
        return true;
    }
    bool take(uint32_t lock, Text name) {
        if ((held_ >> lock & 1) != 0)
            return wrong(value_at_, format("\"{}\" is held already; it would wait for itself", name).text());
        for (uint32_t held = 0; held < plan_->resource_count; ++held) {
            if ((held_ >> held & 1) == 0) continue;
            if ((orders_.after[lock] >> held & 1) != 0)
                return wrong(value_at_,
                             format("\"{}\" is taken while \"{}\" is held, and elsewhere it is the other way "
                                    "round: they would wait for each other",
                                    name, plan_->resources[held].name)
                                 .text());
            orders_.note(held, lock);
        }
        held_ |= uint64_t{1} << lock;
        return true;
    }
    bool give_back(uint32_t lock, Text name) {
        if ((held_ >> lock & 1) == 0) return wrong(value_at_, format("\"{}\" is not held here", name).text());
        held_ &= ~(uint64_t{1} << lock);
        return true;
    }
    bool meet(Text name) {
        if (held_ == 0) return true;
        return wrong(value_at_,
                     format("a thread that holds \"{}\" would wait at barrier \"{}\"", held_name(), name).text());
    }
    bool still_held(size_t at) { return wrong(at, format("lock \"{}\" is not given back", held_name()).text()); }
    Text held_name() const { return plan_->resources[__builtin_ctzll(held_)].name.text(); }

    // ---- What the whole file must be.

    bool ends() {
        for (uint32_t i = 0; i < plan_->task_count && plan_->duration_ns == 0; ++i)
            if (plan_->tasks[i].loops == Task::kForEver)
                return wrong(task_at_[i], format("task \"{}\" never ends: give it a \"loop\", or \"global\" a "
                                                 "\"duration\"",
                                                 plan_->tasks[i].name)
                                              .text());
        return true;
    }
    /// Whoever comes to a barrier comes to it as often as all others, or somebody waits for ever.
    bool barriers_meet() {
        for (uint32_t r = 0; r < plan_->resource_count; ++r) {
            Resource& barrier = plan_->resources[r];
            if (!barrier.is_barrier) continue;
            uint64_t expected = 0;
            size_t at = 0;
            for (const Task& task : plan_->all_tasks()) {
                const uint64_t visits = visits_of(task, r, at);
                if (visits == 0) continue;
                if (expected != 0 && visits != expected)
                    return wrong(at, format("threads of \"{}\" come to barrier \"{}\" {}, those of others {}",
                                            task.name, barrier.name, often(visits), often(expected))
                                         .text());
                expected = visits;
                barrier.participants += task.instances;
            }
            if (barrier.participants == 1)
                return wrong(at, format("one thread alone comes to barrier \"{}\"", barrier.name).text());
        }
        return true;
    }
    /// How often each thread of `task` comes to `barrier`: kForEver, or a number. `at` is where, if it does at all.
    uint64_t visits_of(const Task& task, uint32_t barrier, size_t& at) const {
        uint64_t visits = 0;
        for (const Phase& phase : plan_->phases_of(task))
            for (uint32_t i = 0; i < phase.action_count; ++i) {
                const Action& action = plan_->actions[phase.first_action + i];
                if (action.step != Step::Barrier || action.resource != barrier) continue;
                if (visits == 0) at = action_at_[phase.first_action + i];
                visits += phase.loops;
            }
        return visits == 0 ? 0 : task.loops == Task::kForEver ? Task::kForEver : visits * task.loops;
    }
    static FixedText<40> often(uint64_t visits) {
        if (visits == Task::kForEver) return FixedText<40>("for ever");
        return format<40>("{}", counted(visits, "time"));
    }

    // ---- Values.

    bool loops(Text key, uint64_t& out, bool for_ever) {
        if (for_ever && skip_blank() && text_.substr(at_).starts_with("-1")) {
            at_ += 2;
            out = Task::kForEver;
            return true;
        }
        return number(key, 1, kMostLoops, out);
    }
    bool cpus(Text key, uint64_t& out) {
        if (!skip_blank()) return false;
        if (!next_is('[')) return wrong(at_, "\"cpus\" takes numbers of CPUs in brackets: [0, 1]");
        for (;;) {
            uint64_t cpu = 0;
            if (!number(key, 0, 63, cpu) || !skip_blank()) return false;
            out |= uint64_t{1} << cpu;
            if (next_is(']')) return true;
            if (!next_is(',')) return wrong(at_, "a , or ] is missing behind a CPU");
        }
    }
    bool microseconds(Text key, uint64_t minimum, uint64_t& out) {
        if (!number(key, minimum, kLongestUs, out)) return false;
        out *= kMicrosecond;
        return true;
    }
    /// With `decimals` the value, and the limits, are in units of so many places behind the point.
    bool number(Text key, uint64_t minimum, uint64_t maximum, uint64_t& out, unsigned decimals = 0) {
        if (!skip_blank()) return false;
        const size_t begin = at_;
        uint64_t value = 0;
        bool fits = true;
        const auto digits = [&](unsigned most) {
            unsigned count = 0;
            for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_, ++count)
                fits = fits && count < most && !__builtin_mul_overflow(value, uint64_t{10}, &value) &&
                       !__builtin_add_overflow(value, static_cast<uint64_t>(text_[at_] - '0'), &value);
            return count;
        };
        bool written = digits(20) != 0;
        unsigned places = 0;
        if (written && decimals != 0 && at_ < text_.size() && text_[at_] == '.') {
            ++at_;
            places = digits(decimals);
            written = places != 0;
        }
        for (; places < decimals; ++places) fits = fits && !__builtin_mul_overflow(value, uint64_t{10}, &value);
        const bool ended = at_ == text_.size() || Text(" \t\r\n,}]/").find(text_[at_]) != SIZE_MAX;
        if (written && ended && fits && value >= minimum && value <= maximum) {
            out = value;
            return true;
        }
        if (decimals == 0)
            return wrong(begin, format("\"{}\" takes a number from {} to {}{}", key, minimum, maximum,
                                       key == "loop" ? Text(", or, of a task, -1") : Text())
                                    .text());
        return wrong(begin, format("\"{}\" takes seconds from 0.001 to 3600, to the millisecond", key).text());
    }
    /// Names tasks, phases, locks and barriers.
    bool is_name(Text name, size_t at) {
        bool good = !name.empty() && name.size() <= FixedText<24>::capacity();
        for (const char c : name)
            good = good && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                            c == '_' || c == '.');
        return good || wrong(at, "a name has 1 to 24 letters, digits, -, _ and .");
    }

    // ---- JSON.

    /// Calls `member(key, where the key stands)` for each; it reads the value.
    template <typename Member>
    bool object(Text what, Member member) {
        if (!skip_blank()) return false;
        if (!next_is('{')) return wrong(at_, format("{} is no object: a {{ is missing", what).text());
        const size_t first_key = key_count_;
        for (bool first = true;; first = false) {
            if (!skip_blank()) return false;
            if (next_is('}')) {
                if (!first) return wrong(at_ - 1, "a , stands before the }");
                break;
            }
            Text key;
            if (!string(key)) return false;
            const size_t key_at = value_at_;
            for (size_t i = first_key; i < key_count_; ++i)
                if (keys_[i] == key) return wrong(key_at, format("\"{}\" is there twice", shown(key)).text());
            if (key_count_ == kMaximumKeys) return wrong(key_at, "there are too many keys");
            keys_[key_count_++] = key;
            if (!skip_blank()) return false;
            if (!next_is(':')) return wrong(at_, format("a : is missing behind \"{}\"", shown(key)).text());
            if (!skip_blank()) return false;
            key_at_ = key_at;
            if (!member(key, key_at)) return false;
            if (!skip_blank()) return false;
            if (next_is(',')) continue;
            if (next_is('}')) break;
            return wrong(at_, format("a , or }} is missing behind \"{}\"", shown(key)).text());
        }
        key_count_ = first_key;
        return true;
    }
    bool string(Text& out) {
        if (!skip_blank()) return false;
        value_at_ = at_;
        if (!next_is('"')) return wrong(at_, "a text in quotes is missing");
        const size_t begin = at_;
        for (; at_ < text_.size() && text_[at_] != '"'; ++at_) {
            if (text_[at_] == '\\') return wrong(at_, "texts have no \\ here");
            if (static_cast<unsigned char>(text_[at_]) < ' ') break;
        }
        out = text_.substr(begin, at_ - begin);
        return next_is('"') || wrong(value_at_, "the text's second quote is missing");
    }
    bool next_is(char c) {
        if (at_ == text_.size() || text_[at_] != c) return false;
        ++at_;
        return true;
    }
    /// Blanks and comments.
    bool skip_blank() {
        for (;;) {
            while (at_ < text_.size() && Text(" \t\r\n").find(text_[at_]) != SIZE_MAX) ++at_;
            if (!text_.substr(at_).starts_with("/*")) return true;
            const size_t begin = at_;
            for (at_ += 2; !text_.substr(at_).starts_with("*/"); ++at_)
                if (at_ >= text_.size()) return wrong(begin, "the comment is not closed");
            at_ += 2;
        }
    }

    // ---- Mistakes.

    static Text shown(Text key) { return key.substr(0, 40); }
    bool unknown(Text key, Text where, Text known) {
        return wrong(key_at_, format("unknown key \"{}\" in {}; it takes {}", shown(key), where, known).text());
    }
    bool wrong(size_t at, Text sentence) {
        problem_->line = problem_->column = 1;
        for (size_t i = 0; i < at; ++i) {
            const auto byte = static_cast<unsigned char>(text_[i]);
            if (byte == '\n') {
                ++problem_->line;
                problem_->column = 1;
            } else if ((byte & 0xC0) != 0x80) {  // characters, not bytes
                ++problem_->column;
            }
        }
        problem_->sentence.assign(sentence);
        return false;
    }

    static constexpr size_t kMaximumKeys = 256;

    Text text_;
    Plan* plan_ = nullptr;
    PlanProblem* problem_ = nullptr;
    size_t at_ = 0;
    size_t value_at_ = 0;     ///< where the last text began
    size_t key_at_ = 0;       ///< where the key of the value that is being read began
    bool has_slice_ = false;  ///< of the task that is being read
    bool reserves_ = false;   ///< likewise
    uint64_t held_ = 0;
    LockOrders orders_;
    size_t key_count_ = 0;
    Text keys_[kMaximumKeys];  ///< of all objects around this place
    size_t task_at_[Plan::kMaximumTasks] = {};
    size_t action_at_[Plan::kMaximumActions] = {};
};

}  // namespace helix::workload
