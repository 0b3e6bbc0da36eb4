// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A module that fails inside any of its entry points, in any way, ends that call and not the kernel.

#include "crashing.hpp"
#include "helix/module.hpp"
#include "ways_to_crash.hpp"

namespace {

using helix::test::kHows;
constexpr helix::Text kWheres[] = {"none",   "init", "start",   "stop",   "event",     "request",
                                   "health", "save", "restore", "thread", "destructor"};

// No configuration reaches a constructor. What it does stands here, for tests to write another way to fail over it in
// the file.
volatile const char g_in_constructor[48] = "in its constructor: none";

template <size_t N>
uint32_t index_of(const helix::Text (&names)[N], helix::Text name) {
    for (uint32_t i = 0; i < N; ++i)
        if (names[i] == name) return i;
    return N;
}

}  // namespace

class Crasher final : public helix::Implements<helix::test::Crashing> {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"crasher"}
                                      .version(1, 0, 0)
                                      .description("Fails when, where and how it is told to")
                                      .license("MIT OR Apache-2.0")
                                      .provides({"test.crashing"})
                                      .flags(helix::ModuleFlags::HotReloadable | helix::ModuleFlags::Experimental);
    static constexpr helix::Option kOptions[] = {
        helix::Option::string("where", "none",
                              "init, start, stop, event, request, health, save, restore, thread, destructor, none"),
        helix::Option::string("how", "ud2",
                              "null, divide, ud2, noncanonical, write_text, execute_data, loop, stack_overflow, …"),
    };

    Crasher() {
        constexpr size_t kBegin = sizeof("in its constructor: ") - 1;
        char told[sizeof(g_in_constructor)];
        size_t size = 0;
        for (size_t i = kBegin; i < sizeof(told) && g_in_constructor[i] != 0; ++i) told[size++] = g_in_constructor[i];
        (void)crash_as_told(helix::Text(told, size));
    }
    ~Crasher() { crash_if("destructor"); }
    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        const helix::Text where = TRY(context.config("where"));
        const helix::Text how = TRY(context.config("how"));
        TRY(arm(where, how));
        crash_if("init");
        return {};
    }
    helix::Result<void> start() override {
        TRY(context_->subscribe("crash"));
        crash_if("start");
        if (kWheres[where_] == "thread") return crash_in_thread(how_);
        return {};
    }
    helix::Result<void> stop() override {
        crash_if("stop");
        return {};
    }

    /// The custom event `crash`: fails when armed for events, or as its data says.
    helix::EventResponse handle_event(const helix::Event& event) override {
        crash_if("event");
        if (event.kind != helix::EventKind::Custom) return helix::EventResponse::ignored();
        (void)crash_as_told(helix::as_text(event.custom.data));
        return helix::EventResponse::handled();
    }

    /// `null`, `divide`, … : fails so, at once. `arm WHERE HOW`: fails so when that entry point is called next; a
    /// restore fails only in a reload, not when the old instance is brought back. `thread HOW`: a thread of this
    /// module fails so. `join`: waits for that thread, and so for its failure. `ping`: "pong", unless armed for
    /// requests. `leave_flags`: returns with the direction and the alignment-check flag set, which in ring 0 checks
    /// nothing, and so must not elsewhere: with it set it reads a word that is not aligned.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        crash_if("request");
        const helix::Text payload = helix::as_text(request.payload);
        if (request.request_type == "ping") return helix::Response::ok("pong");
        if (request.request_type == "leave_flags") {
            helix::Result<helix::Response> response = helix::Response::ok("left");
            const uint64_t words[2] = {};
            asm volatile("pushfq; orq $0x40400, (%%rsp); popfq; movq 1(%0), %%rax" ::"r"(words)
                         : "rax", "memory", "cc");
            return response;
        }
        if (request.request_type == "join") {
            TRY(context_->thread_join(thread_));
            return helix::Response::ok_empty();
        }
        if (request.request_type == "arm") {
            const size_t space = payload.find(' ');
            TRY(arm(payload.substr(0, space), space == SIZE_MAX ? kHows[how_] : payload.substr(space + 1)));
            return helix::Response::ok_empty();
        }
        const bool in_thread = request.request_type == "thread";
        const uint32_t how = index_of(kHows, in_thread ? payload : request.request_type);
        if (how == sizeof(kHows) / sizeof(kHows[0])) {
            if (!in_thread) return helix::ErrorCode::NotImplemented;
            return helix::Response::err("thread HOW: no such way to fail");
        }
        if (!in_thread) crash(how);
        TRY(crash_in_thread(how));
        return helix::Response::ok_empty();
    }
    bool is_healthy() const override {
        crash_if("health");
        return true;
    }
    helix::Result<void> save_state(helix::StateWriter& state) override {
        crash_if("save");
        TRY(state.put("where", kWheres[where_]));
        return state.put("how", kHows[how_]);
    }
    helix::Result<void> restore_state(helix::StateReader& state, helix::Reason reason) override {
        const helix::Text where = TRY(state.get_text("where"));
        const helix::Text how = TRY(state.get_text("how"));
        if (where == "restore") {
            TRY(arm(where, how));
            if (reason == helix::Reason::Reload) crash_if("restore");
        }
        return {};
    }

    bool crash_blocking(helix::Bytes how) override { return crash_as_told(helix::as_text(how)); }
    bool crash_bounded(helix::Bytes how) override { return crash_as_told(helix::as_text(how)); }

private:
    /// Returns true when there is no such way.
    bool crash_as_told(helix::Text how) const {
        const uint32_t known = index_of(kHows, how);
        if (known < sizeof(kHows) / sizeof(kHows[0])) crash(known);
        return true;
    }
    helix::Result<void> arm(helix::Text where, helix::Text how) {
        const uint32_t new_where = index_of(kWheres, where);
        const uint32_t new_how = index_of(kHows, how);
        if (new_where == sizeof(kWheres) / sizeof(kWheres[0]))
            return helix::Error(helix::ErrorCode::InvalidArgument,
                                helix::format("\"{}\" is no entry point to fail in", where).text());
        if (new_how == sizeof(kHows) / sizeof(kHows[0]))
            return helix::Error(helix::ErrorCode::InvalidArgument,
                                helix::format("\"{}\" is no way to fail", how).text());
        where_ = new_where;
        how_ = new_how;
        return {};
    }
    void crash_if(helix::Text where) const {
        if (kWheres[where_] == where) crash(how_);
    }
    helix::Result<void> crash_in_thread(uint32_t how) {
        thread_how_ = how;
        thread_ = TRY(context_->thread_create(
            "crasher",
            [](void* self) {
                const auto& module = *static_cast<Crasher*>(self);
                module.crash(module.thread_how_);
            },
            this));
        return {};
    }

    void crash(uint32_t how) const { helix::test::crash_in_way(kHows[how], context_); }

    const helix::Context* context_ = nullptr;
    uint32_t where_ = 0;
    uint32_t how_ = 0;
    uint32_t thread_how_ = 0;
    helix::ThreadId thread_ = helix::ThreadId::None;
};
HELIX_MODULE(Crasher)
