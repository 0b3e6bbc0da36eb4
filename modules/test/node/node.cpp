// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A node of a graph of modules. Its name, what it needs and where it fails are texts in its file, which the model of
// the module system overwrites: so one file becomes any graph.

#include "node.hpp"
#include "helix/module.hpp"

using helix::test::Counting;

class Node final : public helix::Implements<Counting> {
public:
    static constexpr uint32_t kSchema = NODE_VERSION;
    // As long as nobody writes something else there, each need is met by what every kernel has.
    static constexpr auto kInfo =
        helix::ModuleInfo{"node"}
            .version(NODE_VERSION, 0, 0)
            .description("Counts; fails where it is told to")
            .license("MIT OR Apache-2.0")
            .flags(helix::ModuleFlags::HotReloadable | helix::ModuleFlags::Experimental)
            .dependencies({"helix-memory >=1", "helix-memory >=1.0", "helix-memory >=1.0.0", "helix-memory <100"})
            .conflicts({"node-none"})
            .provides({"test.node"})
            .state_format("test.count")
            .state_schema(kSchema);
    static constexpr helix::Option kOptions[] = {
        helix::Option::string("fails", "nowhere", "Where it fails; behind \"crash-\" or \"hang-\" where it does that"),
    };

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        fails_.assign(TRY(context.config("fails")));
        return fail_if("init");
    }
    /// A thread of its own waits until the module stops.
    helix::Result<void> start() override {
        end_ = TRY(context_->semaphore_create(0));
        thread_ = TRY(context_->thread_create("node", wait_for_end, this));
        return fail_if("start");
    }
    helix::Result<void> stop() override {
        TRY(fail_if("stop"));
        TRY(context_->semaphore_signal(end_));
        TRY(context_->thread_join(thread_));
        return context_->semaphore_destroy(end_);
    }
    bool is_healthy() const override { return fail_if("health").ok(); }

    /// `add` adds one and `get` reads; both give the count. `relay TARGET` makes the request `add` of another module
    /// and gives what that gave. `call` adds one by a handle to the primary implementor, `call-crash` lets that crash.
    /// `crash` crashes, `hang` does not end.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        const helix::Text type = request.request_type;
        if (type == "crash") end_badly();
        if (type == "hang") hang();
        if (type == "relay") return context_->request(helix::as_text(request.payload), {"add"});
        if (type == "call" || type == "call-crash") {
            const auto primary = TRY(context_->bind<Counting>());
            return answer(TRY(type == "call" ? primary.call<&Counting::add>() : primary.call<&Counting::crash>()));
        }
        if (type == "add") return answer(add());
        if (type == "get") return answer(count_);
        return helix::ErrorCode::NotImplemented;
    }
    uint64_t add() override { return ++count_; }
    uint64_t crash() override { end_badly(); }

    helix::Result<void> save_state(helix::StateWriter& state) override {
        TRY(fail_if("save"));
        return state.put("count", count_);
    }
    helix::Result<void> restore_state(helix::StateReader& state, helix::Reason) override {
        TRY(fail_if("restore"));
        count_ = TRY(state.get_unsigned("count"));
        return {};
    }

private:
    static void wait_for_end(void* self) {
        const auto& node = *static_cast<Node*>(self);
        (void)node.context_->semaphore_wait(node.end_).ok();
    }
    static helix::Result<helix::Response> answer(uint64_t number) {
        return helix::Response::ok(helix::format<20>("{}", number).text());
    }
    [[noreturn]] static void end_badly() { __builtin_trap(); }
    [[noreturn]] void hang() const {
        for (;;) (void)context_->thread_sleep(UINT64_MAX).ok();
    }
    helix::Result<void> fail_if(helix::Text where) const {
        helix::Text fails = fails_.text();
        if (fails == where) return helix::Error(helix::ErrorCode::InvalidState, "fails on purpose");
        if (fails.starts_with("crash-") && fails.substr(6) == where) end_badly();
        if (fails.starts_with("hang-") && fails.substr(5) == where) hang();
        return {};
    }

    const helix::Context* context_ = nullptr;
    helix::FixedText<38> fails_;
    uint64_t count_ = 0;
    helix::SemaphoreId end_ = helix::SemaphoreId::None;
    helix::ThreadId thread_ = helix::ThreadId::None;
};
HELIX_MODULE(Node)
